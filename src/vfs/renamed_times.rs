//! The times of files in directories that were renamed a moment ago, as long as they are on their way to the journal.
//!
//! Invariant: a question about such a file waits for them, so that it is answered with the time that the file had before. It
//! waits no longer than for the journal itself, which is done with them within seconds, or doesn't answer.

use crate::store::{BucketId, Prefix, TimesWritten};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The directories. The writers of their times are bounded, and so are they.
#[derive(Debug, Default)]
pub(super) struct RenamedTimes(Mutex<Vec<Pending>>);

#[derive(Debug)]
struct Pending {
    bucket: BucketId,
    directory: Prefix,
    written: TimesWritten,
}

impl RenamedTimes {
    /// Enters a directory by its new name.
    pub(super) fn enter(&self, bucket: &BucketId, directory: Prefix, written: TimesWritten) {
        let mut pending = self.pending();
        pending.retain(|pending| !pending.written.is_done());
        if !written.is_done() {
            pending.push(Pending { bucket: bucket.clone(), directory, written });
        }
    }

    /// Waits for the time of the object `name`, or, where that ends in `/`, for those of all files below it.
    pub(super) async fn known(&self, bucket: &BucketId, name: &str) {
        let meets = |pending: &&Pending| {
            let directory = pending.directory.as_str();
            let is_around = name.ends_with('/') && directory.starts_with(name);
            pending.bucket == *bucket && (is_around || name.starts_with(directory))
        };
        let awaited: Vec<TimesWritten> = {
            let mut pending = self.pending();
            pending.retain(|pending| !pending.written.is_done());
            pending.iter().filter(meets).map(|pending| pending.written.clone()).collect()
        };
        for written in awaited {
            written.done().await;
        }
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
