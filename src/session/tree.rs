//! A session's view of its user's tree: the vfs, and the records of its changes.

use super::{OpenTransfer, Traffic, is_ordinary, outcome, registry::SessionEntry};
use crate::{
    events::{ChangeKind, Event, Events, Outcome, SessionUser, Transfer, Who},
    name::VirtualPath,
    policy::{Rate, Rates},
    vfs::{Error, NewAttributes, ReadHandle, Replace, Result, SetAttributes, Vfs},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The failed requests that get a log line of their own. A client can make thousands of them in a second at no cost.
const FAILURES: Rate = Rate::new(100, 1);

/// A user's tree, as one channel of its session uses it.
#[derive(Debug)]
pub struct SessionTree {
    who: Arc<SessionUser>,
    vfs: Vfs,
    events: Events,
    entry: Arc<SessionEntry>,
    traffic: Arc<Traffic>,
    /// The rate limit on records of failures.
    failures: Rates<()>,
    since: Instant,
}

/// A change to the tree, with all its arguments except its path.
#[derive(Debug)]
pub enum TreeChange {
    /// Sets attributes of a file or a directory.
    SetAttributes(SetAttributes),
    /// Sets attributes of a path in a directory's form.
    SetDirectoryAttributes(SetAttributes),
    /// Sets attributes of a file that is open for reading.
    SetOpenAttributes(Arc<ReadHandle>, SetAttributes),
    /// Removes a file.
    Remove,
    /// Refuses to remove a file under a path in a directory's form.
    RemoveDirectory,
    /// Creates a directory.
    Mkdir(NewAttributes),
    /// Removes an empty directory.
    Rmdir,
    /// Renames a file or a directory to the path.
    Rename(VirtualPath, Replace),
    /// Renames a file or a directory, if one of the paths has a directory's form.
    RenameDirectory(VirtualPath, Replace),
}

impl TreeChange {
    /// Returns the change as it is recorded.
    #[must_use]
    pub(crate) fn change(&self) -> ChangeKind {
        match self {
            Self::SetAttributes(_) | Self::SetDirectoryAttributes(_) | Self::SetOpenAttributes(..) => {
                ChangeKind::SetAttributes
            }
            Self::Remove | Self::RemoveDirectory => ChangeKind::Remove,
            Self::Mkdir(_) => ChangeKind::Mkdir,
            Self::Rmdir => ChangeKind::Rmdir,
            Self::Rename(..) | Self::RenameDirectory(..) => ChangeKind::Rename,
        }
    }

    /// True if the change creates or removes a name.
    #[must_use]
    pub(crate) fn changes_names(&self) -> bool {
        self.change() != ChangeKind::SetAttributes
    }

    /// Returns the second path of a rename.
    #[must_use]
    pub(crate) fn target(&self) -> Option<&VirtualPath> {
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
    /// Creates the tree and records the start of the session.
    pub(super) fn new(who: Arc<SessionUser>, vfs: Vfs, events: Events, entry: Arc<SessionEntry>) -> Self {
        events.record(Who::Session(Arc::clone(&who)), Event::SessionStarted);
        let traffic = Arc::new(Traffic::part_of(Arc::clone(&entry.traffic)));
        Self { who, vfs, events, entry, traffic, failures: Rates::new(FAILURES), since: Instant::now() }
    }

    /// Returns the user and the session's source. The id is the one in the tree's records.
    #[must_use]
    pub(crate) fn who(&self) -> &SessionUser {
        &self.who
    }

    /// Returns the vfs, for requests that need no record: queries, and the opening of files.
    #[must_use]
    pub(crate) fn vfs(&self) -> &Vfs {
        &self.vfs
    }

    /// Returns the counters of protocol bytes.
    #[must_use]
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// Begins a change of `path`. [`PendingChange::finish`] records it.
    #[must_use]
    pub fn begin_change<'a>(&'a self, change: &'a TreeChange, path: &'a VirtualPath) -> PendingChange<'a> {
        PendingChange { tree: self, change, path, since: Instant::now() }
    }

    /// Records a copy of `source` to a file that will appear as `target`. A rate limit applies to records of failures.
    pub(crate) fn record_copy(
        &self,
        source: &VirtualPath,
        target: &VirtualPath,
        took: Duration,
        error: Option<&Error>,
    ) {
        self.record_change(ChangeKind::Copy, source, Some(target), took, error);
    }

    /// Opens the record of a transfer. `size` is the size of a file that the client reads, in bytes.
    #[must_use]
    pub fn begin_transfer(&self, path: &VirtualPath, transfer: Transfer, size: Option<u64>) -> OpenTransfer {
        let (who, events, entry) = (Arc::clone(&self.who), self.events.clone(), Arc::clone(&self.entry));
        OpenTransfer::new(who, events, entry, path.as_str().to_owned(), transfer, size)
    }

    /// Records the failure of `request`, unless the error is an ordinary answer to a query.
    pub fn note(&self, request: &'static str, path: &VirtualPath, error: &Error) {
        if !is_ordinary(error) {
            self.record_failure(request, path.as_str(), error);
        }
    }

    /// Records that the argument of `request` is not a path.
    pub(crate) fn note_raw(&self, request: &'static str, raw: &[u8], error: &Error) {
        self.record_failure(request, &String::from_utf8_lossy(raw), error);
    }

    /// Records the end of the session. `reason` is `None` if the client ended it in good order. Call it once.
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
        change: ChangeKind,
        path: &VirtualPath,
        target: Option<&VirtualPath>,
        duration: Duration,
        error: Option<&Error>,
    ) {
        let event = || Event::Changed {
            change,
            path: path.as_str().to_owned(),
            target: target.map(|target| target.as_str().to_owned()),
            duration,
            outcome: error.map_or(Outcome::Done, outcome),
        };
        match error {
            None => self.record(event()),
            Some(_) => self.record_failed(event),
        }
    }

    fn record_failure(&self, request: &'static str, path: &str, error: &Error) {
        self.record_failed(|| Event::RequestFailed { request, path: path.to_owned(), outcome: outcome(error) });
    }

    /// Records a failure. It has a log line while the session has tokens for it.
    fn record_failed(&self, event: impl FnOnce() -> Event) {
        if self.failures.take(&()) {
            self.record(event());
        } else if self.events.has_subscribers() {
            self.events.record_unlogged(Who::Session(Arc::clone(&self.who)), event());
        }
    }

    fn record(&self, event: Event) {
        self.events.record(Who::Session(Arc::clone(&self.who)), event);
    }
}

/// A change in progress.
#[derive(Debug)]
pub struct PendingChange<'a> {
    tree: &'a SessionTree,
    change: &'a TreeChange,
    path: &'a VirtualPath,
    since: Instant,
}

impl PendingChange<'_> {
    /// Makes the change. The caller may retry it before [`Self::finish`].
    ///
    /// # Errors
    /// The errors of the [`Vfs`]'s method.
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

    /// Records the change or its failure. A rate limit applies to records of failures.
    pub fn finish(self, result: &Result<()>) {
        let (change, target) = (self.change.change(), self.change.target());
        self.tree.record_change(change, self.path, target, self.since.elapsed(), result.as_ref().err());
    }
}
