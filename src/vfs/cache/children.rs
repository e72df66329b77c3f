//! The subdirectories of a directory. Before an upload publishes, the server must know them, and that no file has the
//! directory's own name. One page of a listing answers this for all files that are stored in the directory within two
//! seconds.
//!
//! Invariant: an answer includes each directory that a session of the node made after the question was sent. A file
//! that takes the directory's name drops the answer.

use super::{Change, CredentialScope};
use crate::{
    bounded::{ObjectMap, ObjectName},
    name::Key,
    store,
};
use futures_util::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use std::{collections::HashSet, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most directories that are remembered for a tenant.
const MAX_DIRECTORIES: usize = 512;
/// The most subdirectories of one. In a larger directory each name costs a request of its own. A tenant's views take
/// about 10 MiB at most.
const MAX_NAMES: usize = 256;
/// An answer that was requested longer ago is stale.
const FRESH: Duration = Duration::from_secs(2);

/// One page of a directory's listing, reduced to its subdirectories.
#[derive(Clone, Debug, Default)]
pub(in crate::vfs) struct Children {
    /// The subdirectories on the page: all of them if the page `is_complete`.
    pub(in crate::vfs) directories: HashSet<Box<str>>,
    pub(in crate::vfs) is_complete: bool,
    /// True if the directory is empty, and a file has its name or the name of one of its parents.
    pub(in crate::vfs) is_below_file: bool,
    /// The directories that an upload would create implicitly, the innermost first. S3 has nothing below them.
    pub(in crate::vfs) missing: Vec<Key>,
}

/// An answer that is in flight. Several uploads may wait for it.
pub(in crate::vfs) type Answer = Shared<BoxFuture<'static, store::Result<Arc<Children>>>>;

/// Tells if a name in a directory is free for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) enum Verdict {
    /// The name is free.
    Free,
    /// The directory has more names than fit on a page, and this name may be one of the others.
    Unknown,
    /// A directory had the name a moment ago.
    Directory,
    /// A file has the name of the directory or of one of its parents.
    BelowFile,
}

/// A directory, and the scope of the credentials that see it. The directory's name ends in `/`, or is empty.
pub(in crate::vfs) type Directory<'a> = (&'a Arc<CredentialScope>, ObjectName<'a>);

/// The state of a directory's answer.
#[derive(Clone, Debug)]
pub(in crate::vfs) enum ChildrenLookup {
    /// The answer was requested within the last two seconds.
    Known(Verdict),
    /// The question is in flight; see [`ChildrenCache::finish`].
    InFlight(Answer),
}

/// The answers that a node remembers.
#[derive(Debug)]
pub(in crate::vfs) struct ChildrenCache(Mutex<ObjectMap<Arc<CredentialScope>, View>>);

#[derive(Debug)]
struct View {
    children: Children,
    until: Instant,
    /// The question in flight. Meanwhile `children` has what the node's sessions made since it was sent.
    asking: Option<Answer>,
}

impl Default for ChildrenCache {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_DIRECTORIES)))
    }
}

impl ChildrenCache {
    /// Looks `name` up in the directory. `ask` sends the question if no fresh answer is known.
    pub(in crate::vfs) fn look(&self, at: Directory<'_>, name: &str, ask: impl FnOnce() -> Answer) -> ChildrenLookup {
        let (scope, directory) = at;
        let (mut views, now) = (self.0.lock(), Instant::now());
        let is_finished = |view: &View| view.asking.as_ref().is_none_or(|answer| answer.peek().is_some());
        views.drop_oldest(|view| view.until <= now && is_finished(view));
        match views.find(directory, scope) {
            Some(view) if now < view.until => {
                let known = || ChildrenLookup::Known(view.children.judge(name));
                return view.asking.clone().map_or_else(known, ChildrenLookup::InFlight);
            }
            _ => {}
        }
        let answer = ask();
        let children = Children { is_complete: true, ..Children::default() };
        let view = View { children, until: now + FRESH, asking: Some(answer.clone()) };
        views.insert(&scope.tenant, directory, Arc::clone(scope), view);
        ChildrenLookup::InFlight(answer)
    }

