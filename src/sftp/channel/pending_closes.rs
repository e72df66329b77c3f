//! The pending CLOSEs of uploads on a channel. They ensure that a marker file never appears before its data.
//!
//! sshfs and other clients send the next request without waiting for a CLOSE: `cp data /mnt/ && touch /mnt/data.done`.
//! S3 may need a minute for the data and a moment for the marker. Each request that creates or removes a name therefore
//! waits, behind a [`Barrier`], for the earlier CLOSEs in the same mount. A CLOSE waits only for the CLOSEs that came
//! before its *OPEN*, so uploads that are open side by side are published side by side. A request that has arrived
//! fails if one of these CLOSEs fails without an earlier reply that told the client.
//!
//! A client with many workers opens its next file when a CLOSE is answered. That OPEN comes behind the other workers'
//! pending CLOSEs. If the server answered each CLOSE at once, it would soon store the files one after the other. It
//! therefore answers CLOSEs together that are pending together, and the next files are opened and stored side by side
//! too. Only the answers wait, for [`ANSWERED_TOGETHER`] at most. Later requests don't wait for a stored file.
//!
//! Invariant: a barrier waits only for CLOSEs that came before it. So barriers can't wait in a circle, neither with
//! each other nor with tickets of the [`request_order`](super::request_order). A waiting request holds no permit to
//! run.

use crate::vfs::{Error, MountNumber};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::BTreeMap, sync::Arc};
use tokio::{
    sync::Notify,
    time::{Duration, timeout},
};
use tokio_util::sync::CancellationToken;

/// The maximum time that the answer to a CLOSE waits for other CLOSEs after its file is stored.
const ANSWERED_TOGETHER: Duration = Duration::from_secs(1);

/// The pending CLOSEs of one channel, and the requests that wait for them. The limits on outstanding requests and open
/// handles bound both.
#[derive(Debug, Default)]
pub(crate) struct PendingCloses(Mutex<PendingState>);

#[derive(Debug, Default)]
struct PendingState {
    next: u64,
    closes: BTreeMap<u64, MountNumber>,
    /// The barriers by number. A barrier's number is larger than those of the CLOSEs that it waits for.
    barriers: BTreeMap<u64, WaitingBarrier>,
    /// For each mount, the stored CLOSEs that wait for the mount's other CLOSEs, to be answered with them.
    stored: BTreeMap<MountNumber, CancellationToken>,
}

#[derive(Debug)]
struct WaitingBarrier {
    mount: MountNumber,
    /// True once the waiting request has arrived. The waiting request of an upload is its CLOSE.
    has_come: bool,
    /// The number of pending CLOSEs before it.
    pending: usize,
    /// The failure of the first CLOSE before it that failed.
    failure: Option<Arc<Error>>,
    passed: Arc<Notify>,
}

impl PendingState {
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
    /// Registers the CLOSE of an upload. Call it in the order in which requests arrive.
    pub(crate) fn enter(self: &Arc<Self>, mount: Option<MountNumber>) -> PendingClose {
        let mut state = self.state();
        let number = state.number();
        if let Some(mount) = mount {
            state.closes.insert(number, mount);
        }
        PendingClose { pending: Arc::clone(self), number, failure: None, is_finished: false }
    }

    /// Returns the barrier of a request that arrives now. A request outside all mounts has an empty barrier.
    pub(crate) fn barrier(self: &Arc<Self>, mount: Option<MountNumber>) -> Barrier {
        let barrier = self.barrier_of_open(mount);
        barrier.come();
        barrier
    }

    /// Returns the barrier of an upload whose OPEN arrives now. See [`Barrier::come`].
    pub(crate) fn barrier_of_open(self: &Arc<Self>, mount: Option<MountNumber>) -> Barrier {
        let mut state = self.state();
        let pending = state.closes.values().filter(|of| Some(**of) == mount).count();
        let Some(mount) = mount.filter(|_| pending > 0) else { return Barrier(None) };
        let (number, passed) = (state.number(), Arc::new(Notify::new()));
        state.barriers.insert(
            number,
            WaitingBarrier { mount, has_come: false, pending, failure: None, passed: Arc::clone(&passed) },
        );
        Barrier(Some(BarrierPlace { pending: Arc::clone(self), number, passed }))
    }

