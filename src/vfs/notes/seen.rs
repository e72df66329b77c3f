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

/// So many directories that listings showed are remembered beside them. They have room of their own, so that a listing of
/// thousands pushes out nothing but the listings before it; of a longer one the last directories are remembered.
const MAX_LISTED: usize = 4096;

/// A sight older than this says nothing about the present.
const FRESH: Duration = Duration::from_secs(2);

/// What was seen under a name.
#[derive(Clone, Debug)]
pub(in crate::vfs) enum Sight {
    /// A file.
    File(Box<Object>),
    /// A directory.
    Directory,
}

/// The most recent sights, each with the moment from which on it is stale.
#[derive(Debug)]
pub(in crate::vfs) struct Seen(Mutex<Sights>);

#[derive(Debug)]
struct Sights {
    /// What the session asked for or made.
    asked: BoundedMap<VirtualPath, (Sight, Instant)>,
    /// Directories that a listing showed.
    listed: BoundedMap<VirtualPath, Instant>,
}

impl Default for Seen {
    fn default() -> Self {
        Self(Mutex::new(Sights { asked: BoundedMap::new(MAX_ENTRIES), listed: BoundedMap::new(MAX_LISTED) }))
    }
}

impl Seen {
    pub(in crate::vfs) fn note(&self, path: &VirtualPath, sight: Sight) {
        let mut sights = lock(&self.0);
        sights.listed.remove(path);
        sights.asked.insert(path.clone(), (sight, Instant::now() + FRESH));
    }

    /// A listing shows a directory there.
    pub(in crate::vfs) fn note_listed(&self, path: &VirtualPath) {
        let mut sights = lock(&self.0);
        sights.asked.remove(path);
        sights.listed.insert(path.clone(), Instant::now() + FRESH);
    }

    /// What was seen there may have gone: it is stale at once.
    pub(in crate::vfs) fn doubt(&self, path: &VirtualPath) {
        self.doubt_where(|seen| seen == path);
    }

    /// What was seen of a directory and in it may have gone.
    pub(in crate::vfs) fn doubt_below(&self, directory: &VirtualPath) {
        self.doubt_where(|seen| seen == directory || seen.is_below(directory));
    }

    fn doubt_where(&self, meant: impl Fn(&VirtualPath) -> bool) {
        let mut sights = lock(&self.0);
        sights.asked.change_where(&meant, |(_, stale_at)| *stale_at = Instant::now());
        sights.listed.change_where(&meant, |stale_at| *stale_at = Instant::now());
    }

    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        let mut sights = lock(&self.0);
        sights.asked.remove(path);
        sights.listed.remove(path);
    }

    /// Forgets what was seen of a directory and in it.
    pub(in crate::vfs) fn forget_below(&self, directory: &VirtualPath) {
        let mut sights = lock(&self.0);
        let meant = |path: &VirtualPath| path == directory || path.is_below(directory);
        sights.asked.take_where(meant);
        sights.listed.take_where(meant);
    }

    /// What was seen there within the last two seconds.
    pub(in crate::vfs) fn fresh(&self, path: &VirtualPath) -> Option<Sight> {
        if self.is_listed(path) {
            return Some(Sight::Directory);
        }
        let sights = lock(&self.0);
        let (sight, stale_at) = sights.asked.find(path)?;
        (Instant::now() < *stale_at).then(|| sight.clone())
    }

    /// Whether a listing showed a directory there within the last two seconds, and nothing was asked or changed since.
    pub(in crate::vfs) fn is_listed(&self, path: &VirtualPath) -> bool {
        lock(&self.0).listed.find(path).is_some_and(|stale_at| Instant::now() < *stale_at)
    }

    /// Whether a directory was there when the session last looked, however long ago: reason enough to look again.
    pub(in crate::vfs) fn was_directory(&self, path: &VirtualPath) -> bool {
        let sights = lock(&self.0);
        matches!(sights.asked.find(path), Some((Sight::Directory, _))) || sights.listed.find(path).is_some()
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

    // S46: A session remembers the last 4,096 directories that were listed.
    #[tokio::test(start_paused = true)]
    async fn a_listed_directory_is_known_until_something_else_is_or_time_passes() {
        let seen = Seen::default();
        let path = |number: usize| VirtualPath::parse(format!("/d/{number}").as_bytes()).unwrap();
        seen.note(&path(0), Sight::Directory);
        (1..=MAX_LISTED + 1).for_each(|number| seen.note_listed(&path(number)));
        assert!(seen.fresh(&path(0)).is_some() && !seen.is_listed(&path(0)), "what was asked for is still known");
        assert!(!seen.is_listed(&path(1)) && seen.is_listed(&path(2)));
        seen.doubt(&path(2));
        assert!(seen.fresh(&path(2)).is_none() && seen.was_directory(&path(2)));
        seen.note(&path(3), Sight::Directory);
        assert!(!seen.is_listed(&path(3)));
        seen.forget_below(&VirtualPath::parse(b"/d").unwrap());
        assert!((0..=MAX_LISTED + 1).all(|number| !seen.was_directory(&path(number))));
        seen.note_listed(&path(0));
        tokio::time::advance(FRESH).await;
        assert!(!seen.is_listed(&path(0)) && seen.was_directory(&path(0)));
    }
}
