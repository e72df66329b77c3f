//! The parameters of calls about a role, validated as AWS does.

use super::error::Error;
use crate::{
    iam::{IamRole, MalformedPolicy, Policy, TrustPolicy},
    sts::{self, Parameters, Shape, is_name_character},
};
use std::{ops::RangeInclusive, str::FromStr, time::Duration};

/// The actions of [`RoleOperation`].
pub(super) const ACTIONS: &[&str] = &[
    "CreateRole",
    "DeleteRole",
    "DeleteRolePolicy",
    "GetRole",
    "GetRolePolicy",
    "PutRolePolicy",
    "UpdateAssumeRolePolicy",
];

const SECONDS: RangeInclusive<u64> = 3600..=43_200;

const ROLE_NAME: Shape = Shape { field: "roleName", min: 1, max: 64, pattern: r"[\w+=,.@-]+", fits: is_name_character };
const POLICY_NAME: Shape = Shape { field: "policyName", max: 128, ..ROLE_NAME };
const PATH: Shape = Shape {
    field: "path",
    min: 1,
    max: 512,
    pattern: r"(\u002F)|(\u002F[\u0021-\u007E]+\u002F)",
    fits: |character| character.is_ascii_graphic(),
};
const DOCUMENT: Shape = Shape {
    field: "policyDocument",
    min: 1,
    max: 131_072,
    pattern: r"[\u0009\u000A\u000D\u0020-\u00FF]+",
    fits: |character| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{ff}'),
};
const TRUST: Shape = Shape { field: "assumeRolePolicyDocument", ..DOCUMENT };

/// A validated call about a role.
#[derive(Clone, Debug)]
pub(crate) enum RoleOperation {
    Create { path: String, trust: TrustPolicy, max_session: Duration },
    Get,
    SetTrust(TrustPolicy),
    PutPolicy { policy_name: String, policy: Policy },
    ReadPolicy { policy_name: String },
    RemovePolicy { policy_name: String },
    Remove,
}

/// Reads the name of the role and the call.
pub(super) fn parse(action: &str, mut parameters: Parameters) -> Result<(String, RoleOperation), Error> {
    let name = ROLE_NAME.check(parameters.need("RoleName", "roleName")?)?;
    let mut needed = |shape: Shape, parameter: &str| shape.check(parameters.need(parameter, shape.field)?);
    let operation = match action {
        "CreateRole" => {
            let trust = policy(&needed(TRUST, "AssumeRolePolicyDocument")?)?;
            let path = path(parameters.take("Path"))?;
            RoleOperation::Create { path, trust, max_session: max_session(parameters.take("MaxSessionDuration"))? }
        }
        "GetRole" => RoleOperation::Get,
        "UpdateAssumeRolePolicy" => RoleOperation::SetTrust(policy(&needed(DOCUMENT, "PolicyDocument")?)?),
        "PutRolePolicy" => RoleOperation::PutPolicy {
            policy_name: needed(POLICY_NAME, "PolicyName")?,
            policy: policy(&needed(DOCUMENT, "PolicyDocument")?)?,
        },
        "GetRolePolicy" => RoleOperation::ReadPolicy { policy_name: needed(POLICY_NAME, "PolicyName")? },
        "DeleteRolePolicy" => RoleOperation::RemovePolicy { policy_name: needed(POLICY_NAME, "PolicyName")? },
        "DeleteRole" => RoleOperation::Remove,
        _ => return Err(sts::Error::InvalidAction(action.to_owned()).into()),
    };
    parameters.end()?;
    Ok((name, operation))
}

fn policy<P: FromStr<Err = MalformedPolicy>>(document: &str) -> Result<P, sts::Error> {
    document.parse().map_err(sts::Error::MalformedPolicyDocument)
}

fn path(path: Option<String>) -> Result<String, sts::Error> {
    let path = PATH.check(path.unwrap_or_else(|| "/".to_owned()))?;
    let is_folder = path == "/" || (path.len() > 2 && path.starts_with('/') && path.ends_with('/'));
    if is_folder { Ok(path) } else { Err(PATH.mismatch(&path)) }
}

fn max_session(seconds: Option<String>) -> Result<Duration, sts::Error> {
    let Some(text) = seconds else { return Ok(IamRole::DEFAULT_MAX_SESSION) };
    let seconds = text.parse::<u64>().ok().filter(|seconds| SECONDS.contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| {
        let bound = format!("Member must be between {} and {}", SECONDS.start(), SECONDS.end());
        sts::Error::constraint("maxSessionDuration", &text, &bound)
    })
}
