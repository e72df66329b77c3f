//! A policy of a user, a role or a session: statements about actions on resources. Parsing fails on any statement that
//! isn't understood.

use super::{
    AuthorizationRequest, MalformedPolicy,
    condition::ConditionEntry,
    document::{Effect, Entries, OneOrMore, PolicyDocument, StatementDocument},
    pattern::Pattern,
    vocabulary,
};
use std::str::FromStr;

/// A policy parsed from its JSON text. It says which requests its holder may make.
#[derive(Clone, Debug)]
pub struct Policy {
    document: String,
    statements: Vec<Statement>,
}

/// Combined decision of the statements that match a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Evaluation {
    /// At least one statement allows the request, and none denies it.
    Allowed,
    /// No statement matches the request.
    Unmentioned,
    /// A statement denies the request, even if others allow it.
    Denied,
}

impl Policy {
    /// A policy that allows every action on every resource.
    #[must_use]
    pub fn everything() -> Self {
        Self::about_everything(Effect::Allow)
    }

    /// A policy that denies every action on every resource.
    pub(crate) fn denial() -> Self {
        Self::about_everything(Effect::Deny)
    }

    fn about_everything(effect: Effect) -> Self {
        let (actions, resources) = (vec![Pattern::everything()], vec![Pattern::everything()]);
        let document = format!(
            r#"{{"Version": "2012-10-17", "Statement": [{{"Effect": "{effect:?}", "Action": "*", "Resource": "*"}}]}}"#
        );
        Self { document, statements: vec![Statement { effect, actions, resources, conditions: Vec::new() }] }
    }

    /// The text of the policy.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// Returns the policy's verdict on a request.
    pub(super) fn judge(&self, request: &AuthorizationRequest<'_>) -> Evaluation {
        Evaluation::of(self.matching(request))
    }

    /// Returns the statements that match a request.
    pub(super) fn matching(&self, request: &AuthorizationRequest<'_>) -> impl Iterator<Item = &Statement> {
        self.statements.iter().filter(|statement| statement.matches(request))
    }
}

impl FromStr for Policy {
    type Err = MalformedPolicy;

    fn from_str(text: &str) -> Result<Self, MalformedPolicy> {
        let statement = |raw: StatementDocument| {
            if raw.principal.is_some() {
                return Err(MalformedPolicy::Prohibited("Principal"));
            }
            Statement::parse(raw.effect, raw.action, parse_resources(raw.resource)?, raw.condition)
        };
        let statements = PolicyDocument::parse(text)?.into_iter().map(statement).collect::<Result<_, _>>()?;
        Ok(Self { document: text.to_owned(), statements })
    }
}

impl Evaluation {
    /// Combines the statements that match a request: a denial wins.
    pub(crate) fn of<'a>(matching: impl Iterator<Item = &'a Statement>) -> Self {
        matching.fold(Self::Unmentioned, |verdict, statement| match (verdict, statement.effect) {
            (Self::Denied, _) | (_, Effect::Deny) => Self::Denied,
            (_, Effect::Allow) => Self::Allowed,
        })
    }
}

/// A statement without its principals.
#[derive(Clone, Debug)]
pub(crate) struct Statement {
    effect: Effect,
    /// Lowercase.
    actions: Vec<Pattern>,
    resources: Vec<Pattern>,
    conditions: Vec<ConditionEntry>,
}

impl Statement {
    /// A statement about `resources`.
    pub(crate) fn parse(
        effect: Effect,
        actions: OneOrMore<String>,
        resources: Vec<Pattern>,
        conditions: Option<Entries<Entries<OneOrMore<String>>>>,
    ) -> Result<Self, MalformedPolicy> {
        let actions = actions.filled("Action")?.iter().map(|action| parse_action(action)).collect::<Result<_, _>>()?;
        let conditions = conditions.map(ConditionEntry::parse).transpose()?.unwrap_or_default();
        Ok(Self { effect, actions, resources, conditions })
    }

    /// True if action, resource and conditions match the request.
    pub(crate) fn matches(&self, request: &AuthorizationRequest<'_>) -> bool {
        let action = request.action.to_ascii_lowercase();
        self.actions.iter().any(|pattern| pattern.matches(&action))
            && self.resources.iter().any(|pattern| pattern.matches(request.resource))
            && self.conditions.iter().all(|condition| condition.holds(request.context))
    }
}

/// Parses an action. Actions are case-insensitive and have no escapes.
fn parse_action(action: &str) -> Result<Pattern, MalformedPolicy> {
    let unknown = || MalformedPolicy::Action(action.to_owned());
    let pattern = Pattern::parse(&action.to_ascii_lowercase()).map_err(|_| unknown())?;
    let known = vocabulary::actions().any(|known| pattern.matches(&known.to_ascii_lowercase()));
    if known { Ok(pattern) } else { Err(unknown()) }
}

/// Parses the resources of a statement that must have some.
pub(super) fn parse_resources(resources: Option<OneOrMore<String>>) -> Result<Vec<Pattern>, MalformedPolicy> {
    let resources = resources.ok_or(MalformedPolicy::Missing("Resource"))?.filled("Resource")?;
    resources.iter().map(|resource| parse_resource(resource)).collect()
}

