//! The names of a tenant's bucket in policies.

use super::{document::literal, no_policy::NoPolicy};
use crate::account::{Storage, is_access_point_alias};

/// The ARNs that statements on a bucket and on its objects name.
pub(super) struct Arns {
    /// The ARN of the bucket or the access point.
    pub(super) bucket: String,
    /// The ARN of an object, up to its key.
    pub(super) objects: String,
    /// The encryption contexts that S3 passes to KMS: an object, or with S3 Bucket Keys the bucket. `None` for an
    /// access point, because its bucket is unknown.
    pub(super) encryption_contexts: Option<[String; 2]>,
}

impl Arns {
    pub(super) fn new(storage: &Storage) -> Result<Self, NoPolicy> {
        // S3 judges a request by the access point's ARN, whether it is addressed by that or by its alias.
        if let Some(arn) = storage.access_point() {
            let bucket = literal(arn);
            return Ok(Self { objects: format!("{bucket}/object/"), bucket, encryption_contexts: None });
        }
        if is_access_point_alias(&storage.bucket) {
            return Err(NoPolicy::Alias);
        }
        let bucket = format!("arn:{}:s3:::{}", storage.partition(), literal(&storage.bucket));
        let objects = format!("{bucket}/");
        let encryption_contexts = Some([bucket.clone(), format!("{objects}*")]);
        Ok(Self { bucket, objects, encryption_contexts })
    }

    /// True for a bucket, and false for an access point.
    pub(super) fn is_bucket(&self) -> bool {
        self.encryption_contexts.is_some()
    }
}
