//! Names of objects, parts, uploads and requests.

use crate::clock;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::UNIX_EPOCH,
};

/// Returns a unique name. Names ascend. Because of the dash, S3 tools don't mistake the name for an MD5 when it serves as
/// an ETag.
pub(crate) fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let nanos = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    format!("{nanos:016x}-{:08x}", COUNT.fetch_add(1, Ordering::Relaxed))
}
