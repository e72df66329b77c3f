//! The destination of an upload, and the two requests that publish it.

use super::{
    error::UploadError,
    observer::{Publication, UploadObserver},
};
use crate::{
    name::Key,
    store::{Bucket, Condition, NewObject, Part, Payload, Result, StoredObject, UploadId, in_time, put_confirmed},
};
use std::sync::Arc;

/// The bucket and the name of a new object, and the observer of its upload.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) bucket: Arc<dyn Bucket>,
    pub(super) key: Key,
    pub(super) observer: Option<Arc<dyn UploadObserver>>,
}

impl Target {
    /// Publishes the object with one request.
    pub(super) async fn put(&self, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject> {
        put_confirmed(&*self.bucket, &self.key, payload, object, condition).await
    }

    /// Publishes the object that was uploaded in parts. The caller decides if a refusal may be due to its own success.
    pub(super) async fn complete(
        &self,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject> {
        in_time(self.bucket.complete_upload(&self.key, upload, parts, condition)).await
    }

    /// Tells the observer that S3 is about to publish `object`, which has `size` bytes.
    pub(super) fn tell_publishing(&self, object: &NewObject, size: u64) {
        if let (Some(observer), Some(token)) = (&self.observer, object.token()) {
            observer.publishing(Publication { bucket: self.bucket.id(), key: &self.key, token, size });
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
