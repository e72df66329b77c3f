//! IAM policy documents.
//!
//! Source: IAM user guide, "IAM JSON policy element reference".

use super::actions::PUT_ACL;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;

/// The only version with policy variables such as `${*}`.
const VERSION: &str = "2012-10-17";

/// A policy document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IamDocument {
    version: &'static str,
    statement: Vec<PolicyStatement>,
}

/// A statement about some actions.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyStatement {
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<&'static str>,
    effect: PolicyEffect,
    /// Only policies of resources have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    principal: Option<PolicyPrincipal>,
    action: Vec<&'static str>,
    /// A trust policy has none: its resource is the role that it belongs to.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "one_or_list")]
    resource: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    condition: PolicyCondition,
}

#[derive(Clone, Copy, Debug, Serialize)]
enum PolicyEffect {
    Allow,
    Deny,
}

/// The principals that a statement is about.
#[derive(Clone, Debug, Serialize)]
pub(super) enum PolicyPrincipal {
    /// The user, role or account with this ARN.
    #[serde(rename = "AWS")]
    Aws(String),
    /// Everyone, strangers included.
    #[serde(untagged)]
    Everyone(&'static str),
}

/// Operator → key → values. One of the values must match.
type PolicyCondition = BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>;

impl PolicyPrincipal {
    pub(super) const EVERYONE: Self = Self::Everyone("*");
}

impl PolicyStatement {
    /// Allows listings of `bucket` below a prefix, which is a pattern. An empty prefix allows every listing.
    pub(super) fn listing(action: &'static str, bucket: &str, below: &str) -> Self {
        let listing = Self::on(vec![action], bucket.to_owned());
        if below.is_empty() { listing } else { listing.only_if("StringLike", "s3:prefix", [format!("{below}*")]) }
    }

    /// Allows actions on objects, except that of ACLs; `None` if there are no others.
    pub(super) fn objects(actions: &[&'static str], resource: &str) -> Option<Self> {
        let others: Vec<_> = actions.iter().copied().filter(|action| *action != PUT_ACL).collect();
        (!others.is_empty()).then(|| Self::on(others, resource.to_owned()))
    }

    /// Allows to give the bucket's owner full control of objects; `None` if that is none of the actions. A session could
    /// make files public with another ACL.
    pub(super) fn owner_control(actions: &[&'static str], resource: &str) -> Option<Self> {
        let acl = ["bucket-owner-full-control".to_owned()];
        let control = || Self::on(vec![PUT_ACL], resource.to_owned()).only_if("StringEquals", "s3:x-amz-acl", acl);
        actions.contains(&PUT_ACL).then(control)
    }

    /// Allows S3 to use a key on the session's behalf, for this bucket. Without `key` this includes every key that the
    /// bucket or an object names. The statements on objects decide for which objects S3 is asked.
    pub(super) fn kms(actions: &[&'static str], key: Option<&str>, contexts: Option<[String; 2]>) -> Self {
        // Policies can't name a key by its alias, and a bare id lacks its account.
        let resource = key.filter(|arn| is_key_arn(arn)).map_or_else(|| "*".to_owned(), literal);
        Self::on(actions.to_vec(), resource).only_if("StringLike", "kms:ViaService", ["s3.*".to_owned()]).only_if(
            "StringLike",
            "kms:EncryptionContext:aws:s3:arn",
            contexts.into_iter().flatten(),
        )
    }

    /// Allows actions on one resource, which is a pattern.
    pub(super) fn on(actions: Vec<&'static str>, resource: String) -> Self {
        Self::of(PolicyEffect::Allow, actions, vec![resource])
    }

    /// Lets `principal` assume the role that the trust policy belongs to.
    pub(super) fn trust(principal: PolicyPrincipal, actions: Vec<&'static str>) -> Self {
        Self { principal: Some(principal), ..Self::of(PolicyEffect::Allow, actions, Vec::new()) }
    }

    /// Denies `principal` all actions of S3 on these resources, in the policy of a bucket.
    pub(super) fn denial(principal: PolicyPrincipal, resource: Vec<String>) -> Self {
        Self { principal: Some(principal), ..Self::of(PolicyEffect::Deny, vec!["s3:*"], resource) }
    }

    /// Gives the statement a name, which has letters and digits only.
    pub(super) fn named(self, sid: &'static str) -> Self {
        Self { sid: Some(sid), ..self }
    }

    /// Adds a condition: one of the values must match. All conditions of a statement must hold. Without values the
    /// statement stays as it is.
    pub(super) fn only_if(
        mut self,
        operator: &'static str,
        key: &'static str,
        values: impl IntoIterator<Item = String>,
    ) -> Self {
        let values: Vec<_> = values.into_iter().collect();
        if !values.is_empty() {
            self.condition.entry(operator).or_default().insert(key, values);
        }
        self
    }

    fn of(effect: PolicyEffect, action: Vec<&'static str>, resource: Vec<String>) -> Self {
        Self { sid: None, effect, principal: None, action, resource, condition: PolicyCondition::new() }
    }
}

impl IamDocument {
    pub(super) fn new(statement: Vec<PolicyStatement>) -> Self {
        Self { version: VERSION, statement }
    }

    /// The shortest JSON in ASCII, because STS takes no character above U+00FF.
    pub(super) fn to_ascii(&self) -> String {
        // Strings, lists and maps with string keys always have a JSON form.
        ascii(&serde_json::to_string(self).unwrap_or_default())
    }
}

/// Replaces the characters of a JSON text that aren't ASCII by their escapes.
pub(crate) fn ascii(json: &str) -> String {
    let mut ascii = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            ascii.push(character);
        } else {
            let mut units = [0; 2];
            ascii.extend(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    ascii
}

/// True for the ARN of a KMS key, and false for an alias or the bare id of a key.
pub(crate) fn is_key_arn(text: &str) -> bool {
    text.starts_with("arn:") && text.contains(":key/")
}

/// Escapes `text` into a pattern that matches only itself.
pub(super) fn literal(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '*' | '?' | '$' => pattern.extend(["${", character.encode_utf8(&mut [0; 4]), "}"]),
            other => pattern.push(other),
        }
    }
    pattern
}

fn one_or_list<S: Serializer>(values: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    match values {
        [one] => one.serialize(serializer),
        several => several.serialize(serializer),
    }
}
