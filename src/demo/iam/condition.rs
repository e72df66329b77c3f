//! Conditions: what a request must be like beside its action and resource. A key that a request doesn't have matches
//! nothing but `Null`.

use super::{
    Malformed,
    document::{Entries, OneOrMore},
    pattern::Pattern,
    vocabulary,
};
use std::collections::BTreeMap;

/// What is known of a request, by condition key. Keys have no case, values have one.
#[derive(Clone, Debug, Default)]
pub struct Context(BTreeMap<String, String>);

impl Context {
    /// The same, with a key; without it if there is no value.
    #[must_use]
    pub fn with(mut self, key: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.insert(key.to_ascii_lowercase(), value.to_string());
        }
        self
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}

/// One key of a statement's `Condition`.
#[derive(Clone, Debug)]
pub struct Condition {
    /// In lower case.
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// It is there and matches one of these.
    Matches(Vec<Pattern>),
    /// It isn't there.
    Absent,
    /// It is there.
    Present,
}

impl Condition {
    /// All conditions of a statement. They must all hold.
    pub fn parse(block: Entries<Entries<OneOrMore<String>>>) -> Result<Vec<Self>, Malformed> {
        let mut conditions = Vec::new();
        for (operator, keys) in block.filled()? {
            for (key, values) in keys.filled()? {
                if !vocabulary::is_condition_key(&key) {
                    return Err(Malformed::Key(key));
                }
                let test = Test::parse(&operator, &values.filled("Condition")?)?;
                conditions.push(Self { key: key.to_ascii_lowercase(), test });
            }
        }
        Ok(conditions)
    }

    /// Whether it holds.
    pub fn holds(&self, context: &Context) -> bool {
        let value = context.value(&self.key);
        match &self.test {
            Test::Matches(patterns) => value.is_some_and(|value| patterns.iter().any(|pattern| pattern.matches(value))),
            Test::Absent => value.is_none(),
            Test::Present => value.is_some(),
        }
    }
}

impl Test {
    fn parse(operator: &str, values: &[String]) -> Result<Self, Malformed> {
        let patterns = |read: fn(&str) -> Result<Pattern, Malformed>| {
            values.iter().map(|value| read(value)).collect::<Result<_, _>>().map(Self::Matches)
        };
        match (operator, values) {
            ("StringEquals", _) => patterns(Pattern::literal),
            ("StringLike", _) => patterns(Pattern::parse),
            ("Null", [value]) if value == "true" => Ok(Self::Absent),
            ("Null", [value]) if value == "false" => Ok(Self::Present),
            ("Null", values) => Err(Malformed::Null(values.join(", "))),
            _ => Err(Malformed::Operator(operator.to_owned())),
        }
    }
}
