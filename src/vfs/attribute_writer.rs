//! Writes attributes into the journal in the background. There are three kinds: modes of new files, which an object's
//! metadata has but listings don't show; times at which files appeared, if S3 reports other times; and times and modes
//! that clients set while the journal didn't answer.
//!
//! The task gathers them for a moment after their clients were answered, and writes them in one statement. So no
//! request waits for SQL because of them. If the journal doesn't answer, the task asks it again every few seconds.
//! Until then this node shows the attributes from its overlays.
//!
//! Invariants:
//! - The task writes the overlay's entries as they are at the time of writing. It skips files and directories that were
//!   replaced, removed or given other attributes meanwhile.
//! - The journal learns when the attributes were set, so a later change of another node stays.
//! - The task runs while the queue has entries.

use super::{
    Node,
    cache::{KnownAttributes, KnownTimes},
};
use crate::{
    journal::{AttributeNote, DirectoryNote, JournalDown},
    name::{BucketId, Key, Prefix, TenantName},
    store::ETag,
};
use parking_lot::{Mutex, MutexGuard};
use std::{collections::HashMap, hash::Hash, mem, sync::Arc, time::Duration};
use tokio::sync::Semaphore;

/// Attributes are gathered this long.
const PERIOD: Duration = Duration::from_millis(100);
/// The pause before a journal that didn't answer is asked again. It is longer than the 5 s for which the breaker
/// refuses.
const PAUSE: Duration = Duration::from_secs(6);
/// The most files in one statement, and the most directories.
const BATCH: usize = 1000;
/// The most files in the queue, and the most directories. The next lookup of an entry that doesn't fit queues it
/// again.
const MAX_QUEUED: usize = 16_384;

/// The queue of files and directories whose attributes must be written.
#[derive(Debug)]
pub(super) struct AttributeWriter {
    queue: Mutex<AttributeQueue>,
    /// The permit to write a batch.
    turn: Semaphore,
}

#[derive(Debug, Default)]
struct AttributeQueue {
    files: HashMap<QueuedFile, QueuedVersion>,
    directories: HashMap<QueuedDirectory, TenantName>,
    is_running: bool,
}

/// At most [`BATCH`] of each.
#[derive(Debug)]
struct Batch {
    files: Vec<(QueuedFile, QueuedVersion)>,
    directories: Vec<(QueuedDirectory, TenantName)>,
}

type QueuedFile = (BucketId, Key);
type QueuedDirectory = (BucketId, Prefix);
type QueuedVersion = (TenantName, ETag);

impl Default for AttributeWriter {
    fn default() -> Self {
        Self { queue: Mutex::default(), turn: Semaphore::new(1) }
    }
}

impl AttributeWriter {
    /// Queues the overlay's attributes of one version of a file for the journal. Call it in a tokio runtime.
    pub(super) fn write(node: &Arc<Node>, tenant: &TenantName, bucket: &BucketId, key: &Key, version: &ETag) {
        let (name, version) = ((bucket.clone(), key.clone()), (tenant.clone(), version.clone()));
        Self::enter(node, |queue| insert(&mut queue.files, name, version));
    }

    /// Queues the overlay's times of a directory for the journal. Call it in a tokio runtime.
    pub(super) fn write_directory(node: &Arc<Node>, tenant: &TenantName, bucket: &BucketId, directory: &Prefix) {
        let name = (bucket.clone(), directory.clone());
        Self::enter(node, |queue| insert(&mut queue.directories, name, tenant.clone()));
    }

    fn enter(node: &Arc<Node>, enter: impl FnOnce(&mut AttributeQueue)) {
        let mut queue = node.attribute_writer.queue();
        enter(&mut queue);
        if !mem::replace(&mut queue.is_running, true) {
            tokio::spawn(run(Arc::clone(node)));
        }
    }

    /// Writes all queued entries of a directory and of the names below it. Waits for a batch that is being written.
    pub(super) async fn flush(node: &Node, bucket: &BucketId, directory: &Prefix) {
        Self::flush_where(node, |of, name| of == bucket && name.starts_with(directory.as_str())).await;
    }

    /// Writes all queued entries. Waits for a batch that is being written.
    pub(super) async fn flush_all(node: &Node) {
        Self::flush_where(node, |_, _| true).await;
    }

    async fn flush_where(node: &Node, matches: impl Fn(&BucketId, &str) -> bool) {
        let _turn = node.attribute_writer.turn.acquire().await;
        loop {
            let batch = node.attribute_writer.queue().take(&matches);
            if batch.is_empty() || write(node, batch).await.is_err() {
                return;
            }
        }
    }

    /// Takes the next batch. The task ends if it is empty.
    fn take(&self) -> Batch {
        let mut queue = self.queue();
        let batch = queue.take(|_, _| true);
        queue.is_running = !batch.is_empty();
        batch
    }

