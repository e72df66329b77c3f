//! Uploads that failed, where another file is: what their client asks next must not sound like success.
//!
//! Some clients don't look at the answer to a CLOSE, and ask for the file's size instead: paramiko's `put`. Another file
//! of just that size would tell them that all is well.

use crate::vfs::VirtualPath;
use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// How long it is remembered.
const MEMORY: Duration = Duration::from_mins(1);
/// How many are remembered at most; more than a client has files open.
const MAX_UNSTORED: usize = 512;

/// The files of one session that could not be stored, by path.
#[derive(Debug, Default)]
pub struct Unstored(Mutex<HashMap<VirtualPath, Failed>>);

#[derive(Clone, Copy, Debug)]
struct Failed {
    /// The size that it was to have, in bytes.
    bytes: u64,
    at: Instant,
}

impl Unstored {
    /// Remembers a file of so many bytes that could not be stored.
    pub fn note(&self, path: VirtualPath, bytes: u64) {
        let mut unstored = self.lock();
        if unstored.len() >= MAX_UNSTORED {
            unstored.retain(|_, failed| failed.at.elapsed() < MEMORY);
        }
        if unstored.len() < MAX_UNSTORED {
            unstored.insert(path, Failed { bytes, at: Instant::now() });
        }
    }

    /// Whether a file of this size would be taken for the one that could not be stored.
    pub fn looks_like(&self, path: &VirtualPath, bytes: u64) -> bool {
        self.lock().get(path).is_some_and(|failed| failed.bytes == bytes && failed.at.elapsed() < MEMORY)
    }

    /// Something else is made of the file.
    pub fn forget(&self, path: &VirtualPath) {
        self.lock().remove(path);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<VirtualPath, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(number: usize) -> VirtualPath {
        VirtualPath::parse(format!("/{number}").as_bytes()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_remembered_is_bounded_and_ends() {
        let unstored = Unstored::default();
        for number in 0..2 * MAX_UNSTORED {
            unstored.note(path(number), 5);
        }
        assert_eq!(unstored.lock().len(), MAX_UNSTORED);
        assert!(unstored.looks_like(&path(0), 5));
        assert!(!unstored.looks_like(&path(0), 4));
        tokio::time::advance(MEMORY).await;
        assert!(!unstored.looks_like(&path(0), 5));
        unstored.note(path(MAX_UNSTORED), 5);
        assert!(unstored.looks_like(&path(MAX_UNSTORED), 5));
        assert_eq!(unstored.lock().len(), 1);
    }
}
