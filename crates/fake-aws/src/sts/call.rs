//! The parameters of AssumeRole, validated as AWS does.

use super::{
    Error,
    parameters::{Parameters, Shape},
};
use crate::iam::Policy;

const MAX_TAGS: usize = 50;
const SECONDS: std::ops::RangeInclusive<u64> = 900..=43_200;
const DEFAULT_SECONDS: u64 = 3600;

const ROLE_ARN: Shape = Shape {
    field: "roleArn",
    min: 20,
    max: 2048,
    pattern: r"[\u0009\u000A\u000D\u0020-\u007E\u0085\u00A0-\uD7FF\uE000-\uFFFD\u10000-\u10FFFF]+",
    fits: |character| matches!(character, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{a0}'..='\u{fffd}' | '\u{10000}'..),
};
const SESSION_NAME: Shape =
    Shape { field: "roleSessionName", min: 2, max: 64, pattern: r"[\w+=,.@-]*", fits: is_name_character };
const SOURCE_IDENTITY: Shape = Shape { field: "sourceIdentity", ..SESSION_NAME };
const EXTERNAL_ID: Shape = Shape {
    field: "externalId",
    min: 2,
    max: 1224,
    pattern: r"[\w+=,.@:\/-]*",
    fits: |character| is_name_character(character) || matches!(character, ':' | '/'),
};
const POLICY: Shape = Shape {
    field: "policy",
    min: 1,
    max: 2048,
    pattern: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    fits: |character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
};
const TAG_KEY: Shape = Shape {
    field: "tags.member.key",
    min: 1,
    max: 128,
    pattern: r"[\p{L}\p{Z}\p{N}_.:/=+\-@]+",
    fits: is_tag_character,
};
const TAG_VALUE: Shape = Shape { field: "tags.member.value", min: 0, max: 256, ..TAG_KEY };

/// A validated AssumeRole. The fields are in the order of validation.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) role_arn: String,
    pub(crate) session_name: String,
    pub(crate) external_id: Option<String>,
    pub(crate) policy: Option<Policy>,
    /// Size of policy and tags, in percent of the space that AWS allots.
    pub(crate) packed_percent: Option<usize>,
    pub(crate) seconds: u64,
    pub(crate) tags: Vec<(String, String)>,
    pub(crate) source_identity: Option<String>,
}

impl Call {
    /// Reads and validates all parameters.
    pub(crate) fn parse(mut parameters: Parameters) -> Result<Self, Error> {
        let role_arn = ROLE_ARN.check(parameters.need("RoleArn", "roleArn")?)?;
        let session_name = SESSION_NAME.check(parameters.need("RoleSessionName", "roleSessionName")?)?;
        let optional = |shape: Shape, value: Option<String>| value.map(|value| shape.check(value)).transpose();
        let external_id = optional(EXTERNAL_ID, parameters.take("ExternalId"))?;
        let source_identity = optional(SOURCE_IDENTITY, parameters.take("SourceIdentity"))?;
        let text = optional(POLICY, parameters.take("Policy"))?;
        let seconds = parameters.take("DurationSeconds").map_or(Ok(DEFAULT_SECONDS), |text| read_seconds(&text))?;
        let tags = take_tags(&mut parameters)?;
        parameters.end()?;
        let packed_percent = packed_percent(text.as_deref(), &tags)?;
        let policy = text.map(|text| text.parse()).transpose().map_err(Error::MalformedPolicyDocument)?;
        Ok(Self { role_arn, session_name, external_id, policy, packed_percent, seconds, tags, source_identity })
    }
}

/// True if names of sessions and of roles may have this character.
pub(crate) fn is_name_character(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '+' | '=' | ',' | '.' | '@' | '-')
}

