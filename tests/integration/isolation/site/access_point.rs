//! Acme's prefix behind an access point of the vendor's bucket. Only the demo has access points.

use super::{ACCOUNT, BUCKETS, RunningStore, Site};
use crate::support::demo::client_by_host;
use aws_credential_types::Credentials;
use fake_aws::{
    BucketSettings,
    iam::{AccessPoint, AccountId},
};
use std::{collections::BTreeMap, net::SocketAddr};
use wharfinger::account::{BucketAddress, Storage};

/// The way to address an access point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PointAddress {
    Alias,
    Arn,
}

impl PointAddress {
    pub const ALL: [Self; 2] = [Self::Alias, Self::Arn];

    /// The storage behind acme's access point, as config states it.
    pub fn storage(self, storage: Storage) -> Storage {
        let point = point("acme");
        let address = BucketAddress { access_point_arn: (self == Self::Alias).then(|| point.arn()), ..storage.address };
        // The SDK refuses the path style for an ARN.
        let path_style = self == Self::Alias;
        Storage { bucket: self.name(&point), address, path_style, ..storage }
    }

    /// The name in the bucket's place.
    fn name(self, point: &AccessPoint) -> String {
        match self {
            Self::Alias => point.alias.clone(),
            Self::Arn => point.arn(),
        }
    }
}

/// The access point in front of acme's mount.
pub(super) struct SitePoint {
    /// The name of globex's access point to the same bucket.
    other: String,
    /// The address of the store, if clients address it by the hosts of AWS.
    pub(super) by_host: Option<SocketAddr>,
}

/// An access point of the vendor's bucket.
fn point(name: &str) -> AccessPoint {
    AccessPoint {
        name: name.to_owned(),
        account: ACCOUNT.parse().unwrap(),
        region: "us-east-1".to_owned(),
        alias: format!("{name}-1a2b3c4d-s3alias"),
        bucket: BUCKETS[0].to_owned(),
        policy: None,
    }
}

/// The access points of acme and globex.
pub(super) fn access_points() -> Vec<AccessPoint> {
    ["acme", "globex"].map(point).into()
}

/// The settings of the vendor's bucket, which delegates access to its access points.
pub(super) fn delegating() -> BTreeMap<String, BucketSettings> {
    let delegates_to = [ACCOUNT.parse::<AccountId>().unwrap()].into();
    [(BUCKETS[0].to_owned(), BucketSettings { delegates_to, ..BucketSettings::default() })].into()
}

impl Site {
    /// The site with acme's mount behind an access point.
    pub async fn with_access_point(mut self, address: PointAddress) -> Self {
        let RunningStore::Demo(aws) = &self.store else { panic!("only the demo has access points") };
        let by_host = (address == PointAddress::Arn).then_some(aws.address);
        if let Some(server) = by_host {
            self.admin = client_by_host(server, Credentials::new("admin", "secret", None, None, "test"));
        }
        self.storage = address.storage(self.storage);
        self.bucket.clone_from(&self.storage.bucket);
        self.point = Some(SitePoint { other: address.name(&point("globex")), by_host });
        self.fill().await;
        self
    }

    /// The bucket itself and another access point of it, if acme's mount is behind one.
    pub fn beside_the_access_point(&self) -> Option<[&str; 2]> {
        self.point.as_ref().map(|point| [BUCKETS[0], point.other.as_str()])
    }
}
