//! A policy document as JSON. Unknown keys, duplicate keys and `null` are errors: the author may believe that they are
//! in force.

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor, value},
};
use std::{fmt, marker::PhantomData};

/// Reason why a policy is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MalformedPolicy {
    /// The text isn't JSON of the right shape.
    #[error("Syntax errors in policy: {0}")]
    Syntax(String),
    /// The version isn't `2012-10-17`.
    #[error("Policy document must be version 2012-10-17, not {0:?}")]
    Version(String),
    /// A list that must hold something is empty.
    #[error("{0} is empty")]
    Empty(&'static str),
    /// An element is missing.
    #[error("Missing required field {0}")]
    Missing(&'static str),
    /// The element isn't allowed in this kind of policy.
    #[error("Has prohibited field {0}")]
    Prohibited(&'static str),
    /// A statement's name holds characters that aren't alphanumeric.
    #[error("Statement IDs (SID) must be alpha-numeric: {0:?}")]
    Sid(String),
    /// Two statements have the same name.
    #[error("Statement IDs (SID) in a single policy must be unique: {0:?}")]
    SidTwice(String),
    /// The action isn't in the vocabulary.
    #[error("Unknown action {0:?}")]
    Action(String),
    /// A resource that is no ARN.
    #[error("Resource {0:?} must be in ARN format or \"*\"")]
    Resource(String),
    /// A principal that is no ARN of a user, a role or an account.
    #[error("Invalid principal in policy: {0:?}")]
    Principal(String),
    /// The condition operator isn't supported.
    #[error("Unknown condition operator {0:?}")]
    Operator(String),
    /// The condition key isn't in the vocabulary.
    #[error("Unknown condition key {0:?}")]
    Key(String),
    /// The value of `Null` is neither true nor false.
    #[error("Null takes \"true\" or \"false\", not {0:?}")]
    Null(String),
    /// The text holds a policy variable.
    #[error("Policy variables are not supported: {0:?}")]
    Variable(String),
}

/// A whole policy document.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct PolicyDocument {
    version: String,
    statement: OneOrMore<StatementDocument>,
}

/// A statement of a [`PolicyDocument`], before its values are parsed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(crate) struct StatementDocument {
    #[serde(default, deserialize_with = "present")]
    pub(crate) sid: Option<String>,
    pub(crate) effect: Effect,
    #[serde(default, deserialize_with = "present")]
    pub(crate) principal: Option<Principals>,
    pub(crate) action: OneOrMore<String>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) resource: Option<OneOrMore<String>>,
    #[serde(default, deserialize_with = "present")]
    pub(crate) condition: Option<Entries<Entries<OneOrMore<String>>>>,
}

/// Effect of a statement on the requests that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub(crate) enum Effect {
    /// Allows the request, unless another statement denies it.
    Allow,
    /// Denies the request, even if other statements allow it.
    Deny,
}

/// The principals that a trust policy names: `"*"`, or a map of their kinds.
#[derive(Debug)]
pub(crate) struct Principals {
    pub(crate) aws: OneOrMore<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PrincipalKinds {
    #[serde(rename = "AWS")]
    aws: OneOrMore<String>,
}

impl<'de> Deserialize<'de> for Principals {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(PrincipalsVisitor)
    }
}

struct PrincipalsVisitor;

impl<'de> Visitor<'de> for PrincipalsVisitor {
    type Value = Principals;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("\"*\" or a map of principals")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Principals, E> {
        match text {
            "*" => Ok(Principals { aws: OneOrMore(vec![text.to_owned()]) }),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Principals, A::Error> {
        let PrincipalKinds { aws } = PrincipalKinds::deserialize(value::MapAccessDeserializer::new(map))?;
        Ok(Principals { aws })
    }
}

impl PolicyDocument {
    pub(crate) fn parse(text: &str) -> Result<Vec<StatementDocument>, MalformedPolicy> {
        let document: Self = serde_json::from_str(text).map_err(|error| MalformedPolicy::Syntax(error.to_string()))?;
        if document.version != "2012-10-17" {
            return Err(MalformedPolicy::Version(document.version));
        }
        let statements = document.statement.filled("Statement")?;
        let mut names = std::collections::BTreeSet::new();
        for name in statements.iter().filter_map(|statement| statement.sid.as_ref()) {
            if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
                return Err(MalformedPolicy::Sid(name.clone()));
            }
            if !names.insert(name) {
                return Err(MalformedPolicy::SidTwice(name.clone()));
            }
        }
        Ok(statements)
    }
}

/// Reads a field that may be absent but not `null`.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A value or a list of values.
#[derive(Debug)]
pub(crate) struct OneOrMore<T>(Vec<T>);

impl<T> OneOrMore<T> {
    /// Returns the values. Fails if there are none.
    pub(crate) fn filled(self, name: &'static str) -> Result<Vec<T>, MalformedPolicy> {
        if self.0.is_empty() { Err(MalformedPolicy::Empty(name)) } else { Ok(self.0) }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMore<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMoreVisitor(PhantomData))
    }
}

struct OneOrMoreVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrMoreVisitor<T> {
    type Value = OneOrMore<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value or a list of values")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(OneOrMore(vec![T::deserialize(value::StrDeserializer::new(text))?]))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        Ok(OneOrMore(vec![T::deserialize(value::MapAccessDeserializer::new(map))?]))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(value::SeqAccessDeserializer::new(list)).map(OneOrMore)
    }
}

/// A map without duplicate keys.
#[derive(Debug)]
pub(crate) struct Entries<T>(Vec<(String, T)>);

impl<T> Entries<T> {
    /// Returns the entries. Fails if there are none.
    pub(crate) fn filled(self) -> Result<Vec<(String, T)>, MalformedPolicy> {
        OneOrMore(self.0).filled("Condition")
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Entries<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for EntriesVisitor<T> {
    type Value = Entries<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries: Vec<(String, T)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, T>()? {
            if entries.iter().any(|(there, _)| there.eq_ignore_ascii_case(&key)) {
                return Err(de::Error::custom(format_args!("duplicate field `{key}`")));
            }
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}
