//! A tree with objects of every kind, a session on it, faults below it, and the promises that must hold.

use super::{
    catalogue::{REQUEST_ID, is_incident},
    operation::{OperationAnswer, VfsOperation},
};
use crate::support::{
    partials::{clear_away, count_resumable},
    promise::{CheckResult, ensure},
    tree::tree,
};
use bytes::Bytes;
use std::{collections::BTreeMap, error::Error as _, sync::Arc, time::Duration};
use tokio::time::timeout;
use wharfinger::{
    account::Permissions,
    journal::{Journal, Lease, LeaseEnd, TaskJournal as _, TaskKind},
    memory::Budget,
    objects::{repair_file_rename, repair_rename},
    store::{self, Bucket},
    testing::{
        FaultyBucket, FaultyJournal, MemoryBucket,
        bucket::Verb,
        faulty::{Fault, Step},
    },
    vfs::{Error, Result, Vfs},
};

pub const OLD: &str = "/old";
/// Needs more than one GET.
pub const BIG: &str = "/big";
pub const BIG_BYTES: u64 = BIG_CONTENT.len() as u64;
static BIG_CONTENT: [u8; 9 << 20] = [b'b'; 9 << 20];
/// Longer than any wait in the server. Time is paused, so it costs no real time.
const PATIENCE: Duration = Duration::from_mins(15);

/// All objects, by key.
type ObjectsByKey = BTreeMap<String, Bytes>;

/// An operation, with its result in a run without faults.
pub struct Ideal {
    pub operation: VfsOperation,
    answer: Result<OperationAnswer>,
    stored: ObjectsByKey,
    pub steps: Vec<Step>,
    /// Number of queries to the journal.
    pub questions: usize,
}

pub struct World {
    pub faulty: Arc<FaultyBucket>,
    pub journal: Arc<FaultyJournal>,
    memory: Arc<MemoryBucket>,
    /// True if `/dir` has a marker from the start. Without one, removing something from `/dir` may create it.
    has_marker: bool,
    budget: Arc<Budget>,
    pub vfs: Vfs,
}

/// The marker of `/dir`.
const MARKER: &str = "acme/dir/";

