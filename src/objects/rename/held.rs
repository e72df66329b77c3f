//! Keeps the lease of a rename while this node works on it.

use crate::journal::{Journal, Lease, TreeRename};
use futures_util::future::{Either, select};
use std::{convert::Infallible, pin::pin};

/// Does `work`, and renews the lease meanwhile.
///
/// A lease that was lost meanwhile is detected at the next change of the phase, which is the moment that matters.
pub(super) async fn while_held<T>(
    journal: &dyn Journal,
    rename: &TreeRename,
    lease: &Lease,
    work: impl Future<Output = T>,
) -> T {
    match select(pin!(work), pin!(renew(journal, rename, lease))).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => match never {},
    }
}

async fn renew(journal: &dyn Journal, rename: &TreeRename, lease: &Lease) -> Infallible {
    loop {
        tokio::time::sleep(lease.term / 3).await;
        // The work continues whatever the result is.
        let _ = journal.hold_rename(rename, lease).await;
    }
}
