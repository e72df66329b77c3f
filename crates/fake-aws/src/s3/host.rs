//! The bucket or the access point in the name of a host, as the SDKs write it.
//!
//! | host | in the bucket's place |
//! |---|---|
//! | `NAME.s3.REGION.amazonaws.com`, `NAME.localhost`, `NAME.127.0.0.1` | the bucket or the alias `NAME` |
//! | `NAME-ACCOUNT.s3-accesspoint.REGION.amazonaws.com`, `NAME-ACCOUNT.localhost` | the access point `NAME` |
//!
//! The service may also be `s3-fips` or `s3-accesspoint-fips`, and `dualstack` may stand before the region. Without a name
//! in front, and on every other host, the path names the bucket. With an endpoint of its own, an SDK puts the name before
//! the endpoint's host. No resolver finds such a name at an IP address, so clients send them there themselves.
//!
//! Sources: S3 user guide, "Virtual hosting of general purpose buckets" and "Virtual-hosted–style URI" of access points;
//! the endpoint rules of the SDKs (`endpoint-rule-set.json`).

use super::error::Error;
use crate::iam::{AccessPoint, Register};
use s3s::{
    S3Result,
    host::{S3Host, VirtualHost},
};
use std::{net::IpAddr, sync::Arc};

/// Finds buckets and access points by the hosts of requests.
#[derive(Debug)]
pub(crate) struct HostNames {
    register: Arc<Register>,
    /// The address that this S3 listens on.
    address: IpAddr,
}

/// The kind of S3's hosts in AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HostKind {
    Bucket,
    AccessPoint,
}

impl HostNames {
    pub(crate) fn new(register: Arc<Register>, address: IpAddr) -> Self {
        Self { register, address }
    }

    /// Returns the name that stands in the bucket's place, which for an access point is its alias.
    fn find<'a>(&'a self, host: &'a str) -> Result<Option<&'a str>, Error> {
        let host = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if let Some((name, kind, region)) = in_aws(host) {
            return match kind {
                HostKind::Bucket => Ok(Some(name)),
                HostKind::AccessPoint => {
                    let is_here = |point: &&AccessPoint| point.label() == name && point.region == region;
                    let point = self.register.access_points().iter().find(is_here);
                    point.map(|point| Some(&*point.alias)).ok_or(Error::NoSuchAccessPoint)
                }
            };
        }
        let own = self.address.to_string();
        let name =
            ["localhost", own.as_str()].into_iter().find_map(|domain| host.strip_suffix(domain)?.strip_suffix('.'));
        let point = self.register.access_points().iter().find(|point| Some(&*point.label()) == name);
        Ok(point.map(|point| &*point.alias).or(name))
    }
}

impl S3Host for HostNames {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let found = VirtualHost::new(host);
        Ok(match self.find(host)? {
            Some(name) => found.with_bucket(name),
            None => found,
        })
    }
}

/// Reads `NAME.SERVICE[.dualstack].REGION.amazonaws.com`. Returns the name, the kind and the region.
fn in_aws(host: &str) -> Option<(&str, HostKind, &str)> {
    let (rest, region) = host.strip_suffix(".amazonaws.com")?.rsplit_once('.')?;
    let rest = rest.strip_suffix(".dualstack").unwrap_or(rest);
    let (name, service) = rest.rsplit_once('.')?;
    let kind = match service {
        "s3" | "s3-fips" => HostKind::Bucket,
        "s3-accesspoint" | "s3-accesspoint-fips" => HostKind::AccessPoint,
        _ => return None,
    };
    Some((name, kind, region))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::{AccountId, BucketAccess};

    const ALIAS: &str = "acme-1a2b3c4d-s3alias";

    fn hosts() -> HostNames {
        let point = AccessPoint {
            name: "acme".to_owned(),
            account: AccountId::EXAMPLE,
            region: "eu-central-1".to_owned(),
            alias: ALIAS.to_owned(),
            bucket: "vendor".to_owned(),
            policy: None,
        };
        let access = BucketAccess { access_points: vec![point], ..BucketAccess::default() };
        let buckets = vec![("vendor".to_owned(), AccountId::EXAMPLE)];
        let register = Register::new(Vec::new(), Vec::new(), buckets, access);
        HostNames::new(Arc::new(register), IpAddr::from([127, 0, 0, 1]))
    }

    #[test]
    fn a_host_names_a_bucket_or_an_access_point_or_none() {
        let hosts = hosts();
        for (host, name) in [
            ("vendor.s3.eu-central-1.amazonaws.com", Some("vendor")),
            ("my.files.s3-fips.dualstack.us-east-1.amazonaws.com", Some("my.files")),
            ("acme-1a2b3c4d-s3alias.s3.eu-central-1.amazonaws.com", Some(ALIAS)),
            ("acme-123456789012.s3-accesspoint.eu-central-1.amazonaws.com", Some(ALIAS)),
            ("acme-123456789012.s3-accesspoint-fips.dualstack.eu-central-1.amazonaws.com:443", Some(ALIAS)),
            ("acme-123456789012.localhost:9000", Some(ALIAS)),
            ("acme-123456789012.127.0.0.1:9000", Some(ALIAS)),
            ("acme-1a2b3c4d-s3alias.127.0.0.1:9000", Some(ALIAS)),
            ("vendor.localhost", Some("vendor")),
            ("localhost:9000", None),
            ("s3.eu-central-1.amazonaws.com", None),
            ("s3.dualstack.eu-central-1.amazonaws.com", None),
            ("sts.us-east-1.amazonaws.com", None),
            ("vendor.example.org", None),
        ] {
            assert_eq!(hosts.find(host).unwrap(), name, "{host}");
        }
    }

    #[test]
    fn an_access_point_has_a_host_in_its_account_and_region_alone() {
        for host in ["acme-123456789012.s3-accesspoint.us-east-1", "acme-999999999999.s3-accesspoint.eu-central-1"] {
            let host = format!("{host}.amazonaws.com");
            assert!(matches!(hosts().find(&host), Err(Error::NoSuchAccessPoint)), "{host}");
        }
    }
}