    /// Stores the result of `answer`. Returns `None` if the directory was dropped meanwhile and must be asked for
    /// again.
    pub(in crate::vfs) fn finish(
        &self,
        at: Directory<'_>,
        name: &str,
        answer: &Answer,
        result: &store::Result<Arc<Children>>,
    ) -> Option<Verdict> {
        let (scope, directory) = at;
        let mut views = self.0.lock();
        let mut view = views.remove(directory, scope)?;
        let is_ours = view.asking.as_ref().is_some_and(|asking| asking.ptr_eq(answer));
        match (result, &view.asking) {
            (Ok(children), Some(asking)) if asking.ptr_eq(answer) => {
                let made = std::mem::take(&mut view.children.directories);
                let has_all_made = view.children.is_complete;
                view.children = Children::clone(children);
                view.children.is_complete &= has_all_made;
                if !made.is_empty() {
                    view.children.missing.clear();
                }
                view.children.directories.extend(made);
                view.children.limit();
                view.asking = None;
            }
            (Err(_), Some(asking)) if asking.ptr_eq(answer) => return None,
            _ => {}
        }
        // The view is current if this answer completed it, or if another fresh answer did. While a later question is in
        // flight, this answer may lack directories that were made since.
        let is_current = is_ours || view.asking.is_none() && Instant::now() < view.until;
        let verdict = is_current.then(|| view.children.judge(name));
        views.insert(&scope.tenant, directory, Arc::clone(scope), view);
        verdict
    }

    /// Records that the directory was made just now, and is empty.
    pub(super) fn made(&self, at: Directory<'_>) {
        let (scope, directory) = at;
        let children = Children { is_complete: true, ..Children::default() };
        let view = View { children, until: Instant::now() + FRESH, asking: None };
        self.0.lock().insert(&scope.tenant, directory, Arc::clone(scope), view);
    }

    pub(super) fn changed(&self, (bucket, key): ObjectName<'_>, change: Change) {
        let mut views = self.0.lock();
        let inner = key.trim_end_matches('/');
        // The entries of directories below this name depend on the name, too.
        views.take_below(bucket, &format!("{inner}/"));
        let mut name = inner;
        while !name.is_empty() {
            let at = name.rfind('/').map_or(0, |slash| slash + 1);
            let (directory, child) = name.split_at(at);
            // Only the object's own name can be a file. The names above it are directories.
            let is_directory = change == Change::Made || name != inner;
            // A removed name stays in the set. Before it refuses a file, it is asked for again.
            if change != Change::Removed {
                views.change((bucket, directory), |view| {
                    view.children.missing.clear();
                    if view.children.is_below_file {
                        // The directory may have content now, even after a change that failed: ask again.
                        view.until = Instant::now();
                    }
                    if is_directory {
                        view.children.directories.insert(child.into());
                        view.children.limit();
                    }
                });
            }
            name = directory.trim_end_matches('/');
        }
    }

    pub(super) fn changed_below(&self, (bucket, key): ObjectName<'_>) {
        self.0.lock().take_below(bucket, &format!("{key}/"));
    }
}

impl Children {
    /// Forgets the names if there are too many.
    fn limit(&mut self) {
        if self.directories.len() > MAX_NAMES {
            self.directories.clear();
            self.is_complete = false;
        }
    }

    /// Returns the verdict on one name in the directory.
    pub(in crate::vfs) fn judge(&self, name: &str) -> Verdict {
        if self.is_below_file {
            Verdict::BelowFile
        } else if self.directories.contains(name) {
            Verdict::Directory
        } else if self.is_complete {
            Verdict::Free
        } else {
            Verdict::Unknown
        }
    }
}
