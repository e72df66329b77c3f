//! Tenant → credentials → bucket: the edge that knows AWS accounts. It makes the S3 clients that `store::S3Bucket`
//! speaks through, and hands them to `vfs` by tenant, user and mount.
//!
//! Where a tenant has a role, each mount of each user has credentials of its own: the second jail. See
//! [`SessionPolicy`], which says what they are good for, and `assume_role`, which gets them.
//!
//! Invariant: every client has its own tenant's credentials and its own retry allowance; what they share is the HTTP
//! client (one pool of connections, one TLS configuration), the default chain, and nothing else.

mod assume_role;
mod buckets;
mod clients;
mod place;
mod retries;
mod role;
mod secret;
mod session_policy;

pub use buckets::Buckets;
pub use place::{Base, Credentials, InvalidBucket, Place, Role};
pub use role::{ExternalId, InvalidRole, RoleArn, SessionName};
pub use secret::Secret;
pub use session_policy::{MAX_CHARACTERS as MAX_POLICY_CHARACTERS, NoPolicy, SessionPolicy};

pub use crate::store::{Checksums, PayloadSigning};
