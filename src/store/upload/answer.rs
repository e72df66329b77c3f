//! Time limits on S3's answers to the requests of an upload.
//!
//! The SDK tries up to seven times, and waits ten minutes for the answer to each try. No client waits that long for a
//! CLOSE, and the requests behind that CLOSE wait with it.

use crate::store::{Error, Result};
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
pub(super) async fn in_clean_up<T>(ending: impl Future<Output = T>) -> Option<T> {
    timeout(CLEAN_UP_LIMIT, ending).await.ok()
}
