//! Renames a directory with its content: copies everything, notes that in the journal, deletes the old names.
//!
//! Invariant: while the journal says [`RenamePhase::Copying`], no object of the source is deleted. From
//! [`RenamePhase::Deleting`] on, no copy is deleted. So a node that finds the rename interrupted knows which half is
//! whole (`repair.rs`). A phase counts once the journal has confirmed it. If the journal doesn't answer, neither half
//! is touched any more.

use super::{
    MovedObject, RenamedVersions, carry,
    charge::{RenameCharges, charge_copies, requests_of_copy},
    copy::copy_listed,
    error::{ObjectsError, Result},
    plan::{PlannedCopy, list},
    refuse_existing,
    removal::{by_depth, remove_all, request_count},
    times::{Rows, TimesWritten},
};
use crate::{
    account::Permissions,
    journal::{
        DirectoryRename, Journal, Lease, LeaseKeeper, LeasedRow, NoProgress, Owner, RenamePhase, RenamedNames,
        Standing, Task, Version,
    },
    store::{Bucket, Error, LeftoverObserver, Pin},
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

/// The number of objects of one directory that are copied at once.
const AT_ONCE: usize = 64;

/// The time that a rename waits for others that could meet it. These include renames of neighbours above and below,
/// which have claims on other names.
const PATIENCE: Duration = Duration::from_secs(30);
/// The pause before the journal is asked again. It doubles each time, up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// A directory, and its new name.
#[derive(Clone, Debug)]
pub struct Tree {
    /// The user who renames it.
    pub owner: Owner,
    /// Its old and its new name, and the mount in which it lies.
    pub names: RenamedNames,
    /// The user's permissions in the mount. With them another node can finish or undo the rename.
    pub permissions: Permissions,
}

/// A directory that was renamed.
#[derive(Debug)]
pub struct RenamedTree {
    /// The objects that were in it.
    pub moved: Vec<MovedObject>,
    /// The write of its files' former times to the journal.
    pub(crate) times: TimesWritten,
}

/// Renames a directory with all objects below it, including names that no user can open.
///
/// n objects take n copies, and ⌈n / 1,000⌉ requests each to list and to delete them.
///
/// # Errors
/// - [`Error::NotFound`]: there are no objects below the source.
/// - [`ObjectsError::IsDirectory`], [`ObjectsError::AlreadyExists`]: there is an object at the target, or it appeared
///   meanwhile.
/// - [`ObjectsError::TooManyObjects`], [`ObjectsError::NameTooLong`], [`Error::DailyLimit`]: nothing was copied.
/// - [`ObjectsError::RenameInProgress`]: another rename that could meet it still runs after half a minute.
/// - [`ObjectsError::Journal`]: the rename can't be entered in the journal.
/// - [`Error::Conflict`]: an object changed meanwhile. Before the deletions, everything is undone. After them, the
///   object has its new version under the old name, and its former one under the new name.
/// - Others: everything is undone. If that fails too, a repair undoes or finishes the rename.
pub async fn rename_tree(
    bucket: &dyn Bucket,
    journal: &Arc<dyn Journal>,
    tree: Tree,
    max_objects: u64,
    leftovers: &dyn LeftoverObserver,
) -> Result<RenamedTree> {
    let lease = Lease::new()?;
    let rename = Task {
        id: lease.holder.clone(),
        bucket: bucket.id().clone(),
        owner: tree.owner,
        permissions: Some(tree.permissions),
        payload: DirectoryRename { names: tree.names, phase: RenamePhase::Entered },
    };
    timeout(PATIENCE, enter(&**journal, &rename, &lease)).await.unwrap_or(Err(ObjectsError::RenameInProgress))?;
    let row = LeasedRow::of_a_rename(journal, lease);
    let keeper = LeaseKeeper::keep(row, rename.clone().of_any_kind(), NoProgress::receiver());
    let work = Work { bucket, journal, rename, keeper, leftovers };
    // Planned only after it is entered: a rename that it waited for may have moved all objects.
    match work.plan(max_objects).await {
        Ok((objects, charges)) => charges.run(work.run(objects)).await,
        Err(refusal) => {
            work.end().await;
            Err(refusal)
        }
    }
}

/// Enters a rename, as soon as no other one could meet it.
async fn enter(journal: &dyn Journal, rename: &Task<DirectoryRename>, lease: &Lease) -> Result<()> {
    let (task, mut pause) = (rename.clone().of_any_kind(), FIRST_PAUSE);
    while !journal.enter_task(&task, lease, Duration::ZERO).await? {
        sleep(pause).await;
        pause = LONGEST_PAUSE.min(pause * 2);
    }
    Ok(())
}

/// The result of copying.
#[derive(Default)]
struct CopyOutcome {
    moved: Vec<(MovedObject, Pin)>,
    failed: Option<ObjectsError>,
    /// True if an unknown copy may lie at the target, or may still appear there.
    unsure: bool,
}

struct Work<'a> {
    bucket: &'a dyn Bucket,
    journal: &'a Arc<dyn Journal>,
    rename: Task<DirectoryRename>,
    keeper: LeaseKeeper,
    leftovers: &'a dyn LeftoverObserver,
}

