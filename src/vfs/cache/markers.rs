//! Directories that don't end with their last file: those of which a marker was seen, and those that could be given none.
//!
//! A marker that was seen may have been removed since by others; then the directory ends with its last file, as one that
//! S3 only implies does.

use super::{Change, CredentialScope, Name, lock, object_map::ObjectMap};
use crate::name::{BucketId, TenantName};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// Directories of a tenant whose markers are remembered.
const MAX_MARKED: usize = 4096;
/// How long a marker counts as being there.
const MARKED: Duration = Duration::from_mins(10);
/// Directories of a tenant that are remembered without one.
const MAX_EMPTIED: usize = 1024;
/// How long they count as being there.
const EMPTIED: Duration = Duration::from_hours(1);

/// The directories of a node. Their names end in `/`.
#[derive(Debug)]
pub(in crate::vfs) struct MarkerCache(Mutex<Known>);

#[derive(Debug)]
struct Known {
    /// Until when.
    marked: ObjectMap<(), Instant>,
    emptied: ObjectMap<Arc<CredentialScope>, Instant>,
}

impl Default for MarkerCache {
    fn default() -> Self {
        Self(Mutex::new(Known { marked: ObjectMap::new(MAX_MARKED), emptied: ObjectMap::new(MAX_EMPTIED) }))
    }
}

impl MarkerCache {
    /// The directory has a marker.
    pub(in crate::vfs) fn note(&self, tenant: &TenantName, directory: Name<'_>) {
        let mut known = lock(&self.0);
        known.marked.drop_oldest(|until| *until <= Instant::now());
        known.marked.insert(tenant, directory, (), Instant::now() + MARKED);
    }

    /// True for a directory that has a marker.
    pub(in crate::vfs) fn is_marked(&self, directory: Name<'_>) -> bool {
        lock(&self.0).marked.find(directory, &()).is_some_and(|until| Instant::now() < *until)
    }

    /// Users of the scope saw the directory, and took from it what was in it; it can't be given a marker.
    pub(in crate::vfs) fn note_emptied(&self, scope: &Arc<CredentialScope>, directory: Name<'_>) {
        let mut known = lock(&self.0);
        known.emptied.drop_oldest(|until| *until <= Instant::now());
        known.emptied.insert(&scope.tenant, directory, Arc::clone(scope), Instant::now() + EMPTIED);
    }

    /// True for a directory that is there for users of the scope although S3 has nothing of it.
    pub(in crate::vfs) fn is_emptied(&self, scope: &Arc<CredentialScope>, directory: Name<'_>) -> bool {
        lock(&self.0).emptied.find(directory, scope).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn changed(&self, (bucket, key): Name<'_>, change: Change) {
        let directory = format!("{}/", key.trim_end_matches('/'));
        let mut known = lock(&self.0);
        known.marked.remove_all((bucket, &directory));
        known.emptied.remove_all((bucket, &directory));
        if change == Change::Removed {
            return;
        }
        // The directories that it lies in are there again.
        for directory in super::stat::ancestors(key) {
            known.emptied.remove_all((bucket, &format!("{directory}/")));
        }
    }

    pub(super) fn changed_below(&self, bucket: &BucketId, directory: &str) {
        let (mut known, below) = (lock(&self.0), format!("{directory}/"));
        known.marked.take_below(bucket, &below);
        known.emptied.take_below(bucket, &below);
    }
}
