//! The CLOSEs of uploads that have come on a channel and aren't answered: a marker never appears before its data.
//!
//! sshfs and others send the next request without waiting for a CLOSE: `cp data /mnt/ && touch /mnt/data.done`. S3 may need
//! a minute for the data and a moment for the marker. So each request that makes a name appear or go waits behind a
//! [`Barrier`] for the CLOSEs that came before it in the same mount. For a CLOSE those count that came before its *OPEN*:
//! uploads that are open side by side are published side by side. A request that has come fails when one of these CLOSEs does,
//! and no earlier reply told the client so.
//!
//! A client with many workers opens the next file when a CLOSE is answered. That OPEN comes behind the CLOSEs of the other
//! workers that are pending, so if each CLOSE were answered at once, the files would soon be stored one after the other. So
//! CLOSEs that are pending together are answered together: the next files are opened together too, and stored side by side.
//! The answers alone wait, for [`ANSWERED_TOGETHER`] at most; requests that come later don't wait for a file that is stored.
//!
//! Invariant: a barrier waits for CLOSEs that came before it, and for nothing that came later. So barriers can't wait in a
//! circle, neither with each other nor with tickets of the [`order`](super::order). Who waits holds no permit to run.

use crate::vfs::{Error, MountNumber};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::Notify,
    time::{Duration, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long the answer of a CLOSE whose file is stored waits for others, at most.
const ANSWERED_TOGETHER: Duration = Duration::from_secs(1);

/// The pending CLOSEs of one channel, and the requests that wait for them. There are as many as outstanding requests and
/// open handles, which are bounded.
#[derive(Debug, Default)]
pub struct PendingCloses(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    next: u64,
    closes: BTreeMap<u64, MountNumber>,
    /// A barrier's number is larger than those of the CLOSEs that it waits for.
    barriers: BTreeMap<u64, Waiting>,
    /// For each mount the CLOSEs that are stored and wait for the others of their mount, to be answered with them.
    stored: BTreeMap<MountNumber, CancellationToken>,
}

#[derive(Debug)]
struct Waiting {
    mount: MountNumber,
    /// True once the request that waits has come: that of an upload is its CLOSE.
    has_come: bool,
    /// CLOSEs before it that are pending.
    pending: usize,
    /// Why the first of them failed that did.
    failure: Option<Arc<Error>>,
    passed: Arc<Notify>,
}

impl State {
    fn number(&mut self) -> u64 {
        let number = self.next;
        self.next += 1;
        number
    }

    fn join_stored(&mut self, number: u64) -> Option<(MountNumber, CancellationToken)> {
        let mount = *self.closes.get(&number)?;
        Some((mount, self.stored.entry(mount).or_default().clone()))
    }

    fn answer_stored(&mut self, mount: MountNumber) {
        if let Some(stored) = self.stored.remove(&mount) {
            stored.cancel();
        }
    }
}

impl PendingCloses {
    /// Enters the CLOSE of an upload. Call it in the order in which requests arrive.
    pub fn enter(self: &Arc<Self>, mount: Option<MountNumber>) -> PendingClose {
        let mut state = self.state();
        let number = state.number();
        if let Some(mount) = mount {
            state.closes.insert(number, mount);
        }
        PendingClose { pending: Arc::clone(self), number, failure: None, is_settled: false }
    }

    /// The barrier of a request that arrives now. No mount, no barrier.
    pub fn barrier(self: &Arc<Self>, mount: Option<MountNumber>) -> Barrier {
        let barrier = self.barrier_of_open(mount);
        barrier.come();
        barrier
    }

    /// The barrier of an upload whose OPEN arrives now: see [`Barrier::come`].
    pub fn barrier_of_open(self: &Arc<Self>, mount: Option<MountNumber>) -> Barrier {
        let mut state = self.state();
        let pending = state.closes.values().filter(|of| Some(**of) == mount).count();
        let Some(mount) = mount.filter(|_| pending > 0) else { return Barrier(None) };
        let (number, passed) = (state.number(), Arc::new(Notify::new()));
        state
            .barriers
            .insert(number, Waiting { mount, has_come: false, pending, failure: None, passed: Arc::clone(&passed) });
        Barrier(Some(Place { pending: Arc::clone(self), number, passed }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

/// A CLOSE that is pending until this is dropped. Dropped without a word it failed: its upload was lost.
#[derive(Debug)]
pub struct PendingClose {
    pending: Arc<PendingCloses>,
    number: u64,
    failure: Option<Arc<Error>>,
    is_settled: bool,
}

impl PendingClose {
    /// Ends it with success, or with a failure that a reply told the client before.
    pub fn settle(mut self) {
        self.is_settled = true;
    }

    /// Ends it with success. Answer it after [`Stored::wait_for_others`].
    pub fn stored(self) -> Stored {
        let closes = Arc::clone(&self.pending);
        let joined = closes.state().join_stored(self.number);
        self.settle();
        Stored(joined.map(|(mount, answered)| Together {
            others: closes.barrier_of_open(Some(mount)),
            closes,
            mount,
            answered,
        }))
    }

    /// Ends it without success: what waits for it fails too.
    pub fn fail(mut self, error: &Arc<Error>) {
        self.is_settled = true;
        self.failure = Some(match &**error {
            Error::EarlierUpload(first) => Arc::clone(first),
            _ => Arc::clone(error),
        });
    }
}

impl Drop for PendingClose {
    fn drop(&mut self) {
        if !self.is_settled {
            self.failure = Some(Arc::new(Error::Lost));
        }
        let mut state = self.pending.state();
        let Some(mount) = state.closes.remove(&self.number) else { return };
        for (_, waiting) in state.barriers.range_mut(self.number..).filter(|(_, waiting)| waiting.mount == mount) {
            waiting.pending -= 1;
            if waiting.has_come && waiting.failure.is_none() {
                waiting.failure.clone_from(&self.failure);
            }
            if waiting.pending == 0 || waiting.failure.is_some() {
                waiting.passed.notify_one();
            }
        }
    }
}

/// A CLOSE whose file is stored, and which is to be answered together with others.
#[derive(Debug)]
pub struct Stored(Option<Together>);

#[derive(Debug)]
struct Together {
    closes: Arc<PendingCloses>,
    mount: MountNumber,
    /// The CLOSEs of the mount that were pending when the file was stored.
    others: Barrier,
    /// Cancelled when one of those that wait together is to be answered.
    answered: CancellationToken,
}

impl Stored {
    /// Waits until the CLOSEs that were pending when the file was stored have ended, or until another that waits here is
    /// answered, or for [`ANSWERED_TOGETHER`].
    pub async fn wait_for_others(self) {
        let Some(Together { closes, mount, others, answered }) = self.0 else { return };
        tokio::select! {
            // That one of them failed makes no difference to this one.
            _ = timeout(ANSWERED_TOGETHER, others.passed()) => closes.state().answer_stored(mount),
            () = answered.cancelled() => {}
        }
    }
}

/// The place of one request behind the CLOSEs that came before it.
#[derive(Debug, Default)]
pub struct Barrier(Option<Place>);

#[derive(Debug)]
struct Place {
    pending: Arc<PendingCloses>,
    number: u64,
    passed: Arc<Notify>,
}

impl Barrier {
    /// Waits until every CLOSE before it is answered. Cancel-safe; for one task alone.
    ///
    /// # Errors
    /// [`Error::EarlierUpload`] as soon as one of them failed.
    pub async fn passed(&self) -> Result<(), Error> {
        let Some(place) = &self.0 else { return Ok(()) };
        loop {
            if let Some(outcome) = place.outcome() {
                return outcome;
            }
            place.passed.notified().await;
        }
    }

    /// The request that waits has come: failures from now on are its own too. One that was answered before then was told.
    pub fn come(&self) {
        if let Some(place) = &self.0
            && let Some(waiting) = place.pending.state().barriers.get_mut(&place.number)
        {
            waiting.has_come = true;
        }
    }

    /// Tells whether [`passed`](Self::passed) would wait.
    pub fn is_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|place| place.outcome().is_none())
    }
}

impl Place {
    fn outcome(&self) -> Option<Result<(), Error>> {
        let state = self.pending.state();
        let waiting = state.barriers.get(&self.number)?;
        match &waiting.failure {
            Some(failure) => Some(Err(Error::EarlierUpload(Arc::clone(failure)))),
            None => (waiting.pending == 0).then_some(Ok(())),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.pending.state().barriers.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    const MOUNT: Option<MountNumber> = Some(MountNumber(0));
    const OTHER: Option<MountNumber> = Some(MountNumber(1));

    fn passed(barrier: &Barrier) -> Option<Result<(), String>> {
        barrier.passed().now_or_never().map(|outcome| outcome.map_err(|error| error.to_string()))
    }

    #[test]
    fn a_request_waits_for_the_closes_that_came_before_it_in_its_mount() {
        let closes = Arc::new(PendingCloses::default());
        let early = closes.barrier(MOUNT);
        let first = closes.enter(MOUNT);
        let between = closes.barrier(MOUNT);
        let second = closes.enter(MOUNT);
        let (late, elsewhere) = (closes.barrier(MOUNT), closes.barrier(OTHER));
        assert_eq!([&early, &elsewhere].map(passed), [Some(Ok(())), Some(Ok(()))]);
        assert_eq!([&between, &late].map(passed), [None, None]);
        second.settle();
        assert_eq!([&between, &late].map(passed), [None, None]);
        first.settle();
        assert_eq!([&between, &late].map(passed), [Some(Ok(())), Some(Ok(()))]);
        drop((between, late));
        let state = closes.state();
        assert!(state.closes.is_empty() && state.barriers.is_empty());
    }

    #[test]
    fn a_failure_reaches_all_that_wait_at_once_and_names_the_first_cause() {
        let closes = Arc::new(PendingCloses::default());
        let (data, _other) = (closes.enter(MOUNT), closes.enter(MOUNT));
        let marker = closes.barrier(MOUNT);
        let marking = closes.enter(MOUNT);
        let behind = closes.barrier(MOUNT);
        let open = closes.barrier_of_open(MOUNT);
        data.fail(&Arc::new(Error::Busy));
        let told = "a file that was closed before this could not be stored: the server is busy, try again later";
        assert_eq!(passed(&marker), Some(Err(told.to_owned())));
        assert_eq!(passed(&closes.barrier(MOUNT)), None, "it came when the failure was told");
        let Some(Err(error)) = marker.passed().now_or_never() else { panic!("it has passed") };
        marking.fail(&Arc::new(error));
        assert_eq!(passed(&behind), Some(Err(told.to_owned())));
        open.come();
        assert_eq!(passed(&open), None, "it came when the failures were told");
    }

    #[test]
    fn a_close_that_is_lost_has_failed() {
        let closes = Arc::new(PendingCloses::default());
        let lost = closes.enter(MOUNT);
        let marker = closes.barrier(MOUNT);
        drop(lost);
        assert!(matches!(passed(&marker), Some(Err(_))));
    }
}
