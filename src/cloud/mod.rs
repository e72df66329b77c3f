//! Tenant → credentials → bucket: the edge that knows AWS accounts. It makes the S3 clients that `store::S3Bucket`
//! uses, and provides them to `vfs` by tenant, user and mount.
//!
//! If a tenant has a role, each mount of each user has its own credentials: the second jail. [`SessionPolicy`] limits
//! them, and `assume_role` obtains them.
//!
//! Invariant: every client uses the credentials and the retry quota of its own tenant. Clients of different tenants
//! share only the HTTP client (one connection pool, one TLS configuration), the default chain, and the permits for requests.

mod account_check;
mod assume_role;
mod bucket_name;
mod buckets;
mod charged_requests;
mod clients;
mod iam_policy;
mod one_bucket;
mod retries;
mod session_name;
mod source;

pub(crate) use account_check::{AccountCheck, AccountChecks, CheckSession};
pub(crate) use bucket_name::check_bucket;
pub use buckets::{Bounds, S3Buckets};
pub use iam_policy::{
    BucketPolicy, MAX_CHARACTERS as MAX_POLICY_CHARACTERS, NoPolicy, RolePolicy, RoleTrust, ServerPolicy, SessionPolicy,
};
pub(crate) use iam_policy::{ascii as ascii_json, is_key_arn};
pub use one_bucket::OneBucket;
pub use session_name::SessionName;
pub use source::{BucketSource, Scope};

/// The rates of a session, for those who ask for its buckets.
pub(crate) use crate::policy::SessionPacers;
