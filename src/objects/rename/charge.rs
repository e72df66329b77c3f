//! The charges of a rename to its tenant's day. They come before the first copy, so that a rename that has begun is never
//! refused in the middle: a file would have both names.

use super::copy::{MAX_AT_ONCE_BYTES, part_count};
use crate::{
    account::DailyResource,
    policy::{DayCharge, RequestScope, TenantUsage},
    store::{Bucket, Error},
};
use std::sync::Arc;

/// The requests beside those for its parts that an object above 256 MiB takes: two for its headers and tags, one that
/// opens the upload, and one that completes it.
const REQUESTS_BESIDE_PARTS: u64 = 4;

/// The charges of a rename. It gives back what the rename didn't use.
pub(super) struct RenameCharges {
    usage: Arc<TenantUsage>,
    bytes: DayCharge,
    requests: RequestScope,
}

/// Charges `bytes` to be copied, and `requests`.
///
/// # Errors
/// [`Error::DailyLimit`], which charges nothing.
pub(super) fn charge_copies(bucket: &dyn Bucket, bytes: u64, requests: u64) -> Result<RenameCharges, Error> {
    let usage = Arc::clone(bucket.usage());
    let requests = RequestScope::reserve(&usage, requests)?;
    let bytes = usage.charge(DailyResource::BytesCopied, bytes)?;
    Ok(RenameCharges { usage, bytes, requests })
}

impl RenameCharges {
    /// Runs the rename. If it fails, the bytes that S3 wasn't asked to copy are given back.
    pub(super) async fn run<T, E>(mut self, renaming: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let renamed = self.requests.clone().run(renaming).await;
        if renamed.is_err() {
            self.bytes.spend(self.requests.copied_bytes());
            self.usage.give_back(DailyResource::BytesCopied, &mut self.bytes, u64::MAX);
        }
        renamed
    }
}

/// The number of requests that the copy of an object takes.
pub(super) fn requests_of_copy(bytes: u64) -> u64 {
    if bytes > MAX_AT_ONCE_BYTES { part_count(bytes) + REQUESTS_BESIDE_PARTS } else { 1 }
}