    fn state(&self) -> MutexGuard<'_, PendingState> {
        self.0.lock()
    }
}

/// A CLOSE that is pending until it is dropped. Dropping it without an outcome counts as a failure: its upload was
/// lost.
#[derive(Debug)]
pub(crate) struct PendingClose {
    pending: Arc<PendingCloses>,
    number: u64,
    failure: Option<Arc<Error>>,
    is_finished: bool,
}

impl PendingClose {
    /// Ends the CLOSE with success, or with a failure that an earlier reply told the client.
    pub(crate) fn finish(mut self) {
        self.is_finished = true;
    }

    /// Ends the CLOSE with success. Answer it after [`StoredClose::wait_for_others`].
    pub(crate) fn stored(self) -> StoredClose {
        let closes = Arc::clone(&self.pending);
        let joined = closes.state().join_stored(self.number);
        self.finish();
        StoredClose(joined.map(|(mount, answered)| Together {
            others: closes.barrier_of_open(Some(mount)),
            closes,
            mount,
            answered,
        }))
    }

    /// Ends the CLOSE with a failure. The requests that wait for it fail too.
    pub(crate) fn fail(mut self, error: &Arc<Error>) {
        self.is_finished = true;
        self.failure = Some(match &**error {
            Error::EarlierUpload(first) => Arc::clone(first),
            _ => Arc::clone(error),
        });
    }
}

impl Drop for PendingClose {
    fn drop(&mut self) {
        if !self.is_finished {
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

/// A CLOSE whose file is stored and whose answer waits for other CLOSEs.
#[derive(Debug)]
pub(crate) struct StoredClose(Option<Together>);

#[derive(Debug)]
struct Together {
    closes: Arc<PendingCloses>,
    mount: MountNumber,
    /// The CLOSEs of the mount that were pending when the file was stored.
    others: Barrier,
    /// Cancelled when one of the CLOSEs that wait together may be answered.
    answered: CancellationToken,
}

impl StoredClose {
    /// Waits until the other CLOSEs that were pending when the file was stored have ended, until another waiting CLOSE
    /// of the mount is released, or for [`ANSWERED_TOGETHER`].
    pub(crate) async fn wait_for_others(self) {
        let Some(Together { closes, mount, others, answered }) = self.0 else { return };
        tokio::select! {
            // A failure of another CLOSE makes no difference to this one.
            _ = timeout(ANSWERED_TOGETHER, others.passed()) => closes.state().answer_stored(mount),
            () = answered.cancelled() => {}
        }
    }
}

/// The place of one request behind the earlier CLOSEs.
#[derive(Debug, Default)]
pub(crate) struct Barrier(Option<BarrierPlace>);

#[derive(Debug)]
struct BarrierPlace {
    pending: Arc<PendingCloses>,
    number: u64,
    passed: Arc<Notify>,
}

impl Barrier {
    /// Waits until every earlier CLOSE is answered. Cancel-safe. Only one task may wait.
    ///
    /// # Errors
    /// [`Error::EarlierUpload`] as soon as an earlier CLOSE has failed.
    pub(crate) async fn passed(&self) -> Result<(), Error> {
        let Some(place) = &self.0 else { return Ok(()) };
        loop {
            if let Some(outcome) = place.outcome() {
                return outcome;
            }
            place.passed.notified().await;
        }
    }

    /// Marks the waiting request as arrived: later failures of earlier CLOSEs fail it too. Replies told the client of
    /// failures before that.
    pub(crate) fn come(&self) {
        if let Some(place) = &self.0
            && let Some(waiting) = place.pending.state().barriers.get_mut(&place.number)
        {
            waiting.has_come = true;
        }
    }

    /// True if [`passed`](Self::passed) would wait.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.as_ref().is_some_and(|place| place.outcome().is_none())
    }
}

impl BarrierPlace {
    fn outcome(&self) -> Option<Result<(), Error>> {
        let state = self.pending.state();
        let waiting = state.barriers.get(&self.number)?;
        match &waiting.failure {
            Some(failure) => Some(Err(Error::EarlierUpload(Arc::clone(failure)))),
            None => (waiting.pending == 0).then_some(Ok(())),
        }
    }
}

impl Drop for BarrierPlace {
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
        second.finish();
        assert_eq!([&between, &late].map(passed), [None, None]);
        first.finish();
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
