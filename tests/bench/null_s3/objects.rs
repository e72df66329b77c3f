//! State of the null S3: names, sizes, metadata, open uploads and request counts.

use parking_lot::{Mutex, MutexGuard};
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
};

/// An object without its bytes.
#[derive(Clone, Debug, Default)]
pub struct ObjectHead {
    /// In bytes.
    pub size: u64,
    pub etag: String,
    /// Headers `x-amz-meta-…` and `content-type`, as the client sent them.
    pub headers: Vec<(String, String)>,
}

/// An open multipart upload.
#[derive(Debug, Default)]
pub struct IncompleteUpload {
    pub key: String,
    pub headers: Vec<(String, String)>,
    /// Sizes by part number.
    pub parts: BTreeMap<u32, u64>,
}

#[derive(Debug, Default)]
pub struct ObjectsState {
    pub objects: BTreeMap<String, ObjectHead>,
    pub uploads: BTreeMap<String, IncompleteUpload>,
    counts: BTreeMap<&'static str, u64>,
}

/// The state, shared by all connections.
#[derive(Debug, Default)]
pub struct Objects {
    state: Mutex<ObjectsState>,
    unique: AtomicU64,
}

impl Objects {
    pub fn with(presets: Vec<(String, u64)>) -> Self {
        let objects = Self::default();
        for (key, size) in presets {
            let object = ObjectHead { size, etag: objects.unique(), headers: Vec::new() };
            objects.lock().objects.insert(key, object);
        }
        objects
    }

    pub fn lock(&self) -> MutexGuard<'_, ObjectsState> {
        self.state.lock()
    }

    /// Returns an ETag or upload id that wasn't used before.
    pub fn unique(&self) -> String {
        format!("null-{}", self.unique.fetch_add(1, Ordering::Relaxed))
    }

    /// Adds to a number that `/_counts` reports.
    pub fn count(&self, name: &'static str, by: u64) {
        *self.lock().counts.entry(name).or_default() += by;
    }

    /// The numbers as JSON. Their names need no escaping.
    pub fn counts(&self) -> String {
        let state = self.lock();
        let counts: Vec<_> = state.counts.iter().map(|(name, count)| format!("\"{name}\":{count}")).collect();
        format!("{{{}}}", counts.join(","))
    }
}
