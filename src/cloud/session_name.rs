//! The session name of AssumeRole. It holds only values that STS takes.

use crate::{
    account::RoleArn,
    name::{TenantName, UserName},
};
use sha2::{Digest, Sha256};

/// The bytes of a tenant's and of a user's name in a session name. With the dots and the hash it stays below the 64
/// bytes that STS takes.
const SHOWN_BYTES: usize = 24;
/// The bytes of the hash, which distinguishes names that look alike when they are cut, or joined by a dot.
const HASH_BYTES: usize = 6;

/// Stands for the user in the name of the janitor's session. No user can have this name.
const JANITOR: &str = "-janitor";

/// The same in the name of the server's session with the vendor's role, which asks for the tenant's role.
const SERVER: &str = "-server";

/// The same in the name of a session that STS should refuse.
pub(super) const PROBE: &str = "-probe";

/// The same in the name of a session of `wharfinger tenant verify`.
const VERIFICATION: &str = "-verify";

/// The holder of a session: a user, or a part of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum SessionHolder {
    User(UserName),
    /// Aborts uploads which a tenant's users left open.
    Janitor,
    /// Assumes the tenant's role through the vendor's.
    Vendor,
    /// Proves to an operator what a user's sessions may do.
    Verification,
}

impl SessionHolder {
    /// The name of the holder's sessions.
    pub(super) fn session_name(&self, tenant: &TenantName) -> SessionName {
        match self {
            Self::User(user) => SessionName::new(tenant, user),
            Self::Janitor => SessionName::of_janitor(tenant),
            Self::Vendor => SessionName::of_server(tenant),
            Self::Verification => SessionName::of(tenant.as_str(), VERIFICATION),
        }
    }

    /// The value of the tag `user`, if the holder has one. A verification stands for a user.
    pub(super) fn user_tag(&self) -> Option<&str> {
        match self {
            Self::User(user) => Some(user.as_str()),
            Self::Janitor | Self::Vendor => None,
            Self::Verification => Some(VERIFICATION),
        }
    }
}

/// The name of a session, as the customer's CloudTrail shows it: `tenant.user.hash`, `tenant.-janitor.hash`,
/// `tenant.-server.hash`, `tenant.-probe.hash` or `tenant.-verify.hash`.
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
    pub(crate) fn of_janitor(tenant: &TenantName) -> Self {
        Self::of(tenant.as_str(), JANITOR)
    }

    /// The name of the server's session with the vendor's role, which asks for `tenant`'s role.
    #[must_use]
    pub(crate) fn of_server(tenant: &TenantName) -> Self {
        Self::of(tenant.as_str(), SERVER)
    }

    /// The name of the session that `tenant`'s role is asked for without its external ID.
    #[must_use]
    pub(crate) fn of_probe(tenant: &TenantName) -> Self {
        Self::of(tenant.as_str(), PROBE)
    }

    /// True if `arn` belongs to a session of a user of `tenant` with this `role`, or to one of a verification. S3 reports
    /// this ARN as the initiator of an upload. Users who are no longer in the config count too. For a name that was cut the
    /// hash can't be computed again, so only its form is checked.
    #[must_use]
    pub(crate) fn is_of_an_uploader(arn: &str, role: &RoleArn, tenant: &TenantName) -> bool {
        let name = role.session(arn).unwrap_or_default();
        if name == SessionHolder::Verification.session_name(tenant).0 {
            return true;
        }
        let behind_tenant = name.strip_prefix(shown(tenant.as_str())).and_then(|rest| rest.strip_prefix('.'));
        let Some((user, hash)) = behind_tenant.and_then(|rest| rest.rsplit_once('.')) else { return false };
        let Ok(user) = user.parse::<UserName>() else { return false };
        let is_cut = || user.as_str().len() == SHOWN_BYTES && is_hash(hash);
        Self::new(tenant, &user).0 == name || is_cut()
    }

    /// The pattern that the names of all sessions of `tenant` match. Names of tenants contain no wildcards.
    #[must_use]
    pub(crate) fn pattern(tenant: &TenantName) -> String {
        format!("{}.*", shown(tenant.as_str()))
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
            SessionName::is_of_an_uploader(&arn, &role, &tenant.parse().unwrap())
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
        assert!(!of("acme", &SessionName::of_server(&"acme".parse().unwrap()).0));
        assert!(!of("acme", &SessionName::of_probe(&"acme".parse().unwrap()).0));
        assert!(of("acme", &SessionHolder::Verification.session_name(&"acme".parse().unwrap()).0));
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
            assert!(!SessionName::is_of_an_uploader(&arn, &role, &"acme".parse().unwrap()), "{arn}");
        }
    }
}
