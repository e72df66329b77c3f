//! Writes of objects that are sure of their outcome: time limits on S3's answers, and the check if an object was stored
//! although S3's answer was lost or refused it.
//!
//! The SDK tries up to seven times, and waits ten minutes for the answer to each try. No client waits that long for a
//! CLOSE, and the requests behind that CLOSE wait with it.
//!
//! Invariant: another client's object is never taken for our own. Only our own object has the upload's token.

use super::{Bucket, Condition, Error, NewObject, Payload, Result, StoredObject};
use crate::name::Key;
use std::time::Duration;
use tokio::time::timeout;

/// The limit on all tries together. Together with the check if the object was stored nevertheless, and the end of the
/// upload, a CLOSE ends within 15 minutes. S3 takes some minutes to complete many GiB.
const LIMIT: Duration = Duration::from_mins(12);

/// The time that a failed CLOSE waits for its cleanup.
const CLEAN_UP_LIMIT: Duration = Duration::from_mins(1);

/// Waits for S3's answer to a request of an upload, or to one of several.
///
/// # Errors
/// [`Error::Unreachable`] after 12 minutes, and the errors of the request.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = || Error::Unreachable(format!("no answer for {} minutes", LIMIT.as_secs() / 60));
    timeout(LIMIT, answer).await.unwrap_or_else(|_| Err(silent()))
}

/// Waits for the cleanup of a failed upload. `None` if S3 doesn't answer within a minute.
pub(crate) async fn in_clean_up<T>(ending: impl Future<Output = T>) -> Option<T> {
    timeout(CLEAN_UP_LIMIT, ending).await.ok()
}

/// Stores the object with one request.
pub(crate) async fn put_confirmed(
    bucket: &dyn Bucket,
    key: &Key,
    payload: Payload,
    object: &NewObject,
    condition: Condition,
) -> Result<StoredObject> {
    match in_time(bucket.put(key, payload, object, condition)).await {
        Err(error) if may_be_stored(&error) => confirm_own_write(bucket, key, object, error).await,
        answered => answered,
    }
}

/// A refusal after a lost answer may be due to our own success. One HEAD tells: if so, the object has the upload's
/// token.
pub(crate) async fn confirm_own_write(
    bucket: &dyn Bucket,
    key: &Key,
    object: &NewObject,
    error: Error,
) -> Result<StoredObject> {
    match in_clean_up(bucket.head(key)).await {
        Some(Ok(there)) if there.metadata.get(NewObject::TOKEN).map(String::as_str) == object.token() => {
            Ok(StoredObject::described(there))
        }
        _ => Err(error),
    }
}

/// True if the object may have been stored nevertheless.
pub(crate) fn may_be_stored(error: &Error) -> bool {
    matches!(
        error,
        Error::Unreachable(_) | Error::Conflict { .. } | Error::NotFound | Error::Throttled { .. } | Error::Broken(_)
    )
}
