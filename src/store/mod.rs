//! Objects on a [`Bucket`]: S3, or in tests a double of it. The engines above it (`upload`, `download`, `objects`) know
//! no SDK, so that all their logic is tested without a network.
//!
//! Invariant: no function here takes a raw string for a name. Only a mount's prefix makes a
//! [`Key`](crate::name::Key) or [`Prefix`](crate::name::Prefix). That is the first of the two jails.

mod bucket;
mod error;
mod fair_bucket;
mod leftovers;
mod outage;
mod own_write;
mod refusal;
mod s3;
mod task;

pub use bucket::{
    Body, Bucket, Condition, ETag, Headers, ListScope, ListedObject, MultipartUpload, NewObject, Object, Page,
    PageToken, Part, PartsPage, Payload, Pin, Read, RemovalCondition, StoredObject, UploadId, UploadsPage,
    UploadsToken, VersionId,
};
pub use error::Error;
pub(crate) use fair_bucket::{FairBucket, RequestPermits};
pub use leftovers::{LeftoverObserver, NoObserver};
pub(crate) use outage::Outage;
pub(crate) use own_write::{confirm_own_write, in_clean_up, in_time, may_be_stored, put_confirmed};
pub use refusal::file_exists;
pub(crate) use refusal::{ask, first_names, missing_or_forbidden};
pub(crate) use s3::{S3Bucket, S3ObjectOptions, S3Options};
pub(crate) use s3::{is_credentials, reasons};
pub(crate) use task::OwnedTask;

/// The reason of [`Error::DailyLimit`], for the layers above, which don't decide on limits.
pub use crate::policy::DailyLimitReached;

/// The result of a storage operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;
