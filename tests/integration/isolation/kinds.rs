//! The kinds of tenants, by the place of a mount and by what its sessions may do.

use super::{Site, attempts::Attempt, site::PointAddress};
use aws_sdk_s3::Client;
use wharfinger::account::Permission;

/// A kind of tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TenantKind {
    /// A prefix of the vendor's bucket, and a role of the vendor that may do everything.
    VendorPrefix,
    /// A mount in a directory of the tenant's prefix.
    NestedMount,
    /// A bucket without a prefix.
    WholeBucket,
    /// A bucket in the tenant's account, with the role that `wharfinger tenant policy` prints.
    OwnAccount,
    /// As [`Self::VendorPrefix`], through the alias of an access point.
    AccessPointAlias,
    /// As [`Self::VendorPrefix`], through the ARN of an access point.
    AccessPointArn,
    /// A user who may read and list.
    ReadOnly,
    /// A user who may write new files and create directories.
    DropBox,
    /// The session in which the server aborts uploads that nobody finishes.
    Janitor,
}

impl TenantKind {
    /// The kinds, in the order of the documentation.
    pub const ALL: [Self; 9] = [
        Self::VendorPrefix,
        Self::NestedMount,
        Self::WholeBucket,
        Self::OwnAccount,
        Self::AccessPointAlias,
        Self::AccessPointArn,
        Self::ReadOnly,
        Self::DropBox,
        Self::Janitor,
    ];

    /// Returns a site of this kind on each store that has it.
    pub async fn sites(self) -> Vec<Site> {
        let promise = format!("escapes-{}", Self::ALL.iter().position(|kind| *kind == self).unwrap());
        let mut stores = vec![Site::demo(&promise).await];
        // SeaweedFS has no access points, and ministack judges them wrongly.
        let is_point = matches!(self, Self::AccessPointAlias | Self::AccessPointArn);
        if !is_point {
            stores.push(Site::ministack(&promise).await);
        }
        // SeaweedFS has one account.
        if !is_point && self != Self::OwnAccount {
            stores.push(Site::seaweedfs(&promise).await);
        }
        let mut sites = Vec::new();
        for site in stores {
            sites.push(match self {
                Self::NestedMount => site.with_nested_mount().await,
                Self::WholeBucket => site.with_whole_bucket().await,
                Self::OwnAccount => site.with_own_account().await,
                Self::AccessPointAlias => site.with_access_point(PointAddress::Alias).await,
                Self::AccessPointArn => site.with_access_point(PointAddress::Arn).await,
                _ => site,
            });
        }
        sites
    }

    /// Returns a client with the credentials of its sessions.
    pub async fn session(self, site: &Site) -> Client {
        match self {
            Self::ReadOnly => site.session(&[Permission::Read, Permission::List]).await,
            Self::DropBox => site.session(&[Permission::Write, Permission::Mkdir]).await,
            Self::Janitor => site.session_under(&site.policy_of_janitor()).await,
            _ => site.session(&Permission::ALL).await,
        }
    }

    /// A request that its sessions may make inside the mount.
    pub const fn permitted(self) -> Attempt {
        match self {
            Self::DropBox => Attempt::Put,
            Self::Janitor => Attempt::AbortUpload,
            _ => Attempt::Get,
        }
    }
}
