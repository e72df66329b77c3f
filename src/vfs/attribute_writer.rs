//! Attributes that the server itself notes of files, on their way into the journal: modes that files were stored with, which
//! an object's metadata has, and listings don't show.
//!
//! They are written a moment after the client was answered, all that have come by then in one statement: no request waits
//! for SQL because of them. Until then this node shows them from its overlay, where they stay while the journal is down.
//!
//! Invariant: what is written is what the overlay says when it is written. A file that was replaced, removed or given other
//! attributes since is left out.

use super::{Node, cache::Noted};
use crate::{
    account::TenantName,
    store::{BucketId, ETag, Key},
};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// How long files are gathered.
const PERIOD: Duration = Duration::from_millis(100);
/// Files in one statement.
const BATCH: usize = 1000;
/// Files that may wait. What is beyond is shown by this node alone.
const MAX_WAITING: usize = 16_384;

/// The files whose attributes are to be written.
#[derive(Debug, Default)]
pub(super) struct AttributeWriter(Mutex<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    files: HashMap<(BucketId, Key), (TenantName, ETag)>,
    is_running: bool,
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

    /// The next files; none where nothing waits any more, and then the task ends.
    fn take(&self) -> Vec<((BucketId, Key), (TenantName, ETag))> {
        let mut waiting = self.waiting();
        let names: Vec<_> = waiting.files.keys().take(BATCH).cloned().collect();
        waiting.is_running = !names.is_empty();
        names.into_iter().filter_map(|name| waiting.files.remove_entry(&name)).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(node: Arc<Node>) {
    loop {
        tokio::time::sleep(PERIOD).await;
        let files = node.attribute_writer.take();
        if files.is_empty() {
            return;
        }
        write(&node, files).await;
    }
}

async fn write(node: &Node, files: Vec<((BucketId, Key), (TenantName, ETag))>) {
    let overlay = &node.cache.attributes;
    let alone = |noted: &Noted| noted.is_newest() && !noted.is_fresh();
    let told = files.into_iter().filter_map(|((bucket, key), (tenant, version))| {
        let noted = overlay.find((&bucket, key.as_str())).filter(alone)?;
        let attributes = noted.of(&version)?;
        Some((tenant, version, attributes, (bucket, key)))
    });
    let told: Vec<_> = told.collect();
    let lates = told
        .iter()
        .map(|(_, version, attributes, (bucket, key))| (bucket.clone(), key.clone(), attributes.to_late(version)));
    let lates: Vec<_> = lates.collect();
    if lates.is_empty() || node.journal.add_lates(&lates).await.is_err() {
        return;
    }
    for (tenant, version, attributes, (bucket, key)) in told {
        overlay.keep(&tenant, (&bucket, key.as_str()), version, attributes, attributes);
    }
}
