//! Repairs an interrupted rename: one of its two halves is whole (see `tree.rs`), and the twins of its objects in the
//! other half are deleted.
//!
//! Invariant: an object is deleted only if the other half has its twin: the same bytes by ETag or token, the same
//! metadata, and the copy not older than the original. Every other object stays. Running it twice, or on two nodes at
//! once, does no harm.

use super::{MovedObject, RenamedVersions, carry, copy::is_copy, error::Result, removal::remove_all, times::Rows};
use crate::{
    journal::{DirectoryRename, Journal, Lease, LeaseKeeper, LeasedRow, NoProgress, RenamePhase, Task, Version},
    name::Key,
    store::{Bucket, Error, ListScope, Object, Pin, missing_or_forbidden},
};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::sync::Arc;

/// The number of objects that are looked up at the same time.
const AT_ONCE: usize = 32;
const PAGE_OBJECTS: u16 = 1000;

/// Undoes or finishes a rename that this node took over with `lease`. Returns the number of deleted objects.
///
/// # Errors
/// The errors of the bucket and the journal. The rename stays in the journal, for another try.
pub async fn repair_rename(
    bucket: &dyn Bucket,
    journal: &Arc<dyn Journal>,
    rename: &Task<DirectoryRename>,
    lease: &Lease,
) -> Result<usize> {
    let row = LeasedRow::of_a_rename(journal, lease.clone());
    let keeper = LeaseKeeper::keep(row, rename.clone().of_any_kind(), NoProgress::receiver());
    let removed = Repair { bucket, journal: &**journal, rename }.run().await?;
    keeper.delete().await?;
    Ok(removed)
}

struct Repair<'a> {
    bucket: &'a dyn Bucket,
    journal: &'a dyn Journal,
    rename: &'a Task<DirectoryRename>,
}

/// An object under its old name and under its new one.
struct Pair {
    moved: MovedObject,
    doomed: (Key, Pin),
}

impl Pair {
    fn is_marker(&self) -> bool {
        self.doomed.0.as_str().ends_with('/')
    }
}

impl Repair<'_> {
    async fn run(&self) -> Result<usize> {
        let (source, target) = (self.rename.payload.names.source(), self.rename.payload.names.target());
        let (doomed, whole) = match self.rename.payload.phase {
            RenamePhase::Entered => return Ok(0),
            RenamePhase::Copying => (&target, &source),
            RenamePhase::Deleting => (&source, &target),
        };
        if self.rename.payload.phase == RenamePhase::Deleting {
            carry::carry_directories(self.journal, self.rename).await?;
        }
        let (mut removed, mut after, mut markers) = (0, None, Vec::new());
        loop {
            let page = self.bucket.list(ListScope::Below(doomed), after.as_ref(), PAGE_OBJECTS).await?;
            let names = page.objects.into_iter().filter_map(|listed| {
                Some((doomed.twin(doomed, &listed.raw_key)?, whole.twin(doomed, &listed.raw_key)?))
            });
            let looks = names.map(|(doomed, twin)| self.pair(doomed, twin));
            let pairs: Vec<Option<Pair>> = stream::iter(looks).buffer_unordered(AT_ONCE).try_collect().await?;
            let (directories, files): (Vec<_>, Vec<_>) = pairs.into_iter().flatten().partition(Pair::is_marker);
            removed += self.remove(files).await?;
            // Markers go after the last page: a store with real directories keeps one that isn't empty yet.
            markers.extend(directories);
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(removed + self.remove(markers).await?),
            }
        }
    }

    /// The pair of `doomed` and `twin`, if they are twins.
    async fn pair(&self, doomed: Key, twin: Key) -> Result<Option<Pair>> {
        let (Some(there), Some(stays)) = (look(self.bucket, &doomed).await?, look(self.bucket, &twin).await?) else {
            return Ok(None);
        };
        let pin = there.pin.clone();
        let (original, copy, source, target) = match self.rename.payload.phase {
            RenamePhase::Deleting => (there, stays, doomed.clone(), twin),
            RenamePhase::Entered | RenamePhase::Copying => (stays, there, twin, doomed.clone()),
        };
        let is_twin = is_copy(&copy, &original) && original.modified <= copy.modified;
        Ok(is_twin.then(|| {
            let versions = RenamedVersions {
                source: Version::of(&original),
                target: Version::of(&copy),
                copied_at: copy.modified,
            };
            Pair { moved: MovedObject { source, target, versions }, doomed: (doomed, pin) }
        }))
    }

    async fn remove(&self, pairs: Vec<Pair>) -> Result<usize> {
        let (moved, doomed): (Vec<_>, Vec<_>) = pairs.into_iter().map(|pair| (pair.moved, pair.doomed)).unzip();
        let finishes = self.rename.payload.phase == RenamePhase::Deleting;
        if finishes {
            let known = carry::carry(self.journal, self.bucket.id(), &moved).await?;
            // Written before the old names are deleted: no other record has their times.
            Rows::new(self.bucket.id(), &moved, &known).write(self.journal).await?;
        }
        let removed = remove_all(self.bucket, doomed).await?;
        if finishes {
            carry::forget(self.journal, self.bucket.id(), &moved).await?;
        }
        Ok(removed.gone)
    }
}

/// The object of a key, if there is one.
pub(super) async fn look(bucket: &dyn Bucket, key: &Key) -> Result<Option<Object>> {
    match bucket.head(key).await {
        Ok(object) => Ok(Some(object)),
        Err(Error::NotFound) => Ok(None),
        Err(refusal @ Error::Forbidden { .. }) => match missing_or_forbidden(bucket, key, refusal).await {
            Error::NotFound => Ok(None),
            error => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}
