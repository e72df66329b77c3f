//! The identity that the server has in AWS, as trust policies name it.

use super::is_account_id;
use std::{fmt, str::FromStr};

/// A text that no trust policy takes for the server's identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPrincipal {
    /// The text is no ARN of a role, a user or an account.
    #[error(
        "is no principal; it takes the ARN of a role or user, such as \"arn:aws:iam::111122223333:role/wharfinger-server\""
    )]
    Arn,
    /// The text is the ARN of a role's session.
    #[error(
        "names one session of a role; it takes the role's ARN, \"arn:aws:iam::ACCOUNT:role/NAME\" with the path of the role"
    )]
    Session,
}

/// The ARN of an IAM role or user, or of the root of an account, which stands for everyone whom that account permits.
///
/// Source: IAM user guide, "AWS JSON policy elements: Principal".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalArn(String);

impl FromStr for PrincipalArn {
    type Err = InvalidPrincipal;

    fn from_str(text: &str) -> Result<Self, InvalidPrincipal> {
        let fields: Vec<&str> = text.splitn(6, ':').collect();
        let printable = text.len() <= 2_048 && text.bytes().all(|b| b.is_ascii_graphic());
        match fields[..] {
            ["arn", _, "sts", "", _, session] if session.starts_with("assumed-role/") => Err(InvalidPrincipal::Session),
            ["arn", partition, "iam", "", account, name]
                if printable && !partition.is_empty() && is_account_id(account) && is_principal(name) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidPrincipal::Arn),
        }
    }
}

impl PrincipalArn {
    /// The account of the principal.
    pub(crate) fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// True if a caller with this ARN is the principal, or a session of it. A session's ARN has lost the role's path.
    ///
    /// Source: IAM user guide, "IAM identifiers"; STS API reference, GetCallerIdentity.
    pub(crate) fn is_of(&self, caller: &str) -> bool {
        let part = |arn: &str, index| arn.split(':').nth(index).unwrap_or_default().to_owned();
        if part(&self.0, 1) != part(caller, 1) || self.account() != part(caller, 4) {
            return false;
        }
        let (principal, caller_name) = (part(&self.0, 5), part(caller, 5));
        match principal.strip_prefix("role/") {
            Some(role) => {
                let name = role.rsplit('/').next().unwrap_or_default();
                let session = caller_name.strip_prefix("assumed-role/").and_then(|rest| rest.split_once('/'));
                session.is_some_and(|(role, _)| role == name)
            }
            None => principal == "root" || principal == caller_name,
        }
    }
}

/// True for `root`, and for the path and the name of a role or user.
fn is_principal(name: &str) -> bool {
    let named = name.strip_prefix("role/").or_else(|| name.strip_prefix("user/"));
    name == "root" || named.is_some_and(|name| !name.is_empty() && !name.ends_with('/') && !name.contains('*'))
}

impl fmt::Display for PrincipalArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_is_told_by_the_arn_of_a_caller() {
        let is_of = |principal: &str, caller: &str| {
            let principal: PrincipalArn = format!("arn:aws:iam::111122223333:{principal}").parse().unwrap();
            principal.is_of(caller)
        };
        let session = "arn:aws:sts::111122223333:assumed-role/server/i-0123";
        assert!(is_of("role/server", session) && is_of("role/path/server", session));
        assert!(is_of("user/path/server", "arn:aws:iam::111122223333:user/path/server"));
        assert!(is_of("root", session) && is_of("root", "arn:aws:iam::111122223333:root"));
        for (principal, caller) in [
            ("role/serve", session),
            ("role/server", "arn:aws:sts::444455556666:assumed-role/server/i-0123"),
            ("role/server", "arn:aws-cn:sts::111122223333:assumed-role/server/i-0123"),
            ("role/server", "arn:aws:iam::111122223333:user/server"),
            ("user/server", "arn:aws:iam::111122223333:user/other"),
            ("root", "arn:aws:iam::444455556666:user/server"),
            ("role/server", "nonsense"),
        ] {
            assert!(!is_of(principal, caller), "{principal} {caller}");
        }
    }

    #[test]
    fn a_principal_is_a_role_a_user_or_an_account() {
        for good in [
            "arn:aws:iam::111122223333:role/wharfinger-server",
            "arn:aws-us-gov:iam::111122223333:role/path/wharfinger-server",
            "arn:aws:iam::111122223333:user/server",
            "arn:aws:iam::111122223333:root",
        ] {
            let principal: PrincipalArn = good.parse().unwrap();
            assert_eq!((principal.to_string().as_str(), principal.account()), (good, "111122223333"));
        }
        for bad in [
            "",
            "*",
            "111122223333",
            "arn:aws:iam::1111:root",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/*",
            "arn:aws:iam::111122223333:group/x",
            "arn:aws:iam::111122223333:user/a b",
        ] {
            assert_eq!(bad.parse::<PrincipalArn>(), Err(InvalidPrincipal::Arn), "{bad}");
        }
        let session = "arn:aws:sts::111122223333:assumed-role/wharfinger-server/i-0123";
        assert_eq!(session.parse::<PrincipalArn>(), Err(InvalidPrincipal::Session));
    }
}
