//! The role that a tenant's sessions assume, and its parameters in AssumeRole. Each type holds only values that STS
//! takes.

use super::VendorRole;
use std::{fmt, str::FromStr};

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

/// True for the 12 digits of an AWS account.
pub(crate) fn is_account_id(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
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

    /// The account of the role, or an empty text for a store other than AWS that omits it.
    pub(crate) fn account(&self) -> &str {
        self.0.split(':').nth(4).unwrap_or_default()
    }

    /// The path of the role, which begins and ends in `/`, and its name.
    pub(crate) fn path_and_name(&self) -> (&str, &str) {
        let role = self.0.split_once(":role").map_or("/", |(_, role)| role);
        role.split_at(role.rfind('/').map_or(0, |slash| slash + 1))
    }

    /// The name of the session, if `arn` belongs to a session of this role. Such an ARN has the form
    /// `arn:PARTITION:sts::ACCOUNT:assumed-role/ROLE/SESSION`, where `ROLE` lacks its path.
    pub(crate) fn session<'a>(&self, arn: &'a str) -> Option<&'a str> {
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
                    && (account.is_empty() || is_account_id(account))
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
    /// Returns a new external ID: `wh-` and a random UUID.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn random() -> Result<Self, getrandom::Error> {
        let mut random = [0; 16];
        getrandom::fill(&mut random)?;
        Ok(Self(format!("wh-{}", uuid::Builder::from_random_bytes(random).into_uuid())))
    }

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

/// A role to assume, in the vendor's account or in the customer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// The ARN of the role.
    pub arn: RoleArn,
    /// The external ID that the role's trust policy requires. It keeps others who know only the ARN from using the role
    /// through this server. Sent with every request.
    pub external_id: ExternalId,
    /// Replaces the region's own STS endpoint.
    pub sts_endpoint: Option<String>,
    /// True if sessions carry the tags `tenant` and `user`. The trust policy must allow `sts:TagSession` then.
    pub session_tags: bool,
    /// True if sessions carry a source identity. The trust policy must allow `sts:SetSourceIdentity` then.
    pub source_identity: bool,
    /// True if users may log in although the role's trust policy doesn't require the external ID.
    pub accept_without_external_id: bool,
    /// The vendor's role, whose credentials ask for this one. `None`: the server's own credentials do.
    pub via: Option<VendorRole>,
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
    fn a_role_has_an_account_a_path_and_a_name() {
        let role: RoleArn = "arn:aws:iam::111122223333:role/path/to/wharfinger".parse().unwrap();
        assert_eq!((role.account(), role.path_and_name()), ("111122223333", ("/path/to/", "wharfinger")));
        let role: RoleArn = "arn:aws:iam:::role/S3".parse().unwrap();
        assert_eq!((role.account(), role.path_and_name()), ("", ("/", "S3")));
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
    fn a_new_external_id_is_a_random_uuid_that_sts_takes() {
        let new = ExternalId::random().unwrap();
        assert_eq!(new.as_str().parse(), Ok(new.clone()));
        let uuid: uuid::Uuid = new.as_str().strip_prefix("wh-").unwrap().parse().unwrap();
        // Version 4 has no time, which could be guessed.
        assert_eq!((uuid.get_version_num(), uuid.get_variant()), (4, uuid::Variant::RFC4122));
        assert_ne!(new, ExternalId::random().unwrap());
    }
}
