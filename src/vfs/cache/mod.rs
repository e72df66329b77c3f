//! The cache of a node: facts about objects that its sessions learned a moment ago, and the attributes that they set.
//!
//! The cache is never the truth about storage. Losing an entry costs a request, or attributes that the journal doesn't
//! have yet, but never a byte. Entries belong to the scope of the credentials that learned them, so no session gets
//! an answer that S3 gave to other credentials. A change that passes through the node updates the object in every scope
//! before its request is answered. So each request that begins later sees it.

mod attributes;
mod children;
mod directories;
mod failed_uploads;
mod markers;
mod names;
mod outages;
mod stat;

pub(super) use attributes::{AttributeOverlay, KnownAttributes};
pub(super) use children::{Answer, Children, ChildrenCache, ChildrenLookup, Verdict};
pub(super) use directories::{DirectoryOverlay, KnownTimes};
pub(super) use failed_uploads::FailedUploads;
pub(super) use markers::MarkerCache;
pub(super) use names::{Change, CredentialScope, ScopedName};
pub(super) use outages::Outages;
pub(super) use stat::{CachedStat, Stamp, StatCache};

use crate::name::{BucketId, Key};

#[derive(Debug, Default)]
pub(super) struct Cache {
    pub(super) stat: StatCache,
    pub(super) children: ChildrenCache,
    pub(super) markers: MarkerCache,
    pub(super) attributes: AttributeOverlay,
    pub(super) directories: DirectoryOverlay,
    pub(super) failed_uploads: FailedUploads,
    pub(super) outages: Outages,
}

impl Cache {
    /// Records a change that was made, or may have been. Call it after storage has answered, and before the
    /// client is answered.
    pub(super) fn changed(&self, bucket: &BucketId, key: &Key, change: Change) {
        self.stat.changed((bucket, key.as_str()), change);
        self.children.changed((bucket, key.as_str()), change);
        self.markers.changed((bucket, key.as_str()), change);
    }

    /// Records that a file was certainly stored or removed.
    pub(super) fn done(&self, bucket: &BucketId, key: &Key) {
        self.failed_uploads.forget((bucket, key.as_str()));
    }

    /// [`changed`](Self::changed) for a change that leaves `cached` under the name. `stamp` was read before the
    /// change was sent.
    pub(super) fn replaced(&self, at: ScopedName<'_>, stamp: Stamp, change: Change, cached: CachedStat) {
        self.children.changed(at.name(), change);
        self.markers.changed(at.name(), change);
        let is_last = self.stat.replaced(at, stamp, change, cached);
        if is_last && change == Change::Made {
            let directory = at.key.as_directory();
            self.children.made((at.scope, (at.bucket, directory.as_str())));
            self.markers.note(at.tenant(), (at.bucket, directory.as_str()));
        }
        self.failed_uploads.forget(at.name());
    }

    /// Records that a directory, and everything below it, was changed or removed.
    pub(super) fn changed_below(&self, bucket: &BucketId, directory: &Key) {
        self.stat.changed_below((bucket, directory.as_str()));
        self.children.changed_below((bucket, directory.as_str()));
        self.markers.changed_below(bucket, directory.as_str());
        self.children.changed((bucket, directory.as_str()), Change::Made);
        self.failed_uploads.forget_below(bucket, &directory.as_directory());
        self.failed_uploads.forget((bucket, directory.as_str()));
    }
}