impl World {
    /// Builds the world that `operation` needs.
    pub fn of(operation: VfsOperation) -> Self {
        let needs_big =
            matches!(operation, VfsOperation::Download(BIG) | VfsOperation::Copy(BIG) | VfsOperation::Patch(BIG));
        let big = needs_big.then_some(("acme/big", &BIG_CONTENT[..]));
        let deep: [(&str, &'static [u8]); 3] =
            [("acme/dir/", b""), ("acme/dir/sub/", b""), ("acme/dir/sub/deep", b"and what is in it")];
        let deep = deep.into_iter().filter(|_| operation == VfsOperation::RenameDirectory);
        let objects: [(&str, &'static [u8]); 5] = [
            ("acme/old", b"the old bytes"),
            ("acme/dir/file", b"in a directory"),
            ("acme/dir/other", b"that is none without them"),
            ("acme/empty/", b""),
            ("acme/hollow/", b""),
        ];
        let objects = objects.into_iter().chain(big).chain(deep);
        Self::holding(objects.map(|(key, bytes)| (key.to_owned(), Bytes::from_static(bytes))).collect())
    }

    fn holding(stored: ObjectsByKey) -> Self {
        let memory = Arc::new(MemoryBucket::new());
        let has_marker = stored.contains_key(MARKER);
        for (key, bytes) in stored {
            memory.insert(&key, bytes);
        }
        let faulty = Arc::new(FaultyBucket::over(Arc::clone(&memory) as Arc<dyn Bucket>));
        let (budget, journal) = (Budget::new(256 << 20), Arc::default());
        let vfs = session(&faulty, &budget, &journal);
        Self { faulty, journal, memory, has_marker, budget, vfs }
    }

    /// Returns the result of `operation` without faults. It runs in a copy of this world.
    pub async fn ideal(&self, operation: VfsOperation) -> Ideal {
        let world = Self::holding(self.stored());
        let answer = operation.run(&world.vfs).await;
        let (steps, questions) = (world.faulty.steps(), world.journal.asked());
        Ideal { operation, answer, stored: world.stored(), steps, questions }
    }

    /// Runs an operation against the prepared faults, and checks the promises.
    pub async fn attempt(&self, ideal: &Ideal) -> CheckResult {
        let (operation, before) = (ideal.operation, self.stored());
        // If its request is never answered, the client is gone and retries in another session.
        let another = match timeout(PATIENCE, operation.run(&self.vfs)).await {
            Ok(Ok(seen)) => {
                ensure(ideal.answer.as_ref().is_ok_and(|wanted| seen == *wanted), || "a wrong answer".into())?;
                ensure(self.stored() == ideal.stored, || format!("OK, and not stored: {:?}", self.memory.keys()))?;
                None
            }
            Ok(Err(error)) => {
                self.check_whole(&before, ideal)?;
                self.check_words(&error, ideal)?;
                self.check_reason(&error, ideal)?;
                None
            }
            Err(_) => {
                ensure(self.faulty.met().iter().any(|(_, fault)| is_silent(fault)), || "it hangs".into())?;
                self.check_whole(&before, ideal)?;
                Some(session(&self.faulty, &self.budget, &self.journal))
            }
        };
        self.check_nothing_left(ideal).await?;
        self.faulty.restart();
        self.journal.restart();
        self.put_right(&before, ideal).await?;
        self.check_retry(another.as_ref().unwrap_or(&self.vfs), ideal).await
    }

    /// Checks that no object is half changed. A failed rename may leave both names, but never none.
    fn check_whole(&self, before: &ObjectsByKey, ideal: &Ideal) -> CheckResult {
        let (stored, after) = (self.stored(), &ideal.stored);
        if ideal.operation == VfsOperation::RenameDirectory {
            return check_halves(&stored, before);
        }
        let both = before.iter().chain(after).map(|(key, bytes)| (key.clone(), bytes.clone())).collect();
        let whole = stored == *before || stored == *after || ideal.operation.renames() && stored == both;
        ensure(whole, || format!("neither what was nor what should be: {:?}", self.memory.keys()))
    }

    /// Checks the error's words: the client gets a sentence without names or ids, and the operator can find the
    /// request.
    fn check_words(&self, error: &Error, ideal: &Ideal) -> CheckResult {
        let heard = error.to_string();
        let secret = [REQUEST_ID, "arn:", "acme", "vendor", "HTTP"].iter().any(|secret| heard.contains(secret));
        ensure(!secret && heard.contains(' '), || format!("the client hears {heard:?}"))?;
        let met = self.faulty.met();
        let ordinary = ideal.answer.as_ref().is_err_and(|wanted| wanted.to_string() == heard);
        // The journal logs the reason of its own failures.
        let of_journal = matches!(error, Error::NoJournal(_) | Error::PartialNotFound(_));
        if ordinary || of_journal || met.is_empty() || met.iter().any(|(_, fault)| !is_incident(fault)) {
            return Ok(());
        }
        let mut told = String::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            told.push_str(&error.to_string());
            cause = error.source();
        }
        ensure(told.contains(REQUEST_ID), || format!("the operator reads {error:?}"))
    }

    /// Checks that only the RENAME of a directory and resuming an upload need the journal.
    fn check_reason(&self, error: &Error, ideal: &Ideal) -> CheckResult {
        let needs_journal = matches!(ideal.operation, VfsOperation::RenameDirectory | VfsOperation::Resume);
        let of_journal = matches!(error, Error::NoJournal(_) | Error::PartialNotFound(_));
        ensure(needs_journal || !of_journal, || format!("it needed the journal: {error:?}"))?;
        self.check_refusal(error)?;
        let by_itself = needs_journal || ideal.answer.is_err();
        ensure(by_itself || !self.faulty.met().is_empty(), || format!("only the journal failed, and then {error:?}"))
    }

    /// Checks that an OPEN was refused only after an upload of this operation met the very fault that it names. A
    /// denial alone must refuse nothing, because no operation uploads two names.
    fn check_refusal(&self, error: &Error) -> CheckResult {
        let cause = match error {
            Error::StorageFails(cause) => cause.to_string(),
            Error::UploadsDenied(_) => return Err(format!("refused after one denial: {error:?}")),
            _ => return Ok(()),
        };
        let met = self.faulty.met();
        let is_met = met.iter().any(|(_, fault)| {
            matches!(fault, Fault::Refused(error) | Fault::AnswerLost(error)
                if matches!(error, store::Error::Throttled { .. } | store::Error::Unreachable(_))
                    && error.to_string() == cause)
        });
        ensure(is_met, || format!("refused for no failure: {error:?}"))
    }

    /// Repairs interrupted renames as the next server does. Afterwards all files are under the old names or under the
    /// new ones.
    async fn put_right(&self, before: &ObjectsByKey, ideal: &Ideal) -> CheckResult {
        let lease = Lease::new().map_err(|error| error.to_string())?;
        let journal = Arc::clone(&self.journal) as Arc<dyn Journal>;
        let next = || self.journal.take_next_task(TaskKind::DirectoryRename, &lease, Duration::ZERO);
        while let Some(task) = next().await.map_err(|error| error.to_string())? {
            let rename = task.directory_rename().ok_or("no rename")?;
            let repaired = repair_rename(&*self.faulty, &journal, &rename, &lease).await;
            repaired.map_err(|error| format!("{rename:?} can't be put right: {error:?}"))?;
        }
        let next = || journal.take_next_task(TaskKind::FileRename, &lease, Duration::ZERO);
        while let Some(task) = next().await.map_err(|error| error.to_string())? {
            let rename = task.file_rename().ok_or("no rename of a file")?;
            let repaired =
                repair_file_rename(&*self.faulty, &*journal, &rename, LeaseEnd::after(Duration::from_mins(1))).await;
            repaired.map_err(|error| format!("{rename:?} can't be finished: {error:?}"))?;
            journal.end_task(&rename.id, Some(&lease)).await.map_err(|error| error.to_string())?;
        }
        let waiting = self.journal.written().renames();
        ensure(waiting.is_empty(), || format!("{waiting:?} are never put right"))?;
        if ideal.operation != VfsOperation::RenameDirectory {
            return Ok(());
        }
        let stored = self.stored();
        let whole = stored == *before || stored == ideal.stored;
        ensure(whole, || format!("neither undone nor finished: {:?}", self.memory.keys()))
    }

    async fn check_nothing_left(&self, ideal: &Ideal) -> CheckResult {
        // Background work ends in this time, except for requests that are never answered.
        tokio::time::sleep(PATIENCE).await;
        let (met, open) = (self.faulty.met(), self.memory.open_uploads());
        let resumable = count_resumable(self.journal.written()).await;
        let undone = met.iter().filter(|(step, _)| step.verb == Verb::AbortUpload).count();
        let nobodys = met.iter().filter(|(step, fault)| {
            step.verb == Verb::CreateUpload && matches!(fault, Fault::AnswerLost(_) | Fault::SilentWhenDone)
        });
        let (left, lost) = (clear_away(&self.memory, self.journal.written()).await, nobodys.count());
        ensure(left.without_row <= lost, || format!("{left:?}, and of {lost} uploads the id never came"))?;
        // The janitor handles uploads that were started again although they could be resumed. It also handles uploads
        // that another session may have taken over while the journal was down for longer than a lease.
        let for_long = self.journal.fails() && met.iter().any(|(_, fault)| is_silent(fault));
        let at_once = open <= resumable + undone + lost + left.with_row;
        ensure(at_once || for_long || ideal.operation == VfsOperation::Resume, || {
            format!("{open} uploads were open, and {resumable} can be resumed, {undone} could not be aborted")
        })?;
        ensure(left.with_row == 0 || met.iter().any(|(_, fault)| is_silent(fault)), || {
            "an upload is held for ever".into()
        })?;
        ensure(self.budget.used() == 0, || "memory stays taken".into())
    }

    async fn check_retry(&self, vfs: &Vfs, ideal: &Ideal) -> CheckResult {
        let (stands, Ideal { operation, stored: after, .. }) = (self.stored(), ideal);
        match (operation.run(vfs).await, &ideal.answer) {
            (Ok(seen), Ok(wanted)) => {
                ensure(seen == *wanted, || "a wrong answer to the second try".into())?;
                ensure(self.stored() == *after, || format!("the second try ends in {:?}", self.memory.keys()))
            }
            (Ok(_), Err(wanted)) => Err(format!("the second try answers OK, where {wanted:?} is right")),
            (Err(error), Err(wanted)) if error.to_string() == wanted.to_string() => Ok(()),
            (Err(error), _) => {
                ensure(operation.was_done(&error), || format!("the second try fails: {error:?}"))?;
                let done = self.stored() == stands && after.iter().all(|(key, bytes)| stands.get(key) == Some(bytes));
                ensure(done, || format!("the second try fails with {error:?} and leaves {:?}", self.memory.keys()))
            }
        }
    }

    fn stored(&self) -> ObjectsByKey {
        let bytes = |key: String| self.memory.bytes(&key).map(|bytes| (key, bytes));
        let counts = |key: &String| self.has_marker || key != MARKER;
        self.memory.keys().into_iter().filter(counts).filter_map(bytes).collect()
    }
}

/// Checks that each file of a renamed directory exists under its old or its new name, and that no other object changed.
fn check_halves(stored: &ObjectsByKey, before: &ObjectsByKey) -> CheckResult {
    let new = |key: &String| key.replacen("acme/dir/", "acme/away/", 1);
    for (key, bytes) in before {
        let found = [stored.get(key), stored.get(&new(key))].contains(&Some(bytes));
        ensure(found, || format!("{key} is gone"))?;
    }
    let names: BTreeMap<_, _> =
        before.iter().flat_map(|(key, bytes)| [(key.clone(), bytes), (new(key), bytes)]).collect();
    let strange = stored.iter().find(|(key, bytes)| names.get(*key) != Some(bytes));
    ensure(strange.is_none(), || format!("nobody made {strange:?}"))
}

fn is_silent(fault: &Fault) -> bool {
    matches!(fault, Fault::Silent | Fault::SilentWhenDone | Fault::BodyStalls { .. })
}

/// Returns a session of alice of acme with all permissions on `acme/`.
fn session(bucket: &Arc<FaultyBucket>, budget: &Arc<Budget>, journal: &Arc<FaultyJournal>) -> Vfs {
    tree("alice", Permissions::ALL, Arc::clone(bucket) as Arc<dyn Bucket>, budget, journal)
}
