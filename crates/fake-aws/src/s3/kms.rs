//! The KMS keys behind S3: the default key of each bucket, and the keys that a test disabled. Every key exists, and no key
//! has a policy, so callers reach only the keys of their own account.

use super::{
    bucket::BucketSettings,
    caller::Caller,
    encryption::{ObjectEncryption, ObjectKmsKey},
    error::{Error, Result},
};
use crate::iam::KmsKeyArn;
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};

/// The permission to encrypt an object.
pub(crate) const ENCRYPT: &str = "kms:GenerateDataKey";
/// The permission to read an encrypted object, or to add to an upload.
pub(crate) const DECRYPT: &str = "kms:Decrypt";

#[derive(Debug)]
pub(crate) struct KmsKeys {
    defaults: BTreeMap<String, ObjectKmsKey>,
    disabled: Mutex<BTreeSet<KmsKeyArn>>,
}

impl KmsKeys {
    /// Keys with the default keys of buckets. All are enabled.
    pub(crate) fn of(buckets: &BTreeMap<String, BucketSettings>) -> Self {
        let key = |settings: &BucketSettings| {
            let arn = settings.kms_key.clone()?;
            Some(ObjectKmsKey { arn, bucket_key: settings.bucket_key, dual_layer: false })
        };
        let keys = buckets.iter().filter_map(|(bucket, settings)| Some((bucket.clone(), key(settings)?)));
        Self { defaults: keys.collect(), disabled: Mutex::default() }
    }

    /// Disables these keys, and enables all others.
    pub(crate) fn disable(&self, keys: BTreeSet<KmsKeyArn>) {
        *self.disabled.lock() = keys;
    }

    /// The encryption of an object whose request doesn't name one.
    pub(crate) fn default_of(&self, bucket: &str) -> ObjectEncryption {
        ObjectEncryption(self.defaults.get(bucket).cloned())
    }

    /// Checks that the caller may perform `actions` with the key of an object, and that the key is enabled. Without
    /// actions, S3 doesn't call KMS.
    pub(crate) fn check(
        &self,
        caller: &Caller,
        actions: &[&str],
        encryption: &ObjectEncryption,
        (bucket, key): (&str, &str),
    ) -> Result<()> {
        let Some(ObjectKmsKey { arn, bucket_key, .. }) = &encryption.0 else { return Ok(()) };
        let context =
            if *bucket_key { format!("arn:aws:s3:::{bucket}") } else { format!("arn:aws:s3:::{bucket}/{key}") };
        if !actions.is_empty() && caller.principal().is_err() {
            return Err(Error::InvalidArgument(
                "Requests specifying Server Side Encryption with AWS KMS managed keys require AWS Signature Version 4.",
            ));
        }
        for action in actions {
            caller.may_use_key(action, arn, &context)?;
        }
        if !actions.is_empty() && self.disabled.lock().contains(arn) {
            Err(Error::KmsKeyDisabled(arn.to_string()))
        } else {
            Ok(())
        }
    }
}
