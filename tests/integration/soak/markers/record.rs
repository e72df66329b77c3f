//! The requests and replies of one channel, and the rules that the bucket's changes must obey.

use crate::session::harness::content;
use bytes::Bytes;
use std::{collections::HashMap, fmt};
use tokio::time::Instant;
use wharfinger::testing::{MemoryBucket, bucket::ObjectChange};

/// Reason in the status of an operation that failed because an earlier CLOSE failed.
const BEHIND: &str = "a file that was closed before this could not be stored";

/// Position of a request or reply among everything that a channel sent and received.
pub type Position = u64;

/// Kind of an operation. Its key is in [`ChannelOperation::key`]. Keys of directories end with `/`.
pub enum OperationKind {
    /// From OPEN to CLOSE, which publishes these bytes.
    Upload(Bytes),
    /// OPEN with CREAT alone, which creates an empty file.
    Create,
    Mkdir,
    Rmdir,
    Remove,
    /// RENAME of a file to this key.
    Rename(String),
    /// RENAME of a directory with its content to this key.
    RenameTree(String),
}

pub struct ChannelOperation {
    pub work: OperationKind,
    pub mount: usize,
    pub key: String,
    /// Position of its first request. CLOSEs that were sent earlier come before the operation.
    pub begun: Position,
    /// Position of the request that changes names, which for an upload is the CLOSE. `None` if it was never sent.
    pub came: Option<Position>,
    /// Time of that request.
    pub came_at: Option<Instant>,
    /// True if a reply to a WRITE said, before the CLOSE was sent, that nothing will be stored.
    pub was_told: bool,
    /// True if the client read such a reply after it had sent the CLOSE. The server may have sent the reply before.
    pub was_told_after_close: bool,
    pub unanswered_writes: usize,
    pub answer: Option<RecordedReply>,
}

pub struct RecordedReply {
    pub place: Position,
    pub at: Instant,
    /// `Err` holds the text of the failure.
    pub outcome: Result<(), String>,
}

impl ChannelOperation {
    pub fn new(work: OperationKind, mount: usize, key: String) -> Self {
        Self {
            work,
            mount,
            key,
            begun: 0,
            came: None,
            came_at: None,
            was_told: false,
            was_told_after_close: false,
            unanswered_writes: 0,
            answer: None,
        }
    }

    /// Records that the client sent the request that changes names.
    pub fn come(&mut self, place: Position) {
        (self.came, self.came_at) = (Some(place), Some(Instant::now()));
    }

    fn is_upload(&self) -> bool {
        matches!(self.work, OperationKind::Upload(_))
    }

    fn succeeded(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.outcome.is_ok())
    }

    /// Returns the reply with its text if it is a failure.
    fn failure(&self) -> Option<(&RecordedReply, &str)> {
        self.answer.as_ref().and_then(|answer| answer.outcome.as_ref().err().map(|text| (answer, text.as_str())))
    }

    /// True if this is an upload whose CLOSE was sent before `other` began.
    fn is_before(&self, other: &Self) -> bool {
        self.is_upload() && self.mount == other.mount && self.came.is_some_and(|came| came < other.begun)
    }

    /// True if this is an upload whose failure must fail `other`: the client sent `other` before it learned of the
    /// failure.
    fn fails(&self, other: &Self) -> bool {
        self.may_fail(other) && !self.was_told_after_close
    }

    fn may_fail(&self, other: &Self) -> bool {
        let heard_later = |answer: &RecordedReply| other.came.is_some_and(|came| came < answer.place);
        self.is_before(other) && !self.was_told && self.failure().is_some_and(|(answer, _)| heard_later(answer))
    }

    /// True if the change may be that of a RENAME which removes its copy again.
    fn may_take_back(&self, ObjectChange { raw_key, bytes, .. }: &ObjectChange) -> bool {
        match &self.work {
            OperationKind::Rename(target) => bytes.is_none() && raw_key == target,
            OperationKind::RenameTree(target) => bytes.is_none() && raw_key.starts_with(target.as_str()),
            _ => false,
        }
    }

    fn failed_behind_another(&self) -> bool {
        self.failure().is_some_and(|(_, text)| text.contains(BEHIND))
    }
}

/// Counts over all rounds.
#[derive(Debug, Default)]
pub struct Tally {
    pub operations: usize,
    pub changes: usize,
    /// Changes by operations that were sent while an earlier CLOSE was unanswered.
    pub behind_pending_closes: usize,
    /// Operations that failed because an earlier CLOSE failed.
    pub failed_behind_others: usize,
    pub failed: usize,
    pub vanished: usize,
}

/// The operations of one channel with their replies.
#[derive(Default)]
pub struct ChannelRecord {
    /// Objects that existed before the round.
    pub seeds: HashMap<String, Bytes>,
    pub operations: Vec<ChannelOperation>,
    /// True once the connection has ended. Missing replies then never arrive.
    pub is_gone: bool,
}

