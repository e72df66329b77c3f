//! A statement's conditions on a request, beside its action and resource. If the request lacks a key, only `Null`,
//! `StringEqualsIfExists` and `StringNotEquals` can match.

use super::{
    MalformedPolicy, RequestContext,
    document::{Entries, OneOrMore},
    pattern::Pattern,
    vocabulary,
};

/// One key of a statement's `ConditionEntry`.
#[derive(Clone, Debug)]
pub(crate) struct ConditionEntry {
    /// Lowercase.
    key: String,
    test: Test,
}

#[derive(Clone, Debug)]
enum Test {
    /// The key is present and its value matches one of these.
    Matches(Vec<Pattern>),
    /// The key is absent, or its value matches one of these.
    MatchesIfPresent(Vec<Pattern>),
    /// The key is absent, or its value matches none of these.
    Differs(Vec<Pattern>),
    /// The key is absent.
    Absent,
    /// The key is present.
    Present,
}

impl ConditionEntry {
    /// Returns all conditions of a statement. They must all hold.
    pub(crate) fn parse(block: Entries<Entries<OneOrMore<String>>>) -> Result<Vec<Self>, MalformedPolicy> {
        let mut conditions = Vec::new();
        for (operator, keys) in block.filled()? {
            for (key, values) in keys.filled()? {
                if !vocabulary::is_condition_key(&key) {
                    return Err(MalformedPolicy::Key(key));
                }
                let test = Test::parse(&operator, &values.filled("Condition")?)?;
                conditions.push(Self { key: key.to_ascii_lowercase(), test });
            }
        }
        Ok(conditions)
    }

    /// True if the context satisfies the condition.
    pub(crate) fn holds(&self, context: &RequestContext) -> bool {
        let value = context.value(&self.key);
        let matches = |patterns: &[Pattern], value| patterns.iter().any(|pattern| pattern.matches(value));
        match &self.test {
            Test::Matches(patterns) => value.is_some_and(|value| matches(patterns, value)),
            Test::MatchesIfPresent(patterns) => value.is_none_or(|value| matches(patterns, value)),
            Test::Differs(patterns) => value.is_none_or(|value| !matches(patterns, value)),
            Test::Absent => value.is_none(),
            Test::Present => value.is_some(),
        }
    }
}

impl Test {
    fn parse(operator: &str, values: &[String]) -> Result<Self, MalformedPolicy> {
        let patterns = |read: fn(&str) -> Result<Pattern, MalformedPolicy>| {
            values.iter().map(|value| read(value)).collect::<Result<_, _>>()
        };
        match (operator, values) {
            ("StringEquals", _) => patterns(Pattern::literal).map(Self::Matches),
            ("StringEqualsIfExists", _) => patterns(Pattern::literal).map(Self::MatchesIfPresent),
            ("StringNotEquals", _) => patterns(Pattern::literal).map(Self::Differs),
            ("StringLike", _) => patterns(Pattern::parse).map(Self::Matches),
            ("Null", [value]) if value == "true" => Ok(Self::Absent),
            ("Null", [value]) if value == "false" => Ok(Self::Present),
            ("Null", values) => Err(MalformedPolicy::Null(values.join(", "))),
            _ => Err(MalformedPolicy::Operator(operator.to_owned())),
        }
    }
}
