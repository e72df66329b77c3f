//! The words by which roles are asked for: ARN, external ID, session name. Each is of a form that STS takes.

use crate::account::{TenantName, UserName};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// As much of a tenant's and of a user's name as a session name shows, in bytes. With the dots and the hash it stays
/// below the 64 bytes that STS takes.
const SHOWN_BYTES: usize = 24;
/// So many bytes of the hash tell two names apart that look alike when they are cut, or joined by a dot.
const HASH_BYTES: usize = 6;

/// A text that STS would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRole {
    /// No ARN of a role.
    #[error("is no role's ARN; it takes one such as \"arn:aws:iam::111122223333:role/wharfinger\"")]
    Arn,
    /// No external ID.
    #[error("doesn't fit; it takes 2 to 1,224 letters, digits, and any of `_+=,.@:/-`")]
    ExternalId,
}

/// The ARN of an IAM role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleArn(String);

impl RoleArn {
    /// As STS takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for RoleArn {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        let mut fields = text.splitn(6, ':');
        let fields = [(); 6].map(|()| fields.next().unwrap_or_default());
        match fields {
            // Stores other than AWS leave the account out.
            ["arn", partition, "iam", "", account, role]
                if printable
                    && text.len() <= 2_048
                    && !partition.is_empty()
                    && (account.is_empty() || account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit()))
                    && role.strip_prefix("role/").is_some_and(|name| !name.is_empty() && !name.ends_with('/')) =>
            {
                Ok(Self(text.to_owned()))
            }
            _ => Err(InvalidRole::Arn),
        }
    }
}

impl fmt::Display for RoleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An external ID (STS API reference, AssumeRole, `ExternalId`). No secret, and still nobody's business: `Debug`
/// shows its length.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalId(String);

impl ExternalId {
    /// As STS takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ExternalId {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"_+=,.@:/-".contains(&b);
        if (2..=1_224).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidRole::ExternalId)
        }
    }
}

impl fmt::Debug for ExternalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ExternalId({} characters)", self.0.len())
    }
}

/// Who a session is, as the customer's CloudTrail shows it: `tenant.user.hash`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionName(String);

impl SessionName {
    /// The name of `user`'s sessions. Names of tenants and users are made of letters that STS takes; long ones are cut.
    #[must_use]
    pub fn new(tenant: &TenantName, user: &UserName) -> Self {
        let (tenant, user) = (tenant.as_str(), user.as_str());
        let hash = Sha256::new().chain_update(tenant).chain_update([0]).chain_update(user).finalize();
        let hash = hex::encode(hash.get(..HASH_BYTES).unwrap_or_default());
        Self(format!("{}.{}.{hash}", shown(tenant), shown(user)))
    }

    /// As STS takes it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The beginning of a name, which is ASCII.
fn shown(name: &str) -> &str {
    name.get(..SHOWN_BYTES).unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_named_by_its_arn() {
        for good in [
            "arn:aws:iam::111122223333:role/wharfinger",
            "arn:aws-cn:iam::111122223333:role/path/to/wharfinger",
            "arn:aws:iam::role/S3",
            "arn:aws:iam:::role/S3",
        ] {
            let expected = if good == "arn:aws:iam::role/S3" { Err(InvalidRole::Arn) } else { Ok(good.to_owned()) };
            assert_eq!(good.parse::<RoleArn>().map(|arn| arn.to_string()), expected);
        }
        for bad in [
            "",
            "wharfinger",
            "arn:aws:iam::111122223333:user/wharfinger",
            "arn:aws:iam::1111:role/wharfinger",
            "arn:aws:iam::111122223333:role/",
            "arn:aws:iam::111122223333:role/a b",
            "arn:aws:s3:::role/wharfinger",
        ] {
            assert_eq!(bad.parse::<RoleArn>(), Err(InvalidRole::Arn), "{bad}");
        }
    }

    #[test]
    fn an_external_id_has_two_letters_and_is_not_shown() {
        assert_eq!("".parse::<ExternalId>(), Err(InvalidRole::ExternalId));
        assert_eq!("a".parse::<ExternalId>(), Err(InvalidRole::ExternalId));
        assert_eq!("a b".parse::<ExternalId>(), Err(InvalidRole::ExternalId));
        let id: ExternalId = "wh/9f86d081-884c:7d65".parse().unwrap();
        assert_eq!(format!("{id:?}"), "ExternalId(21 characters)");
    }

    #[test]
    fn a_session_name_says_who_and_fits() {
        let name = |tenant: &str, user: &str| SessionName::new(&tenant.parse().unwrap(), &user.parse().unwrap()).0;
        assert_eq!(name("acme", "alice@example.com"), "acme.alice@example.com.5fe95372a9f2");
        assert_ne!(name("a.b", "c"), name("a", "b.c"));
        let long = "n".repeat(99);
        assert_ne!(name(&long, &format!("{long}1")), name(&long, &format!("{long}2")));
        assert!(name(&long, &long).len() <= 64);
    }
}