/// True if tags may have this character, those of sessions and those of S3's objects.
pub(crate) fn is_tag_character(character: char) -> bool {
    let plain = character.is_alphabetic() || character.is_numeric() || character == ' ';
    plain || matches!(character, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

fn read_seconds(text: &str) -> Result<u64, Error> {
    let refuse = |constraint: &str| Err(Error::constraint("durationSeconds", text, constraint));
    match text.parse::<u64>() {
        Ok(seconds) if SECONDS.contains(&seconds) => Ok(seconds),
        Ok(seconds) if seconds > *SECONDS.end() => refuse("Member must have value less than or equal to 43200"),
        _ => refuse("Member must have value greater than or equal to 900"),
    }
}

fn take_tags(parameters: &mut Parameters) -> Result<Vec<(String, String)>, Error> {
    let mut tags: Vec<(String, String)> = Vec::new();
    for number in 1.. {
        let Some(key) = parameters.take(&format!("Tags.member.{number}.Key")) else { break };
        let key = TAG_KEY.check(key)?;
        let value = TAG_VALUE.check(parameters.need(&format!("Tags.member.{number}.Value"), "tags.member.value")?)?;
        if tags.iter().any(|(there, _)| there.eq_ignore_ascii_case(&key)) {
            return Err(Error::Validation(format!("Duplicate tag keys found: {key}")));
        }
        tags.push((key, value));
    }
    if tags.len() > MAX_TAGS {
        let constraint = format!("Member must have length less than or equal to {MAX_TAGS}");
        return Err(Error::constraint("tags", &tags.len().to_string(), &constraint));
    }
    Ok(tags)
}

/// Size of policy and tags, in percent of twice the limit of a policy. AWS doesn't document its packing, so they count
/// unpacked here.
fn packed_percent(policy: Option<&str>, tags: &[(String, String)]) -> Result<Option<usize>, Error> {
    let tagged: usize = tags.iter().map(|(key, value)| key.chars().count() + value.chars().count()).sum();
    let characters = policy.map_or(0, |policy| policy.chars().count()) + tagged;
    let percent = (characters * 100).div_ceil(2 * POLICY.max);
    match percent {
        0 => Ok(None),
        1..=100 => Ok(Some(percent)),
        _ => Err(Error::PackedPolicyTooLarge { percent }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Parses the call of a form with a role and `rest`.
    fn call(rest: &[(&str, &str)]) -> Result<Call, Error> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("RoleArn", "arn:aws:iam::111122223333:role/r").extend_pairs(rest);
        Call::parse(Parameters::parse(form.finish().as_bytes())?)
    }

    fn refusal(name: &str, value: &str) -> String {
        let rest = [("RoleSessionName", "s1"), (name, value)];
        let rest = if name == "RoleSessionName" { &rest[1..] } else { &rest[..] };
        call(rest).expect_err(value).to_string()
    }

    #[test]
    fn values_have_the_lengths_and_characters_of_aws() {
        let long = |length: usize| "x".repeat(length);
        for (name, good) in [
            ("ExternalId", "a1:/=,.@_-+"),
            ("ExternalId", &long(1224)),
            ("SourceIdentity", "ab"),
            ("DurationSeconds", "900"),
            ("DurationSeconds", "43200"),
        ] {
            call(&[("RoleSessionName", "s1"), (name, good)]).unwrap();
        }
        for (name, wrong) in [
            ("RoleSessionName", ""),
            ("RoleSessionName", "a"),
            ("RoleSessionName", &long(65)),
            ("RoleSessionName", "a b"),
            ("RoleSessionName", "a/b"),
            ("RoleSessionName", "äö"),
            ("ExternalId", ""),
            ("ExternalId", "a"),
            ("ExternalId", "a b"),
            ("ExternalId", "a*"),
            ("ExternalId", &long(1225)),
            ("SourceIdentity", ""),
            ("SourceIdentity", "a:b"),
            ("DurationSeconds", "899"),
            ("DurationSeconds", "43201"),
            ("DurationSeconds", ""),
            ("DurationSeconds", "-900"),
            ("Policy", ""),
            ("Policy", "{\u{100}}"),
        ] {
            assert!(refusal(name, wrong).contains("failed to satisfy constraint: Member must"), "{name} {wrong}");
        }
        assert_eq!(
            refusal("ExternalId", ""),
            "1 validation error detected: Value '' at 'externalId' failed to satisfy constraint: Member must have \
             length greater than or equal to 2"
        );
    }

    #[test]
    fn what_nobody_asked_for_is_refused() {
        for name in ["PolicyArns.member.1.arn", "TransitiveTagKeys.member.1", "SerialNumber", "Tags.member.2.Key", "x"]
        {
            assert_eq!(refusal(name, "x"), format!("The parameter {name} is not known here"));
        }
        let twice = [("RoleSessionName", "s1"), ("ExternalId", "one"), ("ExternalId", "two")];
        assert_eq!(call(&twice).unwrap_err().to_string(), "Parameter ExternalId comes twice");
        assert!(call(&[]).unwrap_err().to_string().contains("Value null at 'roleSessionName'"));
    }

    #[test]
    fn a_policy_has_2048_characters_at_most_and_is_understood() {
        let policy = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
        let policy = |length: usize| format!("{policy:length$}");
        let packed = call(&[("RoleSessionName", "s1"), ("Policy", &policy(2048))]).unwrap().packed_percent;
        assert_eq!(packed, Some(50));
        assert!(refusal("Policy", &policy(2049)).contains("Member must have length less than or equal to 2048"));
        assert!(matches!(call(&[("RoleSessionName", "s1"), ("Policy", "{}")]), Err(Error::MalformedPolicyDocument(_))));
    }

    #[test]
    fn tags_come_in_order_and_take_room() {
        let tagged = |tags: &[(&str, &str)]| {
            let mut form = vec![("RoleSessionName".to_owned(), "s1".to_owned())];
            for (number, (key, value)) in (1..).zip(tags) {
                form.push((format!("Tags.member.{number}.Key"), (*key).to_owned()));
                form.push((format!("Tags.member.{number}.Value"), (*value).to_owned()));
            }
            call(&form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>())
        };
        let tags = [("tenant", "acme"), ("user", "")];
        let expected = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(tagged(&tags).unwrap().tags, expected);
        assert!(tagged(&[("tenant", "a"), ("Tenant", "b")]).is_err());
        assert!(tagged(&[("ten*nt", "a")]).is_err());
        let long = "v".repeat(256);
        let keys: Vec<String> = (10..30).map(|number| format!("k{number}")).collect();
        let many: Vec<(&str, &str)> = keys.iter().map(|key| (key.as_str(), long.as_str())).collect();
        assert!(matches!(tagged(&many), Err(Error::PackedPolicyTooLarge { percent: 127 })));
    }
}