impl ChannelRecord {
    /// Returns the content of a new file of this length. From 16 bytes on it is unique.
    pub fn unique(number: usize, len: usize) -> Bytes {
        let mut bytes = content(1, len).to_vec();
        if let Some(head) = bytes.get_mut(..16) {
            head.copy_from_slice(format!("{number:016}").as_bytes());
        }
        bytes.into()
    }

    /// Adds an operation and returns its number.
    pub fn add(&mut self, operation: ChannelOperation) -> usize {
        self.operations.push(operation);
        self.operations.len() - 1
    }

    /// True if an operation of this channel may have made the change.
    pub fn explains(&self, change: &ObjectChange) -> bool {
        self.operations.iter().any(|operation| self.may_make(operation, change) || operation.may_take_back(change))
    }

    fn may_make(&self, operation: &ChannelOperation, ObjectChange { raw_key, bytes, at }: &ObjectChange) -> bool {
        if operation.came_at.is_some_and(|came_at| came_at > *at) {
            return false;
        }
        let key = &operation.key;
        match (&operation.work, bytes) {
            (OperationKind::Upload(own), Some(bytes)) => {
                own == bytes && (key == raw_key || self.renames_of(key).any(|target| target == raw_key))
            }
            (OperationKind::Create | OperationKind::Mkdir, Some(bytes)) => key == raw_key && bytes.is_empty(),
            (OperationKind::Rmdir | OperationKind::Remove | OperationKind::Rename(_), None) => key == raw_key,
            (OperationKind::Rename(target), Some(bytes)) => target == raw_key && self.may_hold(key, bytes),
            (OperationKind::RenameTree(target), Some(bytes)) => raw_key
                .strip_prefix(target.as_str())
                .is_some_and(|name| self.seeds.get(&format!("{key}{name}")) == Some(bytes)),
            (OperationKind::RenameTree(_), None) => raw_key.starts_with(key.as_str()),
            (OperationKind::Upload(_) | OperationKind::Create | OperationKind::Mkdir, None)
            | (OperationKind::Rmdir | OperationKind::Remove, Some(_)) => false,
        }
    }

    /// Returns the keys to which the file of `key` was renamed.
    pub fn renames_of(&self, key: &str) -> impl Iterator<Item = &String> {
        self.operations.iter().filter_map(move |operation| match &operation.work {
            OperationKind::Rename(target) if operation.key == key => Some(target),
            _ => None,
        })
    }

    fn may_hold(&self, key: &str, bytes: &Bytes) -> bool {
        let made = |operation: &ChannelOperation| match &operation.work {
            OperationKind::Upload(own) => operation.key == key && own == bytes,
            OperationKind::Create => operation.key == key && bytes.is_empty(),
            OperationKind::Rename(target) => target == key && self.may_hold(&operation.key, bytes),
            _ => false,
        };
        self.seeds.get(key) == Some(bytes) || self.operations.iter().any(made)
    }

    /// Checks the channel against the rules.
    pub fn check(&self, changes: &[ObjectChange], bucket: &MemoryBucket, tally: &mut Tally) {
        let appeared: Vec<_> = self
            .operations
            .iter()
            .map(|operation| changes.iter().position(|change| self.may_make(operation, change)))
            .collect();
        for (number, change) in changes.iter().enumerate() {
            self.check_change((number, change), &appeared, tally);
        }
        for (operation, appeared) in self.operations.iter().zip(&appeared) {
            self.check_answer(operation, appeared.map(|number| &changes[number]), tally);
        }
        self.check_end(bucket);
        tally.operations += self.operations.len();
        tally.vanished += usize::from(self.is_gone);
    }

    /// Checks a change (S159). By then each upload whose CLOSE came before the changing operation must be stored, or
    /// reported as failed.
    fn check_change(&self, (number, change): (usize, &ObjectChange), appeared: &[Option<usize>], tally: &mut Tally) {
        // A RENAME that finds its source gone removes its copy again. That change isn't due to a REMOVE that failed.
        let is_taken_back =
            self.operations.iter().any(|other| other.may_take_back(change) && other.failure().is_some());
        for operation in self.operations.iter().filter(|operation| self.may_make(operation, change)) {
            if is_taken_back && operation.failure().is_some() {
                continue;
            }
            let Some(came) = operation.came else { self.broken(operation, "appeared without a CLOSE", change) };
            let mut was_pending = false;
            for (earlier, appeared) in self.operations.iter().zip(appeared) {
                if !earlier.is_before(operation) {
                    continue;
                }
                was_pending |= earlier.answer.as_ref().is_none_or(|answer| came < answer.place);
                let is_there = appeared.is_some_and(|appeared| appeared < number);
                let has_failed = earlier.failure().is_some_and(|(answer, _)| answer.at <= change.at);
                let is_told = earlier.was_told || earlier.was_told_after_close || earlier.unanswered_writes > 0;
                let was_told = self.is_gone && is_told;
                if !is_there && !has_failed && !was_told {
                    self.broken(operation, &format!("came before {earlier:?}"), change);
                }
                if earlier.fails(operation) {
                    self.broken(operation, &format!("was not failed by {earlier:?}"), change);
                }
            }
            tally.behind_pending_closes += usize::from(was_pending);
        }
    }