    fn queue(&self) -> MutexGuard<'_, AttributeQueue> {
        self.queue.lock()
    }
}

impl AttributeQueue {
    fn take(&mut self, matches: impl Fn(&BucketId, &str) -> bool) -> Batch {
        let files = self.files.extract_if(|(bucket, key), _| matches(bucket, key.as_str())).take(BATCH).collect();
        let matches = |(bucket, prefix): &QueuedDirectory| matches(bucket, prefix.as_str());
        let directories = self.directories.extract_if(|name, _| matches(name)).take(BATCH).collect();
        Batch { files, directories }
    }

    /// Puts a batch back that the journal didn't store, except for names that were queued again meanwhile.
    fn put_back(&mut self, Batch { files, directories }: Batch) {
        for (name, version) in files {
            if !self.files.contains_key(&name) {
                insert(&mut self.files, name, version);
            }
        }
        for (name, tenant) in directories {
            insert(&mut self.directories, name, tenant);
        }
    }
}

impl Batch {
    fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty()
    }

    /// Drops entries that the overlays no longer have, and those that the journal has.
    fn prune(&mut self, node: &Node) {
        self.files.retain(|(name, (_, version))| unwritten_file(node, name, version).is_some());
        self.directories.retain(|(name, _)| unwritten_directory(node, name).is_some());
    }
}

fn insert<K: Eq + Hash, V>(queue: &mut HashMap<K, V>, name: K, value: V) {
    if queue.len() < MAX_QUEUED || queue.contains_key(&name) {
        queue.insert(name, value);
    }
}

async fn run(node: Arc<Node>) {
    let mut pause = PERIOD;
    loop {
        tokio::time::sleep(pause).await;
        let _turn = node.attribute_writer.turn.acquire().await;
        let batch = node.attribute_writer.take();
        if batch.is_empty() {
            return;
        }
        pause = if write(&node, batch).await.is_ok() { PERIOD } else { PAUSE };
    }
}

/// Writes a batch. Queues it again if the journal doesn't answer.
async fn write(node: &Node, mut batch: Batch) -> Result<(), JournalDown> {
    let written = async {
        write_files(node, &batch.files).await?;
        write_directories(node, &batch.directories).await
    };
    let written = written.await;
    if written.is_err() {
        batch.prune(node);
        node.attribute_writer.queue().put_back(batch);
    }
    written
}

async fn write_files(node: &Node, files: &[(QueuedFile, QueuedVersion)]) -> Result<(), JournalDown> {
    let unwritten = files.iter().filter_map(|(name, (tenant, version))| {
        let (bucket, key) = name.clone();
        Some((tenant, unwritten_file(node, name, version)?.into_note(bucket, key)))
    });
    let (tenants, rows): (Vec<&TenantName>, Vec<AttributeNote>) = unwritten.unzip();
    if rows.is_empty() {
        return Ok(());
    }
    node.journal.add_attribute_notes(&rows).await?;
    for (tenant, AttributeNote { bucket, key, entry, .. }) in tenants.into_iter().zip(rows) {
        let attributes = entry.attributes;
        node.cache.attributes.confirm(tenant, (&bucket, key.as_str()), &entry, attributes);
    }
    Ok(())
}

async fn write_directories(node: &Node, directories: &[(QueuedDirectory, TenantName)]) -> Result<(), JournalDown> {
    let known: Vec<_> = directories
        .iter()
        .filter_map(|(name, tenant)| Some((name, tenant, unwritten_directory(node, name)?)))
        .collect();
    if known.is_empty() {
        return Ok(());
    }
    let row = |((bucket, directory), _, known): &(&QueuedDirectory, &TenantName, KnownTimes)| DirectoryNote {
        bucket: bucket.clone(),
        directory: directory.clone(),
        times: known.times.map(Into::into),
        set_ago: known.age(),
    };
    let rows: Vec<_> = known.iter().map(row).collect();
    node.journal.tell_directory_times(&rows).await?;
    for ((bucket, directory), tenant, known) in known {
        node.cache.directories.confirm(tenant, (bucket, directory.as_str()), known);
    }
    Ok(())
}

/// Returns the overlay's entry of a version of a file, if the journal doesn't have it.
fn unwritten_file(node: &Node, (bucket, key): &QueuedFile, version: &ETag) -> Option<KnownAttributes> {
    let known = node.cache.attributes.find((bucket, key.as_str()))?;
    (known.is_unwritten() && known.entry().etag == *version).then_some(known)
}

/// Returns the overlay's entry of a directory, if the journal doesn't have it.
fn unwritten_directory(node: &Node, (bucket, directory): &QueuedDirectory) -> Option<KnownTimes> {
    node.cache.directories.find((bucket, directory.as_str())).filter(KnownTimes::is_unwritten)
}
