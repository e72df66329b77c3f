//! The faults and holds that a test sets, and the record of requests that it reads.

use crate::store::{Error, Result};
use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::{HashMap, VecDeque},
    ops::Range,
    sync::Arc,
    time::Duration,
};
use tokio::sync::{Notify, Semaphore};

/// The kind of a request: one for each method of [`Bucket`](crate::store::Bucket).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `HeadObject`.
    Head,
    /// `GetObject`.
    Read,
    /// `PutObject`.
    Put,
    /// `CreateMultipartUpload`.
    CreateUpload,
    /// `UploadPart`.
    UploadPart,
    /// `UploadPartCopy`.
    CopyPart,
    /// `CompleteMultipartUpload`.
    CompleteUpload,
    /// `ListParts`.
    ListParts,
    /// `ListMultipartUploads`.
    ListUploads,
    /// `AbortMultipartUpload`.
    AbortUpload,
    /// `CopyObject`.
    Copy,
    /// `DeleteObject`.
    Remove,
    /// `DeleteObjects`.
    RemoveMany,
    /// `ListObjectsV2`.
    List,
}

/// A request as the bucket saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedRequest {
    /// Its kind.
    pub verb: Verb,
    /// The key, a copy's target, the first of several keys, or a listing's prefix.
    pub name: String,
    /// The range of a GET or of a part's source, in bytes.
    pub range: Option<Range<u64>>,
    /// The length of the body that came with it.
    pub sent_bytes: u64,
    /// A part's number.
    pub part_number: Option<u32>,
    /// A copy's source.
    pub source: Option<String>,
    /// A listing's `max-keys`.
    pub(crate) max_keys: Option<u16>,
}

impl ReceivedRequest {
    pub(super) fn new(verb: Verb, name: &str) -> Self {
        Self {
            verb,
            name: name.to_owned(),
            range: None,
            sent_bytes: 0,
            part_number: None,
            source: None,
            max_keys: None,
        }
    }
}

/// The moment in a request's life at which a fault or a hold applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Moment {
    /// Before S3 acted on it.
    Request,
    /// After S3 acted on it with success: an error here is a lost answer.
    Answer,
}

/// The fault of a body, after this number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFault {
    /// It ends with an error.
    Break(usize),
    /// It ends as if it were whole.
    End(usize),
    /// Nothing more comes.
    Stall(usize),
}

/// Requests wait while this lives. Dropping it releases all of them.
#[derive(Debug)]
pub struct Hold {
    gate: Arc<Semaphore>,
}

impl Hold {
    /// Releases `count` requests, now or when they arrive.
    pub fn release(&self, count: usize) {
        self.gate.add_permits(count);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.gate.close();
    }
}

#[derive(Debug, Default)]
pub(super) struct Script {
    state: Mutex<ScriptState>,
    recorded: Notify,
}

#[derive(Debug, Default)]
struct ScriptState {
    requests: Vec<ReceivedRequest>,
    faults: HashMap<(Verb, Moment), VecDeque<Error>>,
    holds: HashMap<(Verb, Moment), Arc<Semaphore>>,
    /// Requests about one key, before S3 acts on them.
    holds_of_keys: HashMap<(Verb, String), Arc<Semaphore>>,
    faults_of_keys: HashMap<(Verb, String), VecDeque<Error>>,
    body_faults: VecDeque<BodyFault>,
    latency: Range<Duration>,
    answers: u32,
    bytes_per_second: Option<u64>,
}

impl Script {
    pub(super) fn fail(&self, verb: Verb, moment: Moment, error: Error) {
        self.state().faults.entry((verb, moment)).or_default().push_back(error);
    }

    pub(super) fn forget_faults(&self) {
        self.state().faults.clear();
    }

    pub(super) fn hold(&self, verb: Verb, moment: Moment) -> Hold {
        let gate = Arc::new(Semaphore::new(0));
        self.state().holds.insert((verb, moment), Arc::clone(&gate));
        Hold { gate }
    }

    pub(super) fn hold_key(&self, verb: Verb, key: &str) -> Hold {
        let gate = Arc::new(Semaphore::new(0));
        self.state().holds_of_keys.insert((verb, key.to_owned()), Arc::clone(&gate));
        Hold { gate }
    }

    pub(super) fn fail_key(&self, verb: Verb, key: &str, error: Error) {
        self.state().faults_of_keys.entry((verb, key.to_owned())).or_default().push_back(error);
    }

    pub(super) fn answer_within(&self, latency: Range<Duration>) {
        self.state().latency = latency;
    }

    /// The duration of the next answer: spread evenly over the range, and the same in every run.
    fn latency(&self) -> Duration {
        let mut state = self.state();
        state.answers = state.answers.wrapping_add(1);
        // Multiples of the golden ratio, without their whole part, fill the range evenly.
        let share = f64::from(state.answers) * 0.618_033_988_75;
        state.latency.start + state.latency.end.saturating_sub(state.latency.start).mul_f64(share.fract())
    }

    pub(super) fn send_at(&self, bytes_per_second: u64) {
        self.state().bytes_per_second = Some(bytes_per_second);
    }

    pub(super) fn bytes_per_second(&self) -> Option<u64> {
        self.state().bytes_per_second
    }

    pub(super) fn spoil_body(&self, fault: BodyFault) {
        self.state().body_faults.push_back(fault);
    }

    pub(super) fn body_fault(&self) -> Option<BodyFault> {
        self.state().body_faults.pop_front()
    }

    pub(super) fn record(&self, request: ReceivedRequest) {
        self.state().requests.push(request);
        self.recorded.notify_waiters();
    }

    pub(super) fn requests(&self) -> Vec<ReceivedRequest> {
        self.state().requests.clone()
    }

    pub(super) fn forget(&self) {
        self.state().requests.clear();
    }

    pub(super) async fn arrived(&self, verb: Verb, count: usize) {
        loop {
            // Created before counting, so that a request in between wakes it.
            let recorded = self.recorded.notified();
            let arrived = self.state().requests.iter().filter(|request| request.verb == verb).count();
            if arrived >= count {
                return;
            }
            recorded.await;
        }
    }

    /// Waits for a hold of the key, then fails if there is a fault of the key.
    pub(super) async fn pass_key(&self, verb: Verb, key: &str) -> Result<()> {
        let name = (verb, key.to_owned());
        let gate = self.state().holds_of_keys.get(&name).cloned();
        if let Some(gate) = gate
            && let Ok(permit) = gate.acquire().await
        {
            permit.forget();
        }
        let fault = self.state().faults_of_keys.get_mut(&name).and_then(VecDeque::pop_front);
        fault.map_or(Ok(()), Err)
    }

    /// Waits for a hold, then fails if there is a fault.
    pub(super) async fn pass(&self, verb: Verb, moment: Moment) -> Result<()> {
        if moment == Moment::Answer {
            let latency = self.latency();
            if !latency.is_zero() {
                tokio::time::sleep(latency).await;
            }
        }
        let gate = self.state().holds.get(&(verb, moment)).cloned();
        if let Some(gate) = gate
            && let Ok(permit) = gate.acquire().await
        {
            permit.forget();
        }
        let fault = self.state().faults.get_mut(&(verb, moment)).and_then(VecDeque::pop_front);
        fault.map_or(Ok(()), Err)
    }

    fn state(&self) -> MutexGuard<'_, ScriptState> {
        self.state.lock()
    }
}
