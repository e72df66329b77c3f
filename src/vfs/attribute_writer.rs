//! Attributes that the server itself notes of files, on their way into the journal: modes that files were stored with, which
//! an object's metadata has, and listings don't show, and the times at which files appeared, where S3 says others.
//!
//! They are written a moment after the client was answered, all that have come by then in one statement: no request waits
//! for SQL because of them. Until then this node shows them from its overlay, where they stay while the journal is down.
//!
//! Invariant: what is written is what the overlay says when it is written. A file that was replaced, removed or given other
//! attributes since is left out.

use super::{Node, cache::Noted};
use crate::{
    account::TenantName,
    store::{BucketId, ETag, Key, Late, Prefix},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

/// How long files are gathered.
const PERIOD: Duration = Duration::from_millis(100);
/// Files in one statement.
const BATCH: usize = 1000;
/// Files that may wait. What is beyond is shown by this node alone.
const MAX_WAITING: usize = 16_384;

/// The files whose attributes are to be written.
#[derive(Debug)]
pub(super) struct AttributeWriter {
    waiting: Mutex<Waiting>,
    /// Held while a batch is written.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct Waiting {
    files: HashMap<Name, Version>,
    is_running: bool,
}

type Name = (BucketId, Key);
type Version = (TenantName, ETag);

impl Default for AttributeWriter {
    fn default() -> Self {
        Self { waiting: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl AttributeWriter {
    /// Has what the overlay says of a version of a file written into the journal. Call it in a tokio runtime.
    pub(super) fn write(node: &Arc<Node>, tenant: &TenantName, bucket: &BucketId, key: &Key, version: &ETag) {
        let mut waiting = node.attribute_writer.waiting();
        if waiting.files.len() < MAX_WAITING {
            waiting.files.insert((bucket.clone(), key.clone()), (tenant.clone(), version.clone()));
        }
        if !std::mem::replace(&mut waiting.is_running, true) {
            tokio::spawn(run(Arc::clone(node)));
        }
    }

    /// Writes now what waits of files below a directory, and waits for what is being written.
    pub(super) async fn flush(node: &Node, bucket: &BucketId, directory: &Prefix) {
        let is_below = |(of, key): &Name| of == bucket && key.as_str().starts_with(directory.as_str());
        Self::flush_where(node, is_below).await;
    }

    /// Writes now all that waits, and waits for what is being written.
    pub(super) async fn flush_all(node: &Node) {
        Self::flush_where(node, |_| true).await;
    }

    async fn flush_where(node: &Node, is_meant: impl Fn(&Name) -> bool) {
        let _turn = node.attribute_writer.turn.acquire().await;
        let files: Vec<_> = node.attribute_writer.waiting().files.extract_if(|name, _| is_meant(name)).collect();
        for batch in files.chunks(BATCH) {
            write(node, batch.to_vec()).await;
        }
    }

    /// The next files; none where nothing waits any more, and then the task ends.
    fn take(&self) -> Vec<(Name, Version)> {
        let mut waiting = self.waiting();
        let names: Vec<_> = waiting.files.keys().take(BATCH).cloned().collect();
        waiting.is_running = !names.is_empty();
        names.into_iter().filter_map(|name| waiting.files.remove_entry(&name)).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(node: Arc<Node>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let _turn = node.attribute_writer.turn.acquire().await;
        let files = node.attribute_writer.take();
        if files.is_empty() {
            return;
        }
        write(&node, files).await;
    }
}

async fn write(node: &Node, files: Vec<(Name, Version)>) {
    let overlay = &node.cache.attributes;
    let alone = |noted: &Noted| noted.is_newest() && !noted.is_fresh();
    let told = files.into_iter().filter_map(|((bucket, key), (tenant, version))| {
        let noted = overlay.find((&bucket, key.as_str())).filter(alone)?;
        let late = noted.late().clone();
        (late.etag == version).then_some((tenant, (bucket, key, late)))
    });
    let (tenants, lates): (Vec<TenantName>, Vec<(BucketId, Key, Late)>) = told.unzip();
    if lates.is_empty() || node.journal.add_lates(&lates).await.is_err() {
        return;
    }
    for (tenant, (bucket, key, late)) in tenants.iter().zip(lates) {
        let attributes = late.attributes;
        overlay.keep(tenant, (&bucket, key.as_str()), &late, attributes);
    }
}
