//! Times of files in directories that were renamed a moment ago, while they are on their way to the journal.
//!
//! Invariant: a question about such a file waits for the times, so the answer has the time that the file had before the
//! rename. It waits no longer than an answer of the journal may take, and not at all after the journal has failed.

use super::times::TimesWritten;
use crate::name::{BucketId, Prefix};
use parking_lot::{Mutex, MutexGuard};
use std::time::Duration;
use tokio::time::timeout;

/// A question waits this long. In a large directory on a slow journal S3's time may be shown after that, for a moment.
const PATIENCE: Duration = Duration::from_secs(2);

/// The renamed directories. The writers of their times are bounded, so this list is bounded too.
#[derive(Debug, Default)]
pub(crate) struct RenamedTimes(Mutex<Vec<Pending>>);

#[derive(Debug)]
struct Pending {
    bucket: BucketId,
    directory: Prefix,
    written: TimesWritten,
}

impl RenamedTimes {
    /// Adds a directory under its new name.
    pub(crate) fn enter(&self, bucket: &BucketId, directory: Prefix, written: TimesWritten) {
        let mut pending = self.pending();
        pending.retain(|pending| !pending.written.is_done());
        if !written.is_done() {
            pending.push(Pending { bucket: bucket.clone(), directory, written });
        }
    }

    /// Waits for the times that `name` depends on. `name` is an object's, or a directory's that ends in `/`.
    pub(crate) async fn known(&self, bucket: &BucketId, name: &str) {
        let awaited = self.awaited(|pending| pending.bucket == *bucket && name.starts_with(pending.directory.as_str()));
        let _ = timeout(PATIENCE, all_done(awaited)).await;
    }

    /// Waits for the times of all files below a directory that will be renamed.
    pub(crate) async fn known_below(&self, bucket: &BucketId, directory: &Prefix) {
        let name = directory.as_str();
        let meets = |pending: &Pending| {
            let other = pending.directory.as_str();
            pending.bucket == *bucket && (name.starts_with(other) || other.starts_with(name))
        };
        all_done(self.awaited(meets)).await;
    }

    /// Waits for the times of all renamed directories.
    pub(crate) async fn all_known(&self) {
        all_done(self.awaited(|_| true)).await;
    }

    fn awaited(&self, meets: impl Fn(&Pending) -> bool) -> Vec<TimesWritten> {
        let mut pending = self.pending();
        pending.retain(|pending| !pending.written.is_done());
        pending.iter().filter(|pending| meets(pending)).map(|pending| pending.written.clone()).collect()
    }

    fn pending(&self) -> MutexGuard<'_, Vec<Pending>> {
        self.0.lock()
    }
}

async fn all_done(awaited: Vec<TimesWritten>) {
    for written in awaited {
        written.done().await;
    }
}
