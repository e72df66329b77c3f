//! The tree of a session's user: the vfs, and the records of what is done to it.

use super::{OpenTransfer, Traffic, is_ordinary, outcome, registry::Entry};
use crate::{
    events::{Change, Event, Events, Outcome, SessionUser, Transfer, Who},
    name::VirtualPath,
    policy::{Rate, Rates},
    vfs::{Error, NewAttributes, ReadHandle, Replace, Result, SetAttributes, Vfs},
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// Failed requests that have a record of their own. A client can make thousands of them in a second, and they cost it
/// nothing.
const FAILURES: Rate = Rate::new(100, 1);

/// A user's tree, as one channel of its session uses it.
#[derive(Debug)]
pub struct SessionTree {
    who: Arc<SessionUser>,
    vfs: Vfs,
    events: Events,
    entry: Arc<Entry>,
    traffic: Arc<Traffic>,
    /// The failures that are recorded.
    failures: Rates<()>,
    since: Instant,
}

/// A change to the tree, with all that it needs beside its path.
#[derive(Debug)]
pub enum TreeChange {
    /// Sets attributes of a file or a directory.
    SetAttributes(SetAttributes),
    /// Sets attributes of a path that is written as a directory's.
    SetDirectoryAttributes(SetAttributes),
    /// Sets attributes of a file that is open for reading.
    SetOpenAttributes(Arc<ReadHandle>, SetAttributes),
    /// Removes a file.
    Remove,
    /// Refuses to remove a file under a path that is written as a directory's.
    RemoveDirectory,
    /// Makes a directory.
    Mkdir(NewAttributes),
    /// Removes an empty directory.
    Rmdir,
    /// Renames a file or a directory to the path.
    Rename(VirtualPath, Replace),
    /// The same where one of the paths is written as a directory's.
    RenameDirectory(VirtualPath, Replace),
}

impl TreeChange {
    /// The change, as it is recorded.
    #[must_use]
    pub fn change(&self) -> Change {
        match self {
            Self::SetAttributes(_) | Self::SetDirectoryAttributes(_) | Self::SetOpenAttributes(..) => {
                Change::SetAttributes
            }
            Self::Remove | Self::RemoveDirectory => Change::Remove,
            Self::Mkdir(_) => Change::Mkdir,
            Self::Rmdir => Change::Rmdir,
            Self::Rename(..) | Self::RenameDirectory(..) => Change::Rename,
        }
    }

    /// True if a name appears or goes by it.
    #[must_use]
    pub fn changes_names(&self) -> bool {
        self.change() != Change::SetAttributes
    }

    /// The second path of a rename.
    #[must_use]
    pub fn target(&self) -> Option<&VirtualPath> {
        match self {
            Self::Rename(target, _) | Self::RenameDirectory(target, _) => Some(target),
            Self::SetAttributes(_)
            | Self::SetDirectoryAttributes(_)
            | Self::SetOpenAttributes(..)
            | Self::Remove
            | Self::RemoveDirectory
            | Self::Mkdir(_)
            | Self::Rmdir => None,
        }
    }
}

impl SessionTree {
    /// Records that the tree is used from now on.
    pub(super) fn new(who: Arc<SessionUser>, vfs: Vfs, events: Events, entry: Arc<Entry>) -> Self {
        events.record(Who::Session(Arc::clone(&who)), Event::SessionStarted);
        let traffic = Arc::new(Traffic::part_of(Arc::clone(&entry.traffic)));
        Self { who, vfs, events, entry, traffic, failures: Rates::new(FAILURES), since: Instant::now() }
    }

    /// The user and the way that it came; the id is the one in the records.
    #[must_use]
    pub fn who(&self) -> &SessionUser {
        &self.who
    }

    /// The tree itself, for what needs no record: questions, and the opening of files.
    #[must_use]
    pub fn vfs(&self) -> &Vfs {
        &self.vfs
    }

    /// The protocol bytes that went through.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Begins a change of `path`, which is recorded by [`PendingChange::finish`].
    #[must_use]
    pub fn begin_change<'a>(&'a self, change: &'a TreeChange, path: &'a VirtualPath) -> PendingChange<'a> {
        PendingChange { tree: self, change, path, since: Instant::now() }
    }

    /// Records a copy of `source` to a file that will appear as `target`. Of failures as many are recorded as may be.
    pub fn record_copy(&self, source: &VirtualPath, target: &VirtualPath, took: Duration, error: Option<&Error>) {
        self.record_change(Change::Copy, source, Some(target), took, error);
    }

    /// Opens the record of a file that is transferred. `size` is that of a file that is read, in bytes.
    #[must_use]
    pub fn begin_transfer(&self, path: &VirtualPath, transfer: Transfer, size: Option<u64>) -> OpenTransfer {
        let (who, events, entry) = (Arc::clone(&self.who), self.events.clone(), Arc::clone(&self.entry));
        OpenTransfer::new(who, events, entry, path.as_str().to_owned(), transfer, size)
    }

    /// Records that `request` failed, unless the error is the ordinary answer to a question.
    pub fn note(&self, request: &'static str, path: &VirtualPath, error: &Error) {
        if !is_ordinary(error) {
            self.record_failure(request, path.as_str(), error);
        }
    }

    /// Records that `request` named something that is no path.
    pub fn note_raw(&self, request: &'static str, raw: &[u8], error: &Error) {
        self.record_failure(request, &String::from_utf8_lossy(raw), error);
    }

    /// Records the end of the tree's use; `reason` where it wasn't the client's orderly end. Call it once.
    pub fn record_end(&self, reason: Option<String>) {
        self.record(Event::SessionEnded {
            duration: self.since.elapsed(),
            received_bytes: self.traffic.received(),
            sent_bytes: self.traffic.sent(),
            suppressed: self.failures.refused(&()),
            reason,
        });
    }

    fn record_change(
        &self,
        change: Change,
        path: &VirtualPath,
        target: Option<&VirtualPath>,
        duration: Duration,
        error: Option<&Error>,
    ) {
        if error.is_none() || self.failures.take(&()) {
            self.record(Event::Changed {
                change,
                path: path.as_str().to_owned(),
                target: target.map(|target| target.as_str().to_owned()),
                duration,
                outcome: error.map_or(Outcome::Done, outcome),
            });
        }
    }

    fn record_failure(&self, request: &'static str, path: &str, error: &Error) {
        if self.failures.take(&()) {
            self.record(Event::RequestFailed { request, path: path.to_owned(), outcome: outcome(error) });
        }
    }

    fn record(&self, event: Event) {
        self.events.record(Who::Session(Arc::clone(&self.who)), event);
    }
}

