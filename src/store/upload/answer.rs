//! How long S3 may leave a request of an upload unanswered.
//!
//! The SDK tries up to seven times, and waits ten minutes for the answer to each try. No client waits that long for a CLOSE,
//! and what came behind that CLOSE waits with it.

use crate::store::{Error, Result};
use std::time::Duration;
use tokio::time::timeout;

/// All tries together. With the question if the object was stored nevertheless, and the end of the upload, a CLOSE ends within
/// 15 minutes. Complete of many GiB takes S3 some minutes.
const LIMIT: Duration = Duration::from_mins(12);

/// How long a CLOSE that fails waits for what is to be done then.
const CLEAN_UP_LIMIT: Duration = Duration::from_mins(1);

/// The answer of S3 to a request of an upload, or to one of several.
///
/// # Errors
/// [`Error::Unreachable`] after 12 minutes, and those of the request.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T>>) -> Result<T> {
    let silent = || Error::Unreachable(format!("no answer for {} minutes", LIMIT.as_secs() / 60));
    timeout(LIMIT, answer).await.unwrap_or_else(|_| Err(silent()))
}

/// The outcome of what ends an upload that has failed, unless S3 is silent then too: `None` after a minute.
pub(super) async fn in_clean_up<T>(ending: impl Future<Output = T>) -> Option<T> {
    timeout(CLEAN_UP_LIMIT, ending).await.ok()
}
