//! Settings of one bucket.

use crate::iam::{AccountId, KmsKeyArn};
use std::collections::BTreeSet;

/// Settings of a bucket. The default is a private bucket, whose objects are encrypted with keys of S3.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketSettings {
    /// Default encryption of new objects: the KMS key, or keys of S3.
    pub kms_key: Option<KmsKeyArn>,
    /// True if objects are encrypted with a bucket key. The encryption context of KMS then is the bucket's ARN instead of
    /// the object's.
    pub bucket_key: bool,
    /// True if a bucket policy lets everyone list the bucket and read its objects, also without a signature.
    pub public_read: bool,
    /// True if requesters pay. Only requests of the bucket's own account may leave out that they do.
    pub requester_pays: bool,
    /// The accounts to whose access points the bucket's policy delegates all access, by `s3:DataAccessPointAccount`. The
    /// access points of all other accounts are of no use, also those of the bucket's own account if it isn't among these.
    ///
    /// Source: S3 user guide, "Delegating access control to access points".
    pub delegates_to: BTreeSet<AccountId>,
}
