//! Leases that operations of this node hold in the journal: their terms, and the deletion of their rows.

use crate::{
    journal::{JournalDown, Lease, LeaseEnd, Task},
    name::{BucketId, Key},
    store,
};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A name that one operation at a time may claim or lock.
pub(super) type Name = (BucketId, Key);

/// A row outlives its node by at most this time. Its task renews it every third of it.
pub(super) const TERM: Duration = Duration::from_secs(30);
/// A lease counts as uncertain this long before its end: S3 carries out the last request under it, and the clocks of two
/// nodes differ by less.
const MARGIN: Duration = Duration::from_secs(10);
/// The pause before another node's row is asked for again. It doubles each time, up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest pause between two such questions.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// The pause before the deletion of a row is tried again.
const END_PAUSE: Duration = Duration::from_secs(1);

/// A lease for a new holder.
///
/// # Errors
/// If the system has no random bytes.
pub(super) fn new() -> store::Result<Lease> {
    Ok(Lease { term: TERM, ..Lease::new()? })
}

/// The first lease on a task. Its holder is named after the task, whose id is random too.
pub(super) fn of_task(task: &Task) -> Lease {
    Lease { holder: task.id.clone(), term: TERM }
}

/// The time until which a lease is certain whose term begins now.
pub(super) fn certain_end() -> LeaseEnd {
    LeaseEnd::after(TERM.saturating_sub(MARGIN))
}

/// Retries the deletion of a row that failed. Until its lease ends the row keeps other nodes from the name.
pub(super) async fn end_later<T, F>(lease: &Lease, end: impl Fn() -> F)
where
    F: Future<Output = Result<T, JournalDown>>,
{
    let until = Instant::now() + lease.term;
    while Instant::now() < until {
        sleep(END_PAUSE).await;
        if end().await.is_ok() {
            return;
        }
    }
}