impl Work<'_> {
    /// Lists the objects to move, checks that the target's name is free, and charges the copies and all requests that
    /// follow.
    async fn plan(&self, max_objects: u64) -> Result<(Vec<PlannedCopy>, RenameCharges)> {
        let objects = list(self.bucket, &self.rename.payload.names, max_objects).await?;
        if objects.is_empty() {
            return Err(Error::NotFound.into());
        }
        refuse_existing(self.bucket, self.rename.payload.names.target_file()).await?;
        let sizes = || objects.iter().map(|planned| planned.listed.size);
        let deletions = request_count(objects.iter().map(|planned| &planned.source));
        let requests = sizes().map(requests_of_copy).sum::<u64>() + deletions;
        let charges = charge_copies(self.bucket, sizes().sum(), requests)?;
        // They belong to a directory that is gone. Forgotten now, because times set on the new one while it is copied
        // count.
        self.journal.forget_directory_times(self.bucket.id(), &self.rename.payload.names.target(), None).await?;
        Ok((objects, charges))
    }

    async fn run(&self, planned: Vec<PlannedCopy>) -> Result<RenamedTree> {
        if !self.enter(RenamePhase::Copying).await? {
            return Err(ObjectsError::RenameInProgress);
        }
        let copied = self.copy_all(planned).await;
        if let Some(error) = copied.failed {
            return Err(self.undo(copied.moved, copied.unsure, error).await);
        }
        if !self.enter(RenamePhase::Deleting).await? {
            // Another node took the rename over. It can only have undone it, because the journal never had another
            // phase.
            return Err(self.undo(copied.moved, false, ObjectsError::RenameInProgress).await);
        }
        let moved: Vec<MovedObject> = copied.moved.into_iter().map(|(moved, _)| moved).collect();
        let times = self.finish(&moved).await?;
        Ok(RenamedTree { moved, times })
    }

    async fn enter(&self, phase: RenamePhase) -> Result<bool> {
        let names = self.rename.payload.names.clone();
        Ok(self.keeper.note(DirectoryRename { names, phase }.into()).await? != Standing::Lost)
    }

    /// Copies all objects, or until one copy fails. Waits for the copies in flight, because an undo must know what they
    /// leave. Markers go first, the outermost before the inner ones, for stores that have real directories.
    async fn copy_all(&self, planned: Vec<PlannedCopy>) -> CopyOutcome {
        let is_marker = |planned: &PlannedCopy| planned.source.as_str().ends_with('/');
        let (markers, files): (Vec<_>, Vec<_>) = planned.into_iter().partition(is_marker);
        let failed = AtomicBool::new(false);
        let mut copied = CopyOutcome::default();
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

    /// Makes one copy. `None` if another one failed before.
    async fn copy_one(&self, planned: PlannedCopy, failed: &AtomicBool) -> Option<Result<(MovedObject, Pin)>> {
        if failed.load(Ordering::Relaxed) {
            return None;
        }
        let PlannedCopy { source, listed, target } = planned;
        let copied = copy_listed(self.bucket, &source, &listed, &target, self.leftovers).await;
        Some(copied.map(|stored| {
            let source_version = Version { etag: listed.etag, modified: listed.modified };
            let versions = RenamedVersions::new(source_version, &stored);
            (MovedObject { source, target, versions }, stored.pin)
        }))
    }

    /// Deletes the copies that were made, and returns `error`. Leaves to a repair what can't be undone now.
    async fn undo(&self, copies: Vec<(MovedObject, Pin)>, unsure: bool, error: ObjectsError) -> ObjectsError {
        let copies = copies.into_iter().map(|(moved, pin)| (moved.target, pin)).collect();
        match remove_all(self.bucket, copies).await {
            Ok(_) if !unsure => self.end().await,
            Ok(_) => {}
            Err(failed) => {
                tracing::warn!(rename = self.rename.id, error = %failed, "a rename could not be undone yet");
            }
        }
        error
    }

    async fn finish(&self, moved: &[MovedObject]) -> Result<TimesWritten> {
        let journal = &**self.journal;
        let known = carry::carry(journal, self.bucket.id(), moved).await?;
        carry::carry_directories(journal, &self.rename).await?;
        // Written in the background while the sources are deleted, so that times are missing only briefly and no client
        // waits.
        let times = Rows::new(self.bucket.id(), moved, &known).write_meanwhile(self.journal).await;
        let pin = |moved: &MovedObject| Pin { etag: moved.versions.source.etag.clone(), version: None };
        let sources = moved.iter().map(|moved| (moved.source.clone(), pin(moved))).collect();
        let removed = remove_all(self.bucket, sources).await?;
        carry::forget(journal, self.bucket.id(), moved).await?;
        self.end().await;
        if removed.changed > 0 {
            let request = format!("{} of the objects changed while they were renamed", removed.changed);
            return Err(Error::Conflict { request }.into());
        }
        Ok(times)
    }

    /// Deletes the rename's row. If that fails, a later repair finds nothing to do.
    async fn end(&self) {
        let _ = self.keeper.delete().await;
    }
}

/// True if S3 may still do the request that it failed to answer.
fn is_unsure(error: &ObjectsError) -> bool {
    let ObjectsError::Storage(error) = error else { return false };
    matches!(error, Error::Unreachable(_) | Error::Throttled { .. } | Error::Broken(_) | Error::Credentials(_))
}
