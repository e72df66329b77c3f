//! Times and modes that clients set on directories. S3 can't carry them: most directories have no object of their own.
//!
//! The journal keeps times by bucket and key, and every session sees them. A directory without times shows the start of
//! the current day ([`Times::start_of_day`]). Modes last as long as the session. Times that this node's sessions set
//! are also in the node's overlay, which answers at once. While the journal is down no request here fails, and
//! `attribute_writer.rs` writes the times into the journal later.
//!
//! Invariant: STAT, OPENDIR and each page of a listing ask the journal at most once, and don't ask for times that this
//! node set within two seconds. OPENDIR of a directory with thousands of mounts asks once for each thousand.

use super::{
    Metadata, NewAttributes, Node, Times,
    attribute_writer::AttributeWriter,
    cache::{DirectoryOverlay, KnownTimes},
    session_state::DirectoryModes,
};
use crate::{
    account::Mount,
    journal::{DirectoryTimes, Journal, JournalDown, ListedDirectories},
    name::{BucketId, Prefix, TenantName, VirtualPath},
    objects,
};
use std::{collections::HashMap, sync::Arc};
use tokio::time::Instant;

/// The most directories in one question to the journal.
const PAGE_DIRECTORIES: usize = 1000;

/// A directory, by the name that the cache and the journal use.
#[derive(Clone, Copy, Debug)]
pub(super) struct DirectoryName<'a> {
    pub(super) bucket: &'a BucketId,
    pub(super) prefix: &'a Prefix,
}

impl<'a> DirectoryName<'a> {
    fn of_cache(self) -> (&'a BucketId, &'a str) {
        (self.bucket, self.prefix.as_str())
    }
}

/// The attributes of directories, as one session sees them.
#[derive(Debug)]
pub(super) struct DirectoryAttributes {
    node: Arc<Node>,
    tenant: TenantName,
    journal: Arc<dyn Journal>,
    modes: DirectoryModes,
}

impl DirectoryAttributes {
    pub(super) fn new((node, tenant, journal): (Arc<Node>, TenantName, Arc<dyn Journal>)) -> Self {
        Self { node, tenant, journal, modes: DirectoryModes::default() }
    }

    fn journal(&self) -> &dyn Journal {
        &*self.journal
    }

    fn overlay(&self) -> &DirectoryOverlay {
        &self.node.cache.directories
    }

    /// A directory in `mount`, or a virtual one. Shows the start of the day unless it has `times`.
    pub(super) fn metadata(&self, path: &VirtualPath, times: Option<Times>, mount: Option<&Mount>) -> Metadata {
        let times = times.unwrap_or_else(|| Times::start_of_day(&*self.node.clock));
        Metadata::of_directory(times, self.modes.find(path), mount)
    }

    /// The times that are set on a directory. At most one question to the journal.
    pub(super) async fn times(&self, directory: DirectoryName<'_>) -> Option<Times> {
        let known = self.known(directory);
        if let Some(newest) = known.filter(KnownTimes::is_newest) {
            return newest.times;
        }
        match self.journal().directory_times(directory.bucket, directory.prefix).await {
            Ok(times) => times.map(Times::from),
            Err(JournalDown) => known.and_then(|known| known.times),
        }
    }

