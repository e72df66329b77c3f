//! The verdict about a role that STS was asked for without its external ID and with a wrong one, and the name under
//! which verdicts are stored.

use super::{ExternalId, Role, RoleArn};
use sha2::{Digest as _, Sha256};

/// The outcome of two requests for a role that its trust policy should refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoleVerdict {
    /// STS refused both requests.
    Closed,
    /// STS granted one of them: the trust policy doesn't require the external ID.
    Open(OpenBy),
}

/// The first of the two requests that STS granted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenBy {
    /// The request without an external ID.
    NoExternalId,
    /// The request with a random external ID.
    WrongExternalId,
}

impl RoleVerdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Closed, Self::Open(OpenBy::NoExternalId), Self::Open(OpenBy::WrongExternalId)];

    /// The verdict as the ledger stores it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open(OpenBy::NoExternalId) => "open without external ID",
            Self::Open(OpenBy::WrongExternalId) => "open with wrong external ID",
        }
    }

    /// Parses [`Self::as_str`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == text)
    }
}

impl OpenBy {
    /// The request, for log lines and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoExternalId => "without an external ID",
            Self::WrongExternalId => "with a wrong external ID",
        }
    }
}

/// The role that a verdict is about: all that STS's answer depends on, but for our own credentials. It has only hashes of
/// external IDs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProbedRole {
    /// The ARN of the role.
    pub arn: RoleArn,
    /// The SHA-256 of the ARN, a zero byte and the external ID, in 64 hexadecimal digits.
    pub external_id_hash: String,
    /// The STS that answers, and the identity that asks: the region, behind a space the endpoint if it isn't the region's own,
    /// and behind ` via ` the hash of the vendor's role if there is one, like [`Self::external_id_hash`].
    pub sts: String,
}

impl ProbedRole {
    /// The role, asked for in `region`.
    #[must_use]
    pub fn new(role: &Role, region: &str) -> Self {
        let endpoint = role.sts_endpoint.as_ref().map(|endpoint| format!(" {endpoint}")).unwrap_or_default();
        // A vendor's role that refuses its own external ID yields no verdict. Tenants that name another one must not wait
        // for that.
        let via =
            role.via.as_ref().map(|via| format!(" via {}", hash(via.arn(), via.external_id()))).unwrap_or_default();
        let sts = format!("{region}{endpoint}{via}");
        Self { arn: role.arn.clone(), external_id_hash: hash(&role.arn, Some(&role.external_id)), sts }
    }
}

fn hash(arn: &RoleArn, external_id: Option<&ExternalId>) -> String {
    let hash = Sha256::new().chain_update(arn.as_str()).chain_update([0]);
    hex::encode(hash.chain_update(external_id.map(ExternalId::as_str).unwrap_or_default()).finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::VendorRole;

    fn role(external_id: &str, sts_endpoint: Option<&str>) -> Role {
        Role {
            arn: "arn:aws:iam::111122223333:role/wharfinger".parse().unwrap(),
            external_id: external_id.parse().unwrap(),
            sts_endpoint: sts_endpoint.map(str::to_owned),
            session_tags: false,
            source_identity: false,
            accept_without_external_id: false,
            via: None,
        }
    }

    #[test]
    fn a_verdict_is_parsed_from_its_text() {
        for verdict in RoleVerdict::ALL {
            assert_eq!(RoleVerdict::parse(verdict.as_str()), Some(verdict));
        }
        assert_eq!(RoleVerdict::parse("open"), None);
    }

    #[test]
    fn a_verdict_is_of_one_role_external_id_and_sts() {
        let one = ProbedRole::new(&role("wh-1", None), "eu-central-1");
        assert_eq!(one, ProbedRole::new(&role("wh-1", None), "eu-central-1"));
        assert_eq!((one.external_id_hash.len(), one.sts.as_str()), (64, "eu-central-1"));
        assert!(!format!("{one:?}").contains("wh-1"));
        assert_ne!(one.external_id_hash, ProbedRole::new(&role("wh-2", None), "eu-central-1").external_id_hash);
        let via = |name: &str, external_id: Option<&str>| {
            let arn = format!("arn:aws:iam::111122223333:role/{name}").parse().unwrap();
            let vendor = VendorRole::new(arn, external_id.map(|id| id.parse().unwrap())).unwrap();
            ProbedRole::new(&Role { via: Some(vendor), ..role("wh-1", None) }, "eu-central-1")
        };
        let others = [
            one,
            ProbedRole::new(&role("wh-1", None), "eu-north-1"),
            ProbedRole::new(&role("wh-1", Some("http://127.0.0.1:8333")), "eu-central-1"),
            via("tenants", None),
            via("others", None),
            via("tenants", Some("wh-own")),
            via("tenants", Some("wh-other")),
        ];
        let different: std::collections::BTreeSet<_> = others.iter().collect();
        assert_eq!(different.len(), others.len(), "{others:?}");
        let chained = via("tenants", Some("wh-own")).sts;
        assert!(
            chained.starts_with("eu-central-1 via ") && chained.len() == "eu-central-1 via ".len() + 64,
            "{chained}"
        );
    }
}
