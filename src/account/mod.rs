//! Plain data: tenants, their users, and the users' mounts. Does no IO, and imports only `name`.
//!
//! A [`Tenant`] is a customer of the vendor. A [`User`] is a login of a tenant. A [`Mount`] maps an entry of the user's
//! tree to a prefix of the tenant's bucket. `config` has validated all values here. Names are types, so that code can't
//! confuse a tenant's name with a user's.

mod credentials;
mod daily_figures;
mod mounts;
mod object_settings;
pub(crate) mod password_hash;
mod permission;
mod principal_arn;
mod public_key;
mod rate_figures;
mod role;
mod role_verdict;
mod secret;
mod storage;
mod vendor_role;

pub use credentials::Credentials;
pub use daily_figures::{DailyAmounts, DailyFigures, DailyLimits, DailyResource};
pub use mounts::{Denied, InvalidMounts, Mount, Mounts};
pub use object_settings::{Encryption, ObjectMetadata, ObjectSettings, ObjectTag};
pub(crate) use password_hash::PasswordHash;
pub use permission::{Permission, Permissions, UnknownPermission};
pub use principal_arn::{InvalidPrincipal, PrincipalArn};
pub use public_key::{InvalidPublicKey, PublicKey};
pub use rate_figures::{RateFigures, RateLimits, TenantRates};
pub(crate) use role::is_account_id;
pub use role::{ExternalId, InvalidRole, Role, RoleArn};
pub use role_verdict::{OpenBy, ProbedRole, RoleVerdict};
pub use secret::Secret;
pub(crate) use storage::is_access_point_alias;
pub use storage::{BaseCredentials, BucketAddress, Checksums, PayloadSigning, Storage, StorageCredentials};
pub use vendor_role::VendorRole;

use crate::name::{TenantName, UserName};
use std::time::Duration;

/// The default limit on the size of an upload, in bytes. It still lets an upload begin with small parts; a larger limit
/// makes all parts large.
pub(crate) const DEFAULT_MAX_OBJECT_BYTES: u64 = 512 << 30;

/// The default limit on the number of objects that are renamed with their directory.
pub(crate) const DEFAULT_MAX_RENAME_OBJECTS: u64 = 10_000;

/// The default time for which an interrupted upload can be resumed.
pub const DEFAULT_PARTIAL_UPLOADS_KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// A customer of the vendor: one bucket, and the limits for all of its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Unique in the server.
    pub name: TenantName,
    /// False if the tenant's users can't log in. The server treats them like unknown users.
    pub enabled: bool,
    /// The maximum size of an upload, in bytes. It determines the plan of part sizes.
    pub max_object_bytes: u64,
    /// True if the server prefetches small files for sessions that read a directory in the order of its listing.
    pub fetch_ahead: bool,
    /// The maximum number of objects that are renamed with their directory. Each is a copy in S3.
    pub max_rename_objects: u64,
    /// The time for which an interrupted upload can be resumed. `None` if it can't be resumed.
    pub partial_uploads_kept_for: Option<Duration>,
    /// The parts of a new file's origin that its metadata names.
    pub object_metadata: ObjectMetadata,
    /// The limits on what the tenant uses in a day.
    pub daily_limits: DailyLimits,
    /// The limits on what the tenant uses in a second.
    pub rates: TenantRates,
}

impl Tenant {
    /// A tenant with the default limits: those of a file that sets none.
    #[must_use]
    pub fn new(name: TenantName) -> Self {
        Self {
            name,
            enabled: true,
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
            fetch_ahead: true,
            max_rename_objects: DEFAULT_MAX_RENAME_OBJECTS,
            partial_uploads_kept_for: Some(DEFAULT_PARTIAL_UPLOADS_KEPT_FOR),
            object_metadata: ObjectMetadata::default(),
            daily_limits: DailyLimits::default(),
            rates: TenantRates::default(),
        }
    }
}

/// A login of a tenant. Names are unique in the server, whatever the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The SSH user name.
    pub name: UserName,
    /// The user's tenant.
    pub tenant: TenantName,
    /// False if the user can't log in. The server treats it like an unknown user.
    pub enabled: bool,
    /// The user's tree, and the directory in which a session starts.
    pub mounts: Mounts,
}