fn parse_resource(resource: &str) -> Result<Pattern, MalformedPolicy> {
    let is_arn = resource.starts_with("arn:aws:") && resource.split(':').count() >= 6;
    if !is_arn && resource != "*" {
        return Err(MalformedPolicy::Resource(resource.to_owned()));
    }
    Pattern::parse(resource)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"Version": "2012-10-17", "Statement": [{"Sid": "A1", "Effect": "Allow",
        "Action": ["s3:GetObject", "kms:Decrypt"], "Resource": ["arn:aws:s3:::b/p/*", "*"],
        "Condition": {"StringLike": {"s3:prefix": "p/*"}, "Null": {"kms:ViaService": "true"},
            "StringEquals": {"kms:EncryptionContext:aws:s3:arn": ["arn:aws:s3:::b/p"]}}}]}"#;

    /// Returns the error for [`GOOD`] with `from` replaced by `to`.
    fn refusal(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        GOOD.replace(from, to).parse::<Policy>().expect_err(to).to_string()
    }

    #[test]
    fn policies_in_known_words_are_accepted() {
        GOOD.parse::<Policy>().unwrap();
        let one = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "s3:*", "Resource": "*"}}"#;
        one.parse::<Policy>().unwrap();
    }

    #[test]
    fn the_text_of_a_policy_is_a_policy() {
        assert_eq!(GOOD.parse::<Policy>().unwrap().document(), GOOD);
        for policy in [Policy::everything(), Policy::denial()] {
            let again = policy.document().parse::<Policy>().unwrap();
            assert_eq!(format!("{:?}", again.statements), format!("{:?}", policy.statements));
        }
    }

    #[test]
    fn unknown_elements_are_refused_by_name() {
        for (from, to) in [
            (r#""Action": ["#, r#""NotAction": ["#),
            (r#""Resource": ["#, r#""NotResource": ["#),
            (r#""Sid""#, r#""sid""#),
            (r#""Condition""#, r#""Conditions""#),
            (r#""Statement": ["#, r#""Id": "x", "Statement": ["#),
            (r#""Sid""#, r#""NotPrincipal": {"AWS": "*"}, "Sid""#),
        ] {
            let name = to.split('"').nth(1).unwrap();
            assert!(refusal(from, to).contains(&format!("unknown field `{name}`")), "{to}: {}", refusal(from, to));
        }
        for operator in
            ["StringLikeIfExists", "ForAnyValue:StringLike", "StringNotLike", "Bool", "IpAddress", "stringlike"]
        {
            let sentence = format!("Unknown condition operator \"{operator}\"");
            assert_eq!(refusal("\"StringLike\"", &format!("\"{operator}\"")), sentence);
        }
        for key in ["s3:Prefix2", "aws:SourceVpc", "aws:SourceIp", "prefix", "aws:RequestTag/", "aws:RequestTag"] {
            let sentence = format!("Unknown condition key \"{key}\"");
            assert_eq!(refusal("\"s3:prefix\"", &format!("\"{key}\"")), sentence);
        }
        for action in ["s3:HeadObject", "s3:ListObjectsV2", "s4:*", "", "GetObject", "s3:${*}"] {
            assert_eq!(refusal("\"s3:GetObject\"", &format!("\"{action}\"")), format!("Unknown action \"{action}\""));
        }
        assert_eq!(refusal("\"Sid\"", "\"Principal\": {\"AWS\": \"*\"}, \"Sid\""), "Has prohibited field Principal");
        assert!(refusal("\"Allow\"", "\"allow\"").contains("unknown variant `allow`"));
        assert!(refusal("p/*\", \"*\"", "p/${aws:username}\"").starts_with("Policy variables are not supported"));
    }

    #[test]
    fn shapes_that_mean_nothing_are_refused() {
        assert_eq!(
            refusal("2012-10-17", "2008-10-17"),
            "Policy document must be version 2012-10-17, not \"2008-10-17\""
        );
        assert!(refusal(r#""Version": "2012-10-17", "#, "").contains("missing field `Version`"));
        assert!(refusal("\"Effect\": \"Allow\",", "").contains("missing field `Effect`"));
        assert_eq!(refusal(r#"["s3:GetObject", "kms:Decrypt"]"#, "[]"), "Action is empty");
        assert_eq!(refusal(r#"["arn:aws:s3:::b/p/*", "*"]"#, "[]"), "Resource is empty");
        assert_eq!(refusal(r#""Resource": ["arn:aws:s3:::b/p/*", "*"],"#, ""), "Missing required field Resource");
        assert_eq!(refusal(r#"{"s3:prefix": "p/*"}"#, "{}"), "Condition is empty");
        assert!(refusal(r#"{"s3:prefix": "p/*"}"#, "null").starts_with("Syntax errors in policy"));
        assert!(refusal(r#"{"s3:prefix": "p/*"}"#, r#"{"s3:prefix": "p/*", "S3:Prefix": "*"}"#).contains("duplicate"));
        assert!(refusal("\"Sid\"", "\"Effect\": \"Deny\", \"Sid\"").contains("duplicate field `Effect`"));
        assert!(refusal("\"Sid\": \"A1\"", "\"Principal\": null").starts_with("Syntax errors in policy"));
        assert_eq!(refusal("\"true\"", "\"yes\""), "Null takes \"true\" or \"false\", not \"yes\"");
        for resource in ["b/p/*", "arn:aws:s3", "arn:aws-cn:s3:::b/*", "s3://b/p"] {
            let sentence = format!("Resource {resource:?} must be in ARN format or \"*\"");
            assert_eq!(refusal("\"*\"]", &format!("{resource:?}]")), sentence);
        }
        assert_eq!(refusal("A1", "A 1"), "Statement IDs (SID) must be alpha-numeric: \"A 1\"");
        let twice = r#"{"Version": "2012-10-17", "Statement": [
            {"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*"},
            {"Sid": "A", "Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}"#;
        assert_eq!(twice.parse::<Policy>().unwrap_err(), MalformedPolicy::SidTwice("A".to_owned()));
        for text in ["", "{}", "[]", "null", "{\"Version\": \"2012-10-17\", \"Statement\": []}"] {
            assert!(text.parse::<Policy>().is_err(), "{text}");
        }
        assert!(format!("{GOOD} x").parse::<Policy>().is_err());
    }
}
