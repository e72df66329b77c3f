//! Renews the claims that last: a copy of a large file takes longer than a lease.
//!
//! Most claims end within milliseconds. So a claim has no timer and no task of its own: one timer of the node looks for
//! claims that are due, at intervals of a third of a lease, and starts a keeper for each. The timer starts with the
//! first claim, and ends when it finds none.
//!
//! Invariants:
//! - A claim is renewed each third of its lease until it ends, whatever its operation waits for.
//! - No mutex is held across an `await`.
//! - There are no more entries than claims. The timer's task outlives the last claim by a third of a lease.

use super::rows::ClaimLease;
use parking_lot::Mutex;
use std::{collections::BTreeMap, convert::Infallible, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout},
};

/// The claims of this node that have rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Renewals(Arc<Mutex<RenewalTable>>);

#[derive(Debug, Default)]
struct RenewalTable {
    /// In the order in which they began. As all terms are equal, the first one that waits is due first.
    claims: BTreeMap<u64, RenewalPhase>,
    next_number: u64,
    timer: Option<AbortHandle>,
}

#[derive(Debug)]
enum RenewalPhase {
    Waiting {
        due: Instant,
        lease: Arc<ClaimLease>,
    },
    /// A keeper renews the claim until this is dropped.
    Renewing {
        _stop: oneshot::Sender<Infallible>,
    },
}

/// Renews a claim until this is dropped.
#[derive(Debug)]
pub(super) struct Renewal {
    renewals: Renewals,
    number: u64,
}

impl Renewals {
    /// Renews a claim that the journal was asked for a moment ago.
    pub(super) fn begin(&self, lease: &Arc<ClaimLease>) -> Renewal {
        let waiting = RenewalPhase::Waiting { due: Instant::now() + period(lease), lease: Arc::clone(lease) };
        let mut state = self.0.lock();
        let number = state.next_number;
        state.next_number += 1;
        state.claims.insert(number, waiting);
        if state.timer.as_ref().is_none_or(AbortHandle::is_finished) {
            state.timer = Some(tokio::spawn(self.clone().run()).abort_handle());
        }
        Renewal { renewals: self.clone(), number }
    }

    async fn run(self) {
        while let Some(due) = self.start_keepers() {
            sleep_until(due).await;
        }
    }

    /// Starts the keepers of the claims that are due. Returns the time at which the next one is. `None` if no claim
    /// waits: then the next claim starts another timer.
    fn start_keepers(&self) -> Option<Instant> {
        let now = Instant::now();
        let mut state = self.0.lock();
        for phase in state.claims.values_mut() {
            let RenewalPhase::Waiting { due, lease } = phase else { continue };
            if now < *due {
                return Some(*due);
            }
            let (stop, stopped) = oneshot::channel();
            tokio::spawn(keep(Arc::clone(lease), stopped));
            *phase = RenewalPhase::Renewing { _stop: stop };
        }
        state.timer = None;
        None
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        self.renewals.0.lock().claims.remove(&self.number);
    }
}

async fn keep(lease: Arc<ClaimLease>, mut stopped: oneshot::Receiver<Infallible>) {
    loop {
        lease.renew().await;
        if timeout(period(&lease), &mut stopped).await.is_ok() {
            return;
        }
    }
}

fn period(lease: &ClaimLease) -> Duration {
    lease.lease.term / 3
}
