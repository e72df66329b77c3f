//! Renaming a directory with all that is in it: copy everything, note that, delete the old names.
//!
//! Invariant: while the journal says [`RenamePhase::Copying`] no object of the source is deleted, and from
//! [`RenamePhase::Deleting`] on no copy is. So whoever finds it cut off knows which half is whole (`repair.rs`). A phase
//! counts when the journal has confirmed it; where it doesn't answer, neither half is touched any more.

use super::{
    Moved, Renamed, carry,
    copy::copy_listed,
    held::while_held,
    plan::{Planned, list},
    removal::{by_depth, remove_all},
    times::{Rows, TimesWritten},
};
use crate::{
    name::{Key, Prefix},
    store::{
        Bucket, Error, Journal, Lease, Owner, Pin, RenamePhase, Result, TreeRename, Version, find::refuse_existing,
    },
};
use futures_util::{StreamExt as _, stream};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::time::{sleep, timeout};

/// Objects of one directory that are copied at once.
const AT_ONCE: usize = 64;

/// So long a rename waits for others that could meet it: those of neighbours above and below too, which have claims on
/// other names.
const PATIENCE: Duration = Duration::from_secs(30);
/// The journal is asked again after this time, and after twice as long each further time, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A directory, and the name that it shall get.
#[derive(Clone, Debug)]
pub struct Tree<'a> {
    /// Who asks for it.
    pub owner: Owner,
    /// The prefix of the mount that it lies in.
    pub mount: &'a Prefix,
    /// Its name below the mount, normal and without a slash at its end.
    pub source_name: &'a str,
    /// The name that it shall get.
    pub target_name: &'a str,
}

/// A directory that was renamed.
#[derive(Debug)]
pub struct RenamedTree {
    /// All that was in it.
    pub moved: Vec<Moved>,
    /// The times that its files had, on their way to the journal.
    pub times: TimesWritten,
}

/// Renames a directory with all that lies below it, names that nobody can open included.
///
/// n objects take n copies, and as many requests as there are thousands of them twice: to list and to delete them.
///
/// # Errors
/// - [`Error::NotFound`]: nothing lies below the source.
/// - [`Error::IsDirectory`], [`Error::AlreadyExists`]: something is at the target, or came to be there meanwhile.
/// - [`Error::TooManyObjects`], [`Error::NameTooLong`]: nothing was copied.
/// - [`Error::RenameUnderWay`]: another rename that could meet it is still at it after half a minute.
/// - [`Error::Journal`]: it can't be written down who does what.
/// - [`Error::Conflict`]: an object changed meanwhile. Before the deletions all is undone; then it stays under its old name
///   as it is, and under the new one as it was.
/// - Others: all is undone; or, where that fails too, undone or finished by who repairs it.
pub async fn rename_tree(
    bucket: &dyn Bucket,
    journal: &Arc<dyn Journal>,
    tree: Tree<'_>,
    max_objects: u64,
) -> Result<RenamedTree> {
    let lease = Lease::new()?;
    let rename = TreeRename {
        id: lease.holder.clone(),
        bucket: bucket.id().clone(),
        owner: tree.owner,
        mount: tree.mount.clone(),
        source_name: tree.source_name.to_owned(),
        target_name: tree.target_name.to_owned(),
        phase: RenamePhase::Entered,
    };
    let target = tree.mount.key(tree.target_name).map_err(|_| Error::NameTooLong)?;
    timeout(PATIENCE, enter(&**journal, &rename, &lease)).await.unwrap_or(Err(Error::RenameUnderWay))?;
    let mut work = Work { bucket, journal, rename, lease };
    // Not before it is entered: a rename that was waited for may have moved all of it.
    match while_held(&**journal, &work.rename, &work.lease, work.plan(&target, max_objects)).await {
        Ok(objects) => work.run(objects).await,
        Err(refusal) => {
            work.end().await;
            Err(refusal)
        }
    }
}

/// Enters a rename, as soon as no other one could meet it.
async fn enter(journal: &dyn Journal, rename: &TreeRename, lease: &Lease) -> Result<()> {
    let mut pause = FIRST_PAUSE;
    while !journal.enter_rename(rename, lease).await? {
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    Ok(())
}

/// What copying came to.
#[derive(Default)]
struct Copied {
    moved: Vec<(Moved, Pin)>,
    failed: Option<Error>,
    /// Whether a copy may lie at the target, or come to lie there, of which nothing is known.
    unsure: bool,
}

struct Work<'a> {
    bucket: &'a dyn Bucket,
    journal: &'a Arc<dyn Journal>,
    rename: TreeRename,
    lease: Lease,
}

