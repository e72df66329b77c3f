//! The parameters of AssumeRole: ARN, external ID, session name. Each type holds only values that STS takes.

use crate::name::{TenantName, UserName};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};

/// The bytes of a tenant's and of a user's name in a session name. With the dots and the hash it stays below the 64
/// bytes that STS takes.
const SHOWN_BYTES: usize = 24;
/// The bytes of the hash, which distinguishes names that look alike when they are cut, or joined by a dot.
const HASH_BYTES: usize = 6;

/// A text that STS would not take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRole {
    /// The text is no ARN of a role.
    #[error("is no role's ARN; it takes one such as \"arn:aws:iam::111122223333:role/wharfinger\"")]
    Arn,
    /// The text is no external ID.
    #[error("doesn't fit; it takes 2 to 1,224 letters, digits, and any of `_+=,.@:/-`")]
    ExternalId,
}

/// The ARN of an IAM role.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoleArn(String);

impl RoleArn {
    /// The ARN in the form that STS takes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RoleArn {
    /// The name of the session, if `arn` belongs to a session of this role. Such an ARN has the form
    /// `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION`, where `ROLE` lacks its path.
    fn session<'a>(&self, arn: &'a str) -> Option<&'a str> {
        let (before, role) = self.0.split_once(":role/")?;
        let (partition, account) = before.split_once(":iam::")?;
        let role = role.rsplit('/').next()?;
        arn.strip_prefix(&format!("{partition}:sts::{account}:assumed-role/{role}/"))
    }
}

impl FromStr for RoleArn {
    type Err = InvalidRole;

    fn from_str(text: &str) -> Result<Self, InvalidRole> {
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        let mut fields = text.splitn(6, ':');
        let fields = [(); 6].map(|()| fields.next().unwrap_or_default());
        match fields {
            // Stores other than AWS omit the account.
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

/// An external ID (STS API reference, AssumeRole, `ExternalId`). It is not a secret, but private: `Debug` shows only
/// its length.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ExternalId(String);

impl ExternalId {
    /// The external ID in the form that STS takes.
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

/// Stands for the user in the name of the janitor's session. No user can have this name.
const JANITOR: &str = "-janitor";

/// The name of a session, as the customer's CloudTrail shows it: `tenant.user.hash`, or `tenant.-janitor.hash`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionName(String);

impl SessionName {
    /// The name of `user`'s sessions. Tenant and user names contain only letters that STS takes. Long names are cut.
    #[must_use]
    pub fn new(tenant: &TenantName, user: &UserName) -> Self {
        Self::of(tenant.as_str(), user.as_str())
    }

    /// The name of the session that aborts uploads which a tenant's users left open.
    #[must_use]
    pub fn of_janitor(tenant: &TenantName) -> Self {
        Self::of(tenant.as_str(), JANITOR)
    }

    /// True if `arn` belongs to a session of a user of `tenant` with this `role`. S3 reports this ARN as the initiator
    /// of an upload. Users who are no longer in the config count too. For a name that was cut the hash can't be
    /// computed again, so only its form is checked.
    #[must_use]
    pub fn is_of_a_user(arn: &str, role: &RoleArn, tenant: &TenantName) -> bool {
        let name = role.session(arn).unwrap_or_default();
        let behind_tenant = name.strip_prefix(shown(tenant.as_str())).and_then(|rest| rest.strip_prefix('.'));
        let Some((user, hash)) = behind_tenant.and_then(|rest| rest.rsplit_once('.')) else { return false };
        let Ok(user) = user.parse::<UserName>() else { return false };
        let is_cut = || user.as_str().len() == SHOWN_BYTES && is_hash(hash);
        Self::new(tenant, &user).0 == name || is_cut()
    }

    fn of(tenant: &str, user: &str) -> Self {
        let hash = Sha256::new().chain_update(tenant).chain_update([0]).chain_update(user).finalize();
        let hash = hex::encode(hash.get(..HASH_BYTES).unwrap_or_default());
        Self(format!("{}.{}.{hash}", shown(tenant), shown(user)))
    }

    /// The name in the form that STS takes.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == 2 * HASH_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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

    #[test]
    fn a_session_of_ours_is_told_from_others() {
        let role: RoleArn = "arn:aws:iam::111122223333:role/path/to/files".parse().unwrap();
        let of = |tenant: &str, name: &str| {
            let arn = format!("arn:aws:sts::111122223333:assumed-role/files/{name}");
            SessionName::is_of_a_user(&arn, &role, &tenant.parse().unwrap())
        };
        let name = |tenant: &str, user: &str| SessionName::new(&tenant.parse().unwrap(), &user.parse().unwrap()).0;
        let long = "n".repeat(99);
        for user in ["alice@example.com", "b.c", "janitor", "u", &"u".repeat(24), &"u".repeat(25), &long] {
            for tenant in ["acme", "a.b", &long] {
                assert!(of(tenant, &name(tenant, user)), "{user} of {tenant}");
            }
        }
        assert!(!of("acme", &name("globex", "alice")) && !of("globex", &name("acme", "alice")));
        assert!(!of("a", &name("a.b", "c")) && !of("a.b", &name("a", "b.c")));
        assert!(!of(&format!("{long}1"), &name(&format!("{long}2"), "alice")));
        assert!(!of("acme", &SessionName::of_janitor(&"acme".parse().unwrap()).0));
        let cut = "u".repeat(24);
        for other in [
            "",
            "acme",
            "acme.alice",
            "acme..0123456789ab",
            "acme.alice.0123456789ab",
            "acme.alice@example.com.5fe95372a9f",
            "acme.alice@example.com.5fe95372a9f2.",
            &format!("acme.{cut}.job"),
            &format!("acme.{cut}.0123456789AB"),
            &format!("acme.{cut}u.0123456789ab"),
        ] {
            assert!(!of("acme", other), "{other}");
        }
    }

    #[test]
    fn a_session_of_another_role_is_not_ours() {
        let role: RoleArn = "arn:aws:iam::111122223333:role/path/to/files".parse().unwrap();
        let name = SessionName::new(&"acme".parse().unwrap(), &"alice".parse().unwrap()).0;
        for arn in [
            format!("arn:aws:sts::111122223333:assumed-role/path/to/files/{name}"),
            format!("arn:aws:sts::111122223333:assumed-role/other/{name}"),
            format!("arn:aws:sts::444455556666:assumed-role/files/{name}"),
            format!("arn:aws-cn:sts::111122223333:assumed-role/files/{name}"),
            format!("arn:aws:iam::111122223333:user/{name}"),
            "arn:aws:iam::111122223333:role/path/to/files".to_owned(),
            name,
        ] {
            assert!(!SessionName::is_of_a_user(&arn, &role, &"acme".parse().unwrap()), "{arn}");
        }
    }
}
