//! Tenant → credentials → bucket: the edge that knows AWS accounts. It makes the S3 clients that `store::S3Bucket`
//! uses, and provides them to `vfs` by tenant, user and mount.
//!
//! If a tenant has a role, each mount of each user has its own credentials: the second jail. [`SessionPolicy`] limits
//! them, and `assume_role` obtains them.
//!
//! Invariant: every client uses the credentials and the retry allowance of its own tenant. Clients of different tenants
//! share only the HTTP client (one connection pool, one TLS configuration) and the default chain.

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