impl Work<'_> {
    /// Lists all that shall be moved, to a name that nothing has.
    async fn plan(&self, target: &Key, max_objects: u64) -> Result<Vec<Planned>> {
        let objects = list(self.bucket, &self.rename, max_objects).await?;
        if objects.is_empty() {
            return Err(Error::NotFound);
        }
        refuse_existing(self.bucket, target).await?;
        // They are of a directory that is gone. Now, because what is set on the new one while it is copied counts.
        self.journal.forget_directory_times(self.bucket.id(), &target.as_directory(), None).await?;
        Ok(objects)
    }

    async fn run(&mut self, planned: Vec<Planned>) -> Result<RenamedTree> {
        if !self.enter(RenamePhase::Copying).await? {
            return Err(Error::RenameUnderWay);
        }
        let copied = while_held(&**self.journal, &self.rename, &self.lease, self.copy_all(planned)).await;
        if let Some(error) = copied.failed {
            return Err(self.undo(copied.moved, copied.unsure, error).await);
        }
        if !self.enter(RenamePhase::Deleting).await? {
            // Somebody took it on, who can only have undone it: the phase was never another one.
            return Err(self.undo(copied.moved, false, Error::RenameUnderWay).await);
        }
        let moved: Vec<Moved> = copied.moved.into_iter().map(|(moved, _)| moved).collect();
        let times = while_held(&**self.journal, &self.rename, &self.lease, self.finish(&moved)).await?;
        Ok(RenamedTree { moved, times })
    }

    async fn enter(&mut self, phase: RenamePhase) -> Result<bool> {
        self.rename.phase = phase;
        Ok(self.journal.hold_rename(&self.rename, &self.lease).await?)
    }

    /// Copies all, or until one fails. Those on their way are waited for: what they leave must be known. Markers go first,
    /// the outer ones before the inner, for stores that have real directories.
    async fn copy_all(&self, planned: Vec<Planned>) -> Copied {
        let is_marker = |planned: &Planned| planned.source.as_str().ends_with('/');
        let (markers, files): (Vec<_>, Vec<_>) = planned.into_iter().partition(is_marker);
        let failed = AtomicBool::new(false);
        let mut copied = Copied::default();
        let markers = by_depth(markers, |planned| &planned.source).into_values();
        for portion in markers.chain([files]) {
            let wanted = portion.into_iter().map(|planned| self.copy_one(planned, &failed));
            let mut answers = stream::iter(wanted).buffer_unordered(AT_ONCE);
            while let Some(answer) = answers.next().await {
                match answer {
                    None => {}
                    Some(Ok(moved)) => copied.moved.push(moved),
                    Some(Err(error)) => {
                        failed.store(true, Ordering::Relaxed);
                        copied.unsure |= is_unsure(&error);
                        copied.failed.get_or_insert(error);
                    }
                }
            }
        }
        copied
    }

    /// One copy; none if another one failed before.
    async fn copy_one(&self, planned: Planned, failed: &AtomicBool) -> Option<Result<(Moved, Pin)>> {
        if failed.load(Ordering::Relaxed) {
            return None;
        }
        let Planned { source, listed, target } = planned;
        let copied = copy_listed(self.bucket, &source, &listed, &target).await;
        Some(copied.map(|stored| {
            let source_version = Version { etag: listed.etag, modified: listed.modified };
            let versions = Renamed::new(source_version, &stored);
            (Moved { source, target, versions }, stored.pin)
        }))
    }

    /// Deletes the copies that were made, and answers with why. What can't be undone now is left to who repairs it.
    async fn undo(&self, copies: Vec<(Moved, Pin)>, unsure: bool, error: Error) -> Error {
        let copies = copies.into_iter().map(|(moved, pin)| (moved.target, pin)).collect();
        match while_held(&**self.journal, &self.rename, &self.lease, remove_all(self.bucket, copies)).await {
            Ok(_) if !unsure => self.end().await,
            Ok(_) => {}
            Err(failed) => {
                tracing::warn!(rename = self.rename.id, error = %failed, "a rename could not be undone yet");
            }
        }
        error
    }

    async fn finish(&self, moved: &[Moved]) -> Result<TimesWritten> {
        let journal = &**self.journal;
        let known = carry::carry(journal, self.bucket.id(), moved).await?;
        carry::carry_directories(journal, &self.rename).await?;
        // Meanwhile, so that the old names are not gone for long before their times are known, and nobody waits for it.
        let times = Rows::new(self.bucket.id(), moved, &known).write_meanwhile(self.journal).await;
        let pin = |moved: &Moved| Pin { etag: moved.versions.source.etag.clone(), version: None };
        let sources = moved.iter().map(|moved| (moved.source.clone(), pin(moved))).collect();
        let removed = remove_all(self.bucket, sources).await?;
        carry::forget(journal, self.bucket.id(), moved).await?;
        self.end().await;
        if removed.changed > 0 {
            let request = format!("{} of the objects changed while they were renamed", removed.changed);
            return Err(Error::Conflict { request });
        }
        Ok(times)
    }

    /// Strikes the entry out. Where that fails, who repairs it finds nothing to do.
    async fn end(&self) {
        let _ = self.journal.end_rename(&self.rename, &self.lease).await;
    }
}

/// Whether S3 may still store what it failed to answer for.
fn is_unsure(error: &Error) -> bool {
    matches!(error, Error::Unreachable(_) | Error::Throttled { .. } | Error::Broken(_) | Error::Credentials(_))
}