/// A change that is being made.
#[derive(Debug)]
pub struct PendingChange<'a> {
    tree: &'a SessionTree,
    change: &'a TreeChange,
    path: &'a VirtualPath,
    since: Instant,
}

impl PendingChange<'_> {
    /// Makes the change. It may be tried again before [`Self::finish`].
    ///
    /// # Errors
    /// As the verb of the [`Vfs`].
    pub async fn apply(&self) -> Result<()> {
        let (vfs, path) = (&self.tree.vfs, self.path);
        match self.change {
            TreeChange::SetAttributes(attributes) => vfs.set_attributes(path, *attributes).await,
            TreeChange::SetDirectoryAttributes(attributes) => vfs.set_attributes_of_directory(path, *attributes).await,
            TreeChange::SetOpenAttributes(file, attributes) => vfs.set_attributes_of_open(file, *attributes).await,
            TreeChange::Remove => vfs.remove(path).await,
            TreeChange::RemoveDirectory => Err(vfs.refuse_directory(path).await),
            TreeChange::Mkdir(attributes) => vfs.mkdir(path, *attributes).await,
            TreeChange::Rmdir => vfs.rmdir(path).await,
            TreeChange::Rename(target, replace) => vfs.rename(path, target, *replace).await,
            TreeChange::RenameDirectory(target, replace) => vfs.rename_directory(path, target, *replace).await,
        }
    }

    /// Records the change, or that it failed: of failures as many as may be.
    pub fn finish(self, result: &Result<()>) {
        let (change, target) = (self.change.change(), self.change.target());
        self.tree.record_change(change, self.path, target, self.since.elapsed(), result.as_ref().err());
    }
}
