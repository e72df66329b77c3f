//! What the session has just seen in storage: OpenSSH asks for the size of a file and then opens it; rclone closes a
//! file and then sets its time. A fresh sight saves the second question.

use super::lock;
use crate::{
    store::{BoundedMap, Object},
    vfs::VirtualPath,
};
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// So many names are remembered.
const MAX_ENTRIES: usize = 1024;

/// A sight older than this says nothing about the present.
const FRESH: Duration = Duration::from_secs(2);

/// What was seen under a name.
#[derive(Clone, Debug)]
pub(in crate::vfs) enum Sight {
    /// A file.
    File(Object),
    /// A directory.
    Directory,
}

/// The most recent sights, each with the moment from which on it is stale.
#[derive(Debug)]
pub(in crate::vfs) struct Seen(Mutex<BoundedMap<VirtualPath, (Sight, Instant)>>);

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_ENTRIES)))
    }
}

impl Seen {
    pub(in crate::vfs) fn note(&self, path: &VirtualPath, sight: Sight) {
        lock(&self.0).insert(path.clone(), (sight, Instant::now() + FRESH));
    }

    /// What was seen there may have gone: it is stale at once.
    pub(in crate::vfs) fn doubt(&self, path: &VirtualPath) {
        let mut map = lock(&self.0);
        if let Some((sight, _)) = map.find(path).cloned() {
            map.insert(path.clone(), (sight, Instant::now()));
        }
    }

    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        lock(&self.0).remove(path);
    }

    /// What was seen there within the last two seconds.
    pub(in crate::vfs) fn fresh(&self, path: &VirtualPath) -> Option<Sight> {
        let map = lock(&self.0);
        let (sight, stale_at) = map.find(path)?;
        (Instant::now() < *stale_at).then(|| sight.clone())
    }

    /// Whether a directory was there when the session last looked, however long ago: reason enough to look again.
    pub(in crate::vfs) fn was_directory(&self, path: &VirtualPath) -> bool {
        matches!(lock(&self.0).find(path), Some((Sight::Directory, _)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_sight_goes_stale() {
        let seen = Seen::default();
        let path = VirtualPath::parse(b"/a").unwrap();
        seen.note(&path, Sight::Directory);
        assert!(matches!(seen.fresh(&path), Some(Sight::Directory)));
        tokio::time::advance(FRESH + Duration::from_millis(1)).await;
        assert!(seen.fresh(&path).is_none());
        assert!(seen.was_directory(&path));
        seen.note(&path, Sight::Directory);
        seen.doubt(&path);
        assert!(seen.fresh(&path).is_none() && seen.was_directory(&path));
        seen.forget(&path);
        assert!(!seen.was_directory(&path));
    }
}
