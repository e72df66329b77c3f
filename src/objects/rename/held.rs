//! Keeps the lease of a rename while this node works on it.

use crate::journal::{DirectoryRename, Journal, JournalDown, Lease, Standing, Task};
use futures_util::future::{Either, select};
use std::{convert::Infallible, pin::pin, time::Duration};

/// Does `work`, and renews the lease meanwhile.
///
/// A lease that was lost meanwhile is detected at the next change of the phase, which is the moment that matters.
pub(super) async fn while_held<T>(
    journal: &dyn Journal,
    rename: &Task<DirectoryRename>,
    lease: &Lease,
    work: impl Future<Output = T>,
) -> T {
    match select(pin!(work), pin!(renew(journal, rename, lease))).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => match never {},
    }
}

async fn renew(journal: &dyn Journal, rename: &Task<DirectoryRename>, lease: &Lease) -> Infallible {
    loop {
        tokio::time::sleep(lease.term / 3).await;
        // The work continues whatever the result is.
        let _ = hold(journal, rename, lease).await;
    }
}

/// Notes the phase of a rename, and restarts the lease's term. Returns `false`, and notes nothing, if the lease's holder
/// no longer holds it.
///
/// # Errors
/// [`JournalDown`]: the change may have happened nevertheless.
pub(super) async fn hold(
    journal: &dyn Journal,
    rename: &Task<DirectoryRename>,
    lease: &Lease,
) -> Result<bool, JournalDown> {
    let payload = rename.payload.clone().into();
    Ok(journal.hold_task(&rename.id, &payload, lease, Duration::ZERO).await? != Standing::Lost)
}
