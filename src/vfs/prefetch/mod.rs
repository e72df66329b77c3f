//! The prefetch of small files before their OPEN, for clients that read a directory in the order of its listing, as
//! `get -r` does.
//!
//! The session remembers listed files until they are opened (`listing_order.rs`). The client's OPENs decide how many
//! files are fetched (`pace.rs`). Invariant: only files that a listing showed are fetched, at most once, pinned to the
//! version that was listed. A fetched file is used only within a second, and only if this node has changed nothing
//! under its name.

mod listing_order;
mod pace;

use super::{Node, cache::Stamp};
use crate::{
    account::Tenant,
    download::FilePrefetch,
    memory::TenantMemory,
    name::{BucketId, Key, VirtualPath},
    store::{Bucket, ETag},
};
use listing_order::{ListedFile, ListingOrder, ListingPosition};
use pace::Pace;
use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use std::sync::Arc;

/// The files that one session's client may open next, and those that were already fetched.
#[derive(Debug)]
pub(super) struct PrefetchPlan {
    node: Arc<Node>,
    memory: TenantMemory,
    /// `None` while the tenant's config disables it.
    state: Mutex<Option<PrefetchState>>,
}

#[derive(Debug, Default)]
struct PrefetchState {
    order: ListingOrder,
    pace: Pace,
    fetched: Vec<PrefetchedFile>,
}

/// A fetched file, or one that is in flight.
#[derive(Debug)]
struct PrefetchedFile {
    path: VirtualPath,
    bucket: BucketId,
    key: Key,
    /// The stamp of the file before its GET was sent.
    stamp: Stamp,
    prefetch: FilePrefetch,
}

impl PrefetchedFile {
    fn is_unchanged(&self, node: &Node) -> bool {
        node.cache.stat.is_unchanged((&self.bucket, self.key.as_str()), self.stamp)
    }
}

impl PrefetchPlan {
    pub(super) fn new(node: Arc<Node>, tenant: &Tenant) -> Self {
        let (memory, enabled) = (node.budget.of(&tenant.name), tenant.fetch_ahead);
        Self { node, memory, state: Mutex::new(enabled.then(PrefetchState::default)) }
    }

    /// Applies the tenant's present setting. Disabling it drops the fetched files.
    pub(super) fn set_enabled(&self, enabled: bool) {
        let mut state = self.state.lock();
        if state.is_some() != enabled {
            *state = enabled.then(PrefetchState::default);
        }
    }

    pub(super) fn begin_listing(&self, directory: &VirtualPath) {
        if let Some(mut state) = self.state() {
            state.order.begin(directory);
        }
    }

    /// Adds the next file of the listing of `directory`.
    pub(super) fn list(&self, directory: &VirtualPath, name: &str, size: u64, etag: &ETag) {
        if (1..=FilePrefetch::MAX_BYTES).contains(&size)
            && let Some(mut state) = self.state()
        {
            state.order.add(directory, ListedFile { name: name.into(), size, etag: etag.clone() });
        }
    }

    /// Records an OPEN of the file `key`, and returns the file if it was fetched. A file that was fetched under another
    /// key isn't returned: a reload of the config may have moved the mount since.
    pub(super) fn open(&self, path: &VirtualPath, bucket: &BucketId, key: &Key) -> Option<FilePrefetch> {
        self.state()?.open(path, (bucket, key), &self.node)
    }

    /// Sends the GETs for the files that the client will probably open next, after a file in `directory`. `key_of`
    /// resolves a path to a key of `bucket`, if it still leads there.
    pub(super) fn fetch(
        &self,
        directory: &VirtualPath,
        bucket: &Arc<dyn Bucket>,
        key_of: impl Fn(&VirtualPath) -> Option<Key>,
    ) {
        let Some(mut state) = self.state() else { return };
        while state.fetched.len() < state.pace.window()
            && let Some(listed) = state.order.next(directory)
        {
            let Some(path) = directory.child(&listed.name) else { continue };
            let Some(key) = key_of(&path) else { continue };
            let stamp = self.node.cache.stat.stamp((bucket.id(), key.as_str()));
            let name = (bucket.id().clone(), key.clone());
            let prefetch = FilePrefetch::start(Arc::clone(bucket), key, listed.size, listed.etag, self.memory.clone());
            let Some(prefetch) = prefetch else { return };
            state.fetched.push(PrefetchedFile { path, bucket: name.0, key: name.1, stamp, prefetch });
        }
    }

    /// Records if the file that [`open`](Self::open) returned was `useful`.
    pub(super) fn judge(&self, useful: bool) {
        match self.state() {
            Some(mut state) if useful => state.pace.hit(),
            Some(mut state) => state.pace.wasted(1),
            None => {}
        }
    }

    fn state(&self) -> Option<MappedMutexGuard<'_, PrefetchState>> {
        MutexGuard::try_map(self.state.lock(), Option::as_mut).ok()
    }
}

impl PrefetchState {
    fn open(&mut self, path: &VirtualPath, (bucket, key): (&BucketId, &Key), node: &Node) -> Option<FilePrefetch> {
        self.pace.opened();
        // A file that the node has changed since doesn't count as a wrong guess, nor does one of a former mount.
        let is_there = |fetched: &PrefetchedFile| fetched.bucket == *bucket && fetched.key == *key;
        self.fetched.retain(|fetched| fetched.is_unchanged(node) && (fetched.path != *path || is_there(fetched)));
        let found = self.fetched.iter().position(|fetched| fetched.path == *path).map(|at| self.fetched.remove(at));
        let before = self.fetched.len();
        self.fetched.retain(|fetched| fetched.prefetch.is_fresh());
        self.pace.wasted(before - self.fetched.len());
        let Some(PrefetchedFile { prefetch, .. }) = found else {
            match self.order.pass(path) {
                ListingPosition::Next => self.pace.in_order(),
                ListingPosition::Later => self.pace.out_of_order(),
                ListingPosition::Unknown => {}
            }
            return None;
        };
        let fresh = prefetch.is_fresh();
        self.pace.wasted(usize::from(!fresh));
        self.pace.in_order();
        fresh.then_some(prefetch)
    }
}
