//! Directories that outlive their last file: those with a marker, and those that users without the permission to store
//! a marker emptied.
//!
//! Other users of the bucket may have removed a marker since the node learned of it. Such a directory ends with its
//! last file, like one that S3 only implies.

use super::{Change, CredentialScope};
use crate::{
    bounded::{ObjectMap, ObjectName},
    name::{BucketId, TenantName},
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most directories of a tenant whose markers are remembered.
const MAX_MARKERS: usize = 4096;
/// A marker counts as present for this long.
const MARKER_LIFETIME: Duration = Duration::from_mins(10);
/// The most directories of a tenant that are remembered as emptied.
const MAX_EMPTIED: usize = 1024;
/// An emptied directory counts as present for this long.
const EMPTIED_LIFETIME: Duration = Duration::from_hours(1);

/// The directories of a node. Their names end in `/`.
#[derive(Debug)]
pub(in crate::vfs) struct MarkerCache(Mutex<MarkerTable>);

#[derive(Debug)]
struct MarkerTable {
    /// Directories with a marker, and until when it counts as present.
    markers: ObjectMap<(), Instant>,
    emptied: ObjectMap<Arc<CredentialScope>, Instant>,
}

impl Default for MarkerCache {
    fn default() -> Self {
        Self(Mutex::new(MarkerTable { markers: ObjectMap::new(MAX_MARKERS), emptied: ObjectMap::new(MAX_EMPTIED) }))
    }
}

impl MarkerCache {
    /// Records that the directory has a marker.
    pub(in crate::vfs) fn note(&self, tenant: &TenantName, directory: ObjectName<'_>) {
        let mut table = self.0.lock();
        table.markers.drop_oldest(|until| *until <= Instant::now());
        table.markers.insert(tenant, directory, (), Instant::now() + MARKER_LIFETIME);
    }

    /// True if the directory has a marker.
    pub(in crate::vfs) fn has_marker(&self, directory: ObjectName<'_>) -> bool {
        self.0.lock().markers.find(directory, &()).is_some_and(|until| Instant::now() < *until)
    }

    /// Records that users of the scope emptied the directory, and that it can't get a marker.
    pub(in crate::vfs) fn note_emptied(&self, scope: &Arc<CredentialScope>, directory: ObjectName<'_>) {
        let mut table = self.0.lock();
        table.emptied.drop_oldest(|until| *until <= Instant::now());
        table.emptied.insert(&scope.tenant, directory, Arc::clone(scope), Instant::now() + EMPTIED_LIFETIME);
    }

    /// True if users of the scope still see the directory although S3 has nothing below it.
    pub(in crate::vfs) fn is_emptied(&self, scope: &Arc<CredentialScope>, directory: ObjectName<'_>) -> bool {
        self.0.lock().emptied.find(directory, scope).is_some_and(|until| Instant::now() < *until)
    }

    pub(super) fn changed(&self, (bucket, key): ObjectName<'_>, change: Change) {
        let directory = format!("{}/", key.trim_end_matches('/'));
        let mut table = self.0.lock();
        table.markers.remove_all((bucket, &directory));
        table.emptied.remove_all((bucket, &directory));
        if change == Change::Removed {
            return;
        }
        // The directories above the object exist in S3 again.
        for directory in super::stat::ancestors(key) {
            table.emptied.remove_all((bucket, &format!("{directory}/")));
        }
    }

    pub(super) fn changed_below(&self, bucket: &BucketId, directory: &str) {
        let (mut table, below) = (self.0.lock(), format!("{directory}/"));
        table.markers.take_below(bucket, &below);
        table.emptied.take_below(bucket, &below);
    }
}