    /// The times that are set on several directories. One question to the journal for each thousand of them.
    pub(super) async fn times_of<'a>(&self, bucket: &BucketId, prefixes: &[&'a Prefix]) -> HashMap<&'a Prefix, Times> {
        let known = prefixes.iter().map(|prefix| (*prefix, self.known(DirectoryName { bucket, prefix })));
        let is_newest = |known: &Option<KnownTimes>| known.as_ref().is_some_and(KnownTimes::is_newest);
        let (newest, asked): (Vec<_>, Vec<_>) = known.partition(|(_, known)| is_newest(known));
        let known_times = |(prefix, known): (&'a Prefix, Option<KnownTimes>)| Some((prefix, known?.times?));
        let mut times: HashMap<&Prefix, Times> = newest.into_iter().filter_map(known_times).collect();
        for page in asked.chunks(PAGE_DIRECTORIES) {
            let prefixes: Vec<&Prefix> = page.iter().map(|(prefix, _)| *prefix).collect();
            match self.journal().directory_times_of(bucket, &prefixes).await {
                Ok(found) => {
                    times.extend(
                        prefixes.into_iter().zip(found).filter_map(|(prefix, found)| Some((prefix, found?.into()))),
                    );
                }
                Err(JournalDown) => times.extend(page.iter().copied().filter_map(known_times)),
            }
        }
        times
    }

    /// The times that a session of this node set just now, or else the `listed` ones.
    pub(super) fn newest_times(&self, directory: DirectoryName<'_>, listed: Option<Times>) -> Option<Times> {
        let known = self.known(directory).filter(KnownTimes::is_newest);
        known.map_or(listed, |known| known.times)
    }

    /// The times that are set on the directories on one page of a listing, which was requested at `asked`. One question
    /// to the journal, none for a page without directories.
    pub(super) async fn of_page(
        &self,
        bucket: &BucketId,
        parent: &Prefix,
        page: &[objects::ListingEntry],
        asked: Instant,
    ) -> TimesInPage {
        let is_directory = |entry: &&objects::ListingEntry| matches!(entry.kind, objects::EntryKind::Directory);
        let names: Vec<&str> = page.iter().filter(is_directory).map(|entry| entry.name.as_str()).collect();
        if names.is_empty() {
            return TimesInPage(Ok(HashMap::new()));
        }
        let page = ListedDirectories { parent, names: &names, asked_ago: asked.elapsed() };
        TimesInPage(self.journal().directory_times_in(bucket, page).await)
    }

    /// The times of the directory `name` on a page of a listing.
    pub(super) fn in_page(&self, page: &mut TimesInPage, directory: DirectoryName<'_>, name: &str) -> Option<Times> {
        let known = self.known(directory);
        if let Some(newest) = known.filter(KnownTimes::is_newest) {
            return newest.times;
        }
        match &mut page.0 {
            Ok(found) => found.remove(name).map(Times::from),
            Err(JournalDown) => known.and_then(|known| known.times),
        }
    }

    /// Sets times for every session, and a mode for this one.
    pub(super) async fn set(&self, path: &VirtualPath, directory: DirectoryName<'_>, attributes: NewAttributes) {
        if let Some(mode) = attributes.mode {
            self.modes.set(path, mode);
        }
        if let Some(times) = attributes.times {
            self.set_times(directory, times).await;
        }
    }

    async fn set_times(&self, directory: DirectoryName<'_>, times: Times) {
        let known = self.overlay().note(&self.tenant, directory.of_cache(), Some(times));
        let set = self.journal().set_directory_times(directory.bucket, directory.prefix, times.into()).await;
        self.take_answer(directory, known, set);
    }

    /// Applies the journal's answer to a change. If the journal didn't answer, the change is written later.
    fn take_answer(&self, directory: DirectoryName<'_>, known: KnownTimes, answer: Result<(), JournalDown>) {
        match answer {
            Ok(()) => self.overlay().confirm(&self.tenant, directory.of_cache(), known),
            Err(JournalDown) => self.write_later(directory),
        }
    }

    fn write_later(&self, directory: DirectoryName<'_>) {
        AttributeWriter::write_directory(&self.node, &self.tenant, directory.bucket, directory.prefix);
    }

    /// Returns the overlay's entry of a directory.
    fn known(&self, directory: DirectoryName<'_>) -> Option<KnownTimes> {
        let known = self.overlay().find(directory.of_cache());
        if known.as_ref().is_some_and(KnownTimes::is_unwritten) {
            // The entry is queued already, unless the queue was full.
            self.write_later(directory);
        }
        known
    }

    /// True if the journal has, or may have, times of a directory or of one below it. Ask it in parallel with S3, so
    /// that it costs no time.
    pub(super) async fn may_be_in_journal(&self, directory: DirectoryName<'_>) -> bool {
        !matches!(self.journal().keeps_directory_times(directory.bucket, directory.prefix).await, Ok(false))
    }

    /// Records that a directory was made. Forgets all attributes of an older directory of the name, and of those below
    /// it. `has_rows` is the answer of [`may_be_in_journal`](Self::may_be_in_journal).
    pub(super) async fn made(&self, path: &VirtualPath, directory: DirectoryName<'_>, has_rows: bool) {
        self.modes.forget(path);
        self.overlay().take(directory.bucket, directory.prefix);
        if has_rows {
            // While the journal is down the row stays, and this node's entry overrides it.
            let known = self.overlay().note(&self.tenant, directory.of_cache(), None);
            let forgotten = self.forget(directory).await;
            self.take_answer(directory, known, forgotten);
        }
    }

    /// Records that a directory was removed, and forgets its attributes. `has_rows` is the answer of
    /// [`may_be_in_journal`](Self::may_be_in_journal). While the journal is down the rows stay. A later request that
    /// finds no directory drops them.
    pub(super) async fn removed(&self, path: &VirtualPath, directory: DirectoryName<'_>, has_rows: bool) {
        self.modes.forget(path);
        self.overlay().take(directory.bucket, directory.prefix);
        if has_rows {
            let _ = self.forget(directory).await;
        }
    }

    async fn forget(&self, directory: DirectoryName<'_>) -> Result<(), JournalDown> {
        self.journal().forget_directory_times(directory.bucket, directory.prefix, None).await
    }

    /// Drops the times of a directory and of those below it, because S3, asked at `asked`, doesn't have the directory.
    /// Times that were set later stay, because the directory may have been made since.
    pub(super) async fn drop_gone(&self, directory: DirectoryName<'_>, asked: Instant) {
        let DirectoryName { bucket, prefix } = directory;
        self.overlay().drop_older(bucket, prefix, asked);
        if matches!(self.journal().keeps_directory_times(bucket, prefix).await, Ok(true)) {
            let _ = self.journal().forget_directory_times(bucket, prefix, Some(asked.elapsed())).await;
        }
    }

    /// Moves the times of an empty directory that was renamed.
    pub(super) async fn renamed(&self, source: DirectoryName<'_>, target: DirectoryName<'_>) {
        AttributeWriter::flush(&self.node, source.bucket, source.prefix).await;
        let moved = async {
            self.forget(target).await?;
            self.journal().move_directory_times(source.bucket, source.prefix, target.prefix).await
        };
        let is_moved = moved.await.is_ok();
        self.carry(source, target, is_moved);
    }

    /// Moves this node's entries of a renamed directory, and of those below it, to the new names. Entries that the
    /// journal may not have under the new names are written soon.
    pub(super) fn carry(&self, source: DirectoryName<'_>, target: DirectoryName<'_>, is_moved: bool) {
        self.overlay().take(target.bucket, target.prefix);
        for (old, known) in self.overlay().take(source.bucket, source.prefix) {
            let Some(new) = target.prefix.twin(source.prefix, &old).map(|key| key.as_directory()) else { continue };
            let new = DirectoryName { bucket: target.bucket, prefix: &new };
            if known.times.is_some() && (known.is_newest() || !is_moved) {
                // Set again, because the journal has the moved row from now on.
                self.overlay().note(&self.tenant, new.of_cache(), known.times);
                self.write_later(new);
                continue;
            }
            self.overlay().carry(&self.tenant, new.of_cache(), known);
            if known.is_unwritten() {
                self.write_later(new);
            }
        }
    }

    /// Moves the modes of a renamed directory, and of those below it.
    pub(super) fn carry_modes(&self, source: &VirtualPath, target: &VirtualPath) {
        self.modes.rename(source, target);
    }
}

/// The times that are set on the directories on one page of a listing.
#[derive(Debug)]
pub(super) struct TimesInPage(Result<HashMap<String, DirectoryTimes>, JournalDown>);

impl From<DirectoryTimes> for Times {
    fn from(DirectoryTimes { accessed, modified }: DirectoryTimes) -> Self {
        Self { accessed, modified }
    }
}

impl From<Times> for DirectoryTimes {
    fn from(Times { accessed, modified }: Times) -> Self {
        Self { accessed, modified }
    }
}
