//! IAM policy documents, written as the shortest JSON.

use serde::Serialize;
use std::collections::BTreeMap;

/// The only version with policy variables such as `${*}`.
const VERSION: &str = "2012-10-17";

/// A policy document.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct IamDocument {
    version: &'static str,
    statement: Vec<PolicyStatement>,
}

/// A statement with the effect `Allow`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PolicyStatement {
    effect: &'static str,
    action: Vec<&'static str>,
    resource: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    condition: Option<PolicyCondition>,
}

/// Operator → key → values. One of the values must match.
type PolicyCondition = BTreeMap<&'static str, BTreeMap<&'static str, Vec<String>>>;

impl PolicyStatement {
    /// Allows listings of `bucket` below a prefix, which is a pattern. An empty prefix allows every listing.
    pub(super) fn listing(action: &'static str, bucket: &str, below: &str) -> Self {
        let condition = (!below.is_empty()).then(|| like([("s3:prefix", vec![format!("{below}*")])]));
        Self { effect: "Allow", action: vec![action], resource: bucket.to_owned(), condition }
    }

    /// Allows actions on objects; `None` if there are no actions.
    pub(super) fn objects(actions: Vec<&'static str>, resource: String) -> Option<Self> {
        (!actions.is_empty()).then_some(Self { effect: "Allow", action: actions, resource, condition: None })
    }

    /// Allows S3 to use a key on the session's behalf, for this bucket. Without `key` this includes every key that the
    /// bucket or an object names. The statements on objects decide for which objects S3 is asked.
    pub(super) fn kms(actions: &[&'static str], key: Option<&str>, contexts: Option<[String; 2]>) -> Self {
        let by_s3 = ("kms:ViaService", vec!["s3.*".to_owned()]);
        let for_bucket = contexts.map(|contexts| ("kms:EncryptionContext:aws:s3:arn", contexts.to_vec()));
        let resource = match key {
            Some(arn) if arn.starts_with("arn:") && arn.contains(":key/") => literal(arn),
            // Policies can't name a key by its alias, and a bare id lacks its account.
            Some(_) | None => "*".to_owned(),
        };
        let condition = Some(like([by_s3].into_iter().chain(for_bucket)));
        Self { effect: "Allow", action: actions.to_vec(), resource, condition }
    }
}

impl IamDocument {
    pub(super) fn new(statement: Vec<PolicyStatement>) -> Self {
        Self { version: VERSION, statement }
    }

    /// The JSON in ASCII, because STS takes no character above U+00FF.
    pub(super) fn to_ascii(&self) -> String {
        // Strings, lists and maps with string keys always have a JSON form.
        let json = serde_json::to_string(self).unwrap_or_default();
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

fn like(conditions: impl IntoIterator<Item = (&'static str, Vec<String>)>) -> PolicyCondition {
    BTreeMap::from([("StringLike", conditions.into_iter().collect())])
}
