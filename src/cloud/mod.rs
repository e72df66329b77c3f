//! Tenant → credentials → bucket: the edge that knows AWS accounts. It makes the S3 clients that `store::S3Bucket`
//! speaks through, and hands them to `vfs` by tenant.
//!
//! Invariant: every client has its own tenant's credentials and its own retry allowance; what they share is the HTTP
//! client (one pool of connections, one TLS configuration) and nothing else.

mod buckets;
mod clients;
mod place;
mod secret;

pub use buckets::Buckets;
pub use place::{Credentials, Place};
pub use secret::Secret;

pub use crate::store::{Checksums, PayloadSigning};
