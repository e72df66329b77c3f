//! The directories that lie in a directory, and that no file has its own name: all that an upload has to know before
//! it appears in it. One page of a listing tells it for all files that are stored there within two seconds.
//!
//! Invariant: a directory that a session of the node made since the question was sent is among the answer, and a file that
//! took the directory's name drops it.

use super::{Change, CredentialScope, Name, lock, object_map::ObjectMap};
use crate::{name::Key, store};
use futures_util::future::{BoxFuture, Shared};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// Directories that are remembered for a tenant.
const MAX_DIRECTORIES: usize = 512;
/// Directories in one of them. Of those that hold more each name is asked for: so a tenant's views take some 10 MiB at most.
const MAX_NAMES: usize = 256;
/// An answer that was asked for longer ago says nothing about the present.
const FRESH: Duration = Duration::from_secs(2);

/// A page of a directory's listing, as far as it tells of directories.
#[derive(Clone, Debug, Default)]
pub(in crate::vfs) struct Children {
    /// The directories in it; all of them, if the page `is_complete`.
    pub(in crate::vfs) directories: HashSet<Box<str>>,
    pub(in crate::vfs) is_complete: bool,
    /// Nothing is in it and a file has its name, or that of a directory which it would lie in.
    pub(in crate::vfs) is_below_file: bool,
    /// The directories that would come to be with it, itself first: S3 has nothing of them.
    pub(in crate::vfs) missing: Vec<Key>,
}

/// An answer that is on its way, and may be waited for by several.
pub(in crate::vfs) type Answer = Shared<BoxFuture<'static, store::Result<Arc<Children>>>>;

/// An answer to the question if a name in a directory is free for a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) enum Verdict {
    /// It is.
    Free,
    /// The directory has more names than fit on a page, so that one which isn't known may be of this name.
    Unknown,
    /// A directory had it a moment ago.
    Directory,
    /// The directory is a file.
    BelowFile,
}

/// A directory, and the scope of the credentials that see it. Its name ends in `/`, or is empty.
pub(in crate::vfs) type Directory<'a> = (&'a Arc<CredentialScope>, Name<'a>);

/// The answer that is known of a directory, or on its way.
#[derive(Clone, Debug)]
pub(in crate::vfs) enum Looked {
    /// It was asked for within two seconds.
    Known(Verdict),
    /// The question is out; see [`ChildrenCache::settle`].
    Asking(Answer),
}

/// The views of a node.
#[derive(Debug)]
pub(in crate::vfs) struct ChildrenCache(Mutex<ObjectMap<Arc<CredentialScope>, View>>);

#[derive(Debug)]
struct View {
    children: Children,
    until: Instant,
    /// While the question is out: then `children` has what was made since.
    asking: Option<Answer>,
}

impl Default for ChildrenCache {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_DIRECTORIES)))
    }
}

impl ChildrenCache {
    /// Looks for what is known of `name` in the directory; `ask` sends the question where nothing is.
    pub(in crate::vfs) fn look(&self, at: Directory<'_>, name: &str, ask: impl FnOnce() -> Answer) -> Looked {
        let (scope, directory) = at;
        let (mut views, now) = (lock(&self.0), Instant::now());
        let is_settled = |view: &View| view.asking.as_ref().is_none_or(|answer| answer.peek().is_some());
        views.drop_oldest(|view| view.until <= now && is_settled(view));
        match views.find(directory, scope) {
            Some(view) if now < view.until => {
                let known = || Looked::Known(view.children.judge(name));
                return view.asking.clone().map_or_else(known, Looked::Asking);
            }
            _ => {}
        }
        let answer = ask();
        let children = Children { is_complete: true, ..Children::default() };
        let view = View { children, until: now + FRESH, asking: Some(answer.clone()) };
        views.insert(&scope.tenant, directory, Arc::clone(scope), view);
        Looked::Asking(answer)
    }

    /// Takes in what `answer` came to. `None` if the directory was dropped meanwhile: it has to be asked for anew.
    pub(in crate::vfs) fn settle(
        &self,
        at: Directory<'_>,
        name: &str,
        answer: &Answer,
        came: &store::Result<Arc<Children>>,
    ) -> Option<Verdict> {
        let (scope, directory) = at;
        let mut views = lock(&self.0);
        let mut view = views.remove(directory, scope)?;
        let is_ours = view.asking.as_ref().is_some_and(|asking| asking.ptr_eq(answer));
        match (came, &view.asking) {
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
        // Of a later question this answer may lack what was made since, and what another one told may be old.
        let is_told = is_ours || view.asking.is_none() && Instant::now() < view.until;
        let verdict = is_told.then(|| view.children.judge(name));
        views.insert(&scope.tenant, directory, Arc::clone(scope), view);
        verdict
    }

    /// The directory was made just now, and is empty.
    pub(super) fn made(&self, at: Directory<'_>) {
        let (scope, directory) = at;
        let children = Children { is_complete: true, ..Children::default() };
        let view = View { children, until: Instant::now() + FRESH, asking: None };
        lock(&self.0).insert(&scope.tenant, directory, Arc::clone(scope), view);
    }

    pub(super) fn changed(&self, (bucket, key): Name<'_>, change: Change) {
        let mut views = lock(&self.0);
        let inner = key.trim_end_matches('/');
        // All that was known of directories in it depends on its name, too.
        views.take_below(bucket, &format!("{inner}/"));
        let mut name = inner;
        while !name.is_empty() {
            let at = name.rfind('/').map_or(0, |slash| slash + 1);
            let (directory, child) = name.split_at(at);
            // All but a file's own name are names of directories.
            let is_directory = change == Change::Made || name != inner;
            // A name that is gone stays among them: it is asked for again before it stands against a file.
            if change != Change::Removed {
                views.change((bucket, directory), |view| {
                    view.children.missing.clear();
                    if view.children.is_below_file {
                        // Something may be in the directory now, after a change that failed too: it is asked for anew.
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

    pub(super) fn changed_below(&self, (bucket, key): Name<'_>) {
        lock(&self.0).take_below(bucket, &format!("{key}/"));
    }
}

impl Children {
    /// Forgets names that are too many to be remembered.
    fn limit(&mut self) {
        if self.directories.len() > MAX_NAMES {
            self.directories.clear();
            self.is_complete = false;
        }
    }

    /// Says if a name in the directory is free.
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
