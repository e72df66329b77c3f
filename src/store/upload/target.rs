//! The destination of an upload, and the two requests that publish it.

use super::{
    answer::{in_clean_up, in_time},
    error::UploadError,
    observer::UploadObserver,
};
use crate::{
    name::Key,
    store::{Bucket, Condition, Error, NewObject, Part, Payload, Result, Stored, UploadId},
};
use std::sync::Arc;

/// The bucket and the name of a new object, and the observer of its upload.
#[derive(Clone, Debug)]
pub(in crate::store) struct Target {
    pub(in crate::store) bucket: Arc<dyn Bucket>,
    pub(in crate::store) key: Key,
    pub(in crate::store) observer: Option<Arc<dyn UploadObserver>>,
}

impl Target {
    /// Publishes the object with one request.
    pub(in crate::store) async fn put(
        &self,
        payload: Payload,
        object: &NewObject,
        condition: Condition,
    ) -> Result<Stored> {
        match in_time(self.bucket.put(&self.key, payload, object, condition)).await {
            Err(error) if is_open(&error) => self.believe(error, object).await,
            settled => settled,
        }
    }

    /// Publishes the object that was uploaded in parts. The caller decides if a refusal may be due to its own success.
    pub(super) async fn complete(&self, upload: &UploadId, parts: &[Part], condition: Condition) -> Result<Stored> {
        in_time(self.bucket.complete_upload(&self.key, upload, parts, condition)).await
    }

    /// A refusal after a lost answer may be due to our own success. One HEAD tells: if so, the object has the upload's
    /// token.
    pub(super) async fn believe(&self, error: Error, object: &NewObject) -> Result<Stored> {
        match in_clean_up(self.bucket.head(&self.key)).await {
            Some(Ok(there)) if there.metadata.get(NewObject::TOKEN).map(String::as_str) == object.token() => {
                Ok(Stored::described(there))
            }
            _ => Err(error),
        }
    }

    /// Reports the result of a storing request to the observer, if S3 gave it.
    pub(super) fn observe<T>(&self, answer: &Result<T, UploadError>) {
        match (&self.observer, answer) {
            (Some(observer), Ok(_)) => observer.stored(),
            (Some(observer), Err(UploadError::Storage(error))) => observer.failed(&self.key, error),
            (_, _) => {}
        }
    }
}

/// True if the object may have been stored nevertheless.
pub(super) fn is_open(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable(_) | Error::Conflict { .. } | Error::NotFound | Error::Throttled { .. } | Error::Broken(_)
    )
}
