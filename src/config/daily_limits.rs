//! The `[daily_limits]` table: limits on what a tenant uses in a UTC day.

use super::{document::ConfigTable, value::ByteSize};
use crate::account::DailyLimits;
use std::num::NonZeroUsize;

/// Reads the limits. A resource without a key has no limit.
pub(super) fn read(limits: &mut ConfigTable<'_>) -> DailyLimits {
    let mut bytes = |key| limits.optional::<ByteSize>(key).map(|size| size.0);
    let [bytes_written, zero_bytes, bytes_copied] = ["bytes_written", "zero_bytes", "bytes_copied"].map(&mut bytes);
    let s3_requests = limits.optional::<NonZeroUsize>("s3_requests").map(|requests| requests.get() as u64);
    if bytes_written == Some(0) {
        limits.problem("bytes_written", "is 0, so no client could upload; it takes a size from 1 byte on");
    }
    DailyLimits { bytes_written, zero_bytes, bytes_copied, s3_requests }
}