    /// Checks a reply (S160). An operation must fail if an earlier upload failed and no reply had reported that. It may
    /// blame an earlier upload only then.
    fn check_answer(&self, operation: &ChannelOperation, appeared: Option<&ObjectChange>, tally: &mut Tally) {
        let Some(answer) = &operation.answer else {
            assert!(self.is_gone || operation.came.is_none(), "{operation:?} was not answered\n{self:?}");
            return;
        };
        let culprit = self.operations.iter().find(|earlier| earlier.fails(operation));
        let failed_behind = operation.failed_behind_another();
        assert!(!operation.succeeded() || culprit.is_none(), "{operation:?} was not failed by {culprit:?}\n{self:?}");
        let may_have_failed = || self.operations.iter().any(|earlier| earlier.may_fail(operation));
        assert!(!failed_behind || may_have_failed(), "{operation:?} failed behind nothing\n{self:?}");
        let is_stored = appeared.is_some_and(|change| change.at <= answer.at);
        let owes = operation.is_upload() && operation.succeeded();
        assert!(!owes || is_stored, "{operation:?} was not stored\n{self:?}");
        tally.failed += usize::from(!operation.succeeded());
        tally.failed_behind_others += usize::from(failed_behind);
    }

    /// Checks that the last operation on each name has the result that it would have in sequence (S105).
    fn check_end(&self, bucket: &MemoryBucket) {
        let mut last: HashMap<&str, (Position, &ChannelOperation)> = HashMap::new();
        for operation in &self.operations {
            let Some(came) = operation.came else { continue };
            let target = match &operation.work {
                OperationKind::Rename(target) => Some(target),
                _ => None,
            };
            for key in [Some(&operation.key), target].into_iter().flatten() {
                if last.get(key.as_str()).is_none_or(|(place, _)| *place < came) {
                    last.insert(key, (came, operation));
                }
            }
        }
        for (key, (_, operation)) in last.into_iter().filter(|(_, (_, operation))| operation.succeeded()) {
            let stored = bucket.bytes(key);
            let is_right = match &operation.work {
                // A RENAME may have moved it while it was open.
                OperationKind::Upload(_) if self.renames_of(key).next().is_some() => true,
                OperationKind::Upload(own) => stored.as_ref() == Some(own),
                OperationKind::Create => stored.is_some(),
                OperationKind::Mkdir => stored.is_some_and(|bytes| bytes.is_empty()),
                OperationKind::Rename(target) if target == key => {
                    stored.is_none_or(|bytes| self.may_hold(&operation.key, &bytes))
                }
                OperationKind::Rmdir | OperationKind::Remove | OperationKind::Rename(_) => stored.is_none(),
                OperationKind::RenameTree(_) => true,
            };
            assert!(is_right, "{operation:?} left something else under {key}\n{self:?}");
        }
    }

    fn broken(&self, operation: &ChannelOperation, what: &str, change: &ObjectChange) -> ! {
        let bytes = change.bytes.as_ref().map(Bytes::len);
        panic!("{operation:?} {what}\nat {:?}: {} has {bytes:?} bytes\n{self:?}", change.at, change.raw_key)
    }
}

impl fmt::Debug for ChannelRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "The channel, gone: {}", self.is_gone)?;
        self.operations.iter().try_for_each(|operation| writeln!(f, "  {operation:?}"))
    }
}

impl fmt::Debug for ChannelOperation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { begun, came, was_told, unanswered_writes, key, .. } = self;
        match &self.work {
            OperationKind::Upload(bytes) => write!(f, "Upload of {key}, {} bytes", bytes.len())?,
            OperationKind::Create => write!(f, "Create {key}")?,
            OperationKind::Mkdir => write!(f, "Mkdir {key}")?,
            OperationKind::Rmdir => write!(f, "Rmdir {key}")?,
            OperationKind::Remove => write!(f, "Remove {key}")?,
            OperationKind::Rename(target) => write!(f, "Rename {key} to {target}")?,
            OperationKind::RenameTree(target) => write!(f, "Rename of the tree {key} to {target}")?,
        }
        write!(f, " [begun {begun}, came {came:?}, told {was_told}, WRITEs unanswered {unanswered_writes}")?;
        match &self.answer {
            Some(RecordedReply { place, at, outcome }) => write!(f, ", answered {place} at {at:?}: {outcome:?}]"),
            None => write!(f, "]"),
        }
    }
}
