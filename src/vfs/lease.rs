//! Leases that operations of this node have in the journal: how long they last, and how their rows end.

use crate::store::{self, JournalDown, Lease};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// A row outlives its node by this time at most. It is renewed every third of it.
pub(super) const TERM: Duration = Duration::from_secs(30);
/// A row of another node is asked for again after this time, and after twice as long each further time, up to the longest.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(20);
/// The longest time between two such questions.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(500);
/// After this time a row that could not be deleted is tried again.
const END_PAUSE: Duration = Duration::from_secs(1);

/// A lease for a new holder.
///
/// # Errors
/// When the system has no random bytes.
pub(super) fn new() -> store::Result<Lease> {
    Ok(Lease { term: TERM, ..Lease::new()? })
}

/// Deletes a row that could not be deleted just now: until its lease is over it keeps others from the name.
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
