//! Plain data: tenants, their users, and the mounts that users see. No IO; of ours it knows names alone.
//!
//! A [`Tenant`] is a customer of the vendor, a [`User`] a login of a tenant, a [`Mount`] an entry of the user's tree
//! together with the place in the tenant's bucket that it shows. Everything here was validated by `config`; names are
//! types, so that a tenant's name can't be taken for a user's.

mod credentials;
mod mounts;
pub(crate) mod password_hash;
mod permission;
mod public_key;
mod role;
mod secret;
mod storage;

pub use credentials::Credentials;
pub use mounts::{Denied, InvalidMounts, Mount, Mounts};
pub use password_hash::{InvalidPasswordHash, PasswordHash};
pub use permission::{Permission, Permissions, UnknownPermission};
pub use public_key::{InvalidPublicKey, PublicKey};
pub use role::{ExternalId, InvalidRole, Role, RoleArn};
pub use secret::Secret;
pub use storage::{BaseCredentials, Checksums, PayloadSigning, Storage, StorageCredentials};

use crate::name::{TenantName, UserName};
use std::time::Duration;

/// The largest file that may be uploaded, in bytes, where a tenant has no limit of its own. It leaves an upload room to
/// begin with small parts; a larger limit makes all of them large.
pub const DEFAULT_MAX_OBJECT_BYTES: u64 = 512 << 30;

/// How many objects may be renamed with their directory, where a tenant has no limit of its own.
pub const DEFAULT_MAX_RENAME_OBJECTS: u64 = 10_000;

/// How long an upload that was cut off can go on, where a tenant doesn't say.
pub const DEFAULT_PARTIAL_UPLOADS_KEPT_FOR: Duration = Duration::from_hours(7 * 24);

/// A customer of the vendor: one bucket, and the limits that hold for all of its users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    /// Unique in the server.
    pub name: TenantName,
    /// A disabled tenant's users can't log in; they look like unknown users.
    pub enabled: bool,
    /// The largest file that may be uploaded, in bytes. It gives the plan of part sizes.
    pub max_object_bytes: u64,
    /// Whether small files are fetched ahead for sessions that read a directory in the order of its listing.
    pub fetch_ahead: bool,
    /// How many objects may be renamed with their directory: each is a copy in S3.
    pub max_rename_objects: u64,
    /// How long an upload that was cut off can go on; `None` where none can.
    pub partial_uploads_kept_for: Option<Duration>,
}

/// A login of a tenant. Names are unique in the server, whatever the tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The SSH user name.
    pub name: UserName,
    /// The tenant it belongs to.
    pub tenant: TenantName,
    /// A disabled user looks like an unknown one.
    pub enabled: bool,
    /// The user's tree, and the directory in which a session starts.
    pub mounts: Mounts,
}
