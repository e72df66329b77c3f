//! Times and modes that this session set when the object's metadata was already fixed: those of directories, which have
//! no other place, and those of files for as long as the journal may not say them.
//!
//! They belong to the version that they were set on: a file that is replaced loses them.

use super::lock;
use crate::{
    store::{BoundedMap, ETag},
    vfs::{NewAttributes, VirtualPath},
};
use std::{sync::Mutex, time::Duration};
use tokio::time::Instant;

/// So many names can have late attributes in a session: about a mebibyte and a half of memory.
const MAX_ENTRIES: usize = 4096;

/// For so long what the session set is answered without asking whether another one has set something since.
const FRESH: Duration = Duration::from_secs(2);

/// What the session set under a name.
#[derive(Clone, Debug)]
pub(in crate::vfs) struct Noted {
    /// A directory has no ETag: its version is `None`.
    version: Option<ETag>,
    attributes: NewAttributes,
    /// Until when it counts, whatever the journal says; `None` while it is here alone.
    fresh_until: Option<Instant>,
}

impl Noted {
    /// The attributes, if they were set on this version.
    pub(in crate::vfs) fn of(&self, version: Option<&ETag>) -> Option<NewAttributes> {
        (self.version.as_ref() == version).then_some(self.attributes)
    }

    /// Whether it counts more than what the journal says.
    pub(in crate::vfs) fn is_newest(&self) -> bool {
        self.fresh_until.is_none_or(|until| Instant::now() < until)
    }

    /// Whether the journal knew it a moment ago, so that there is nothing to ask.
    pub(in crate::vfs) fn is_fresh(&self) -> bool {
        self.fresh_until.is_some_and(|until| Instant::now() < until)
    }
}

/// What the session set, by path.
#[derive(Debug)]
pub(in crate::vfs) struct NotedAttributes(Mutex<BoundedMap<VirtualPath, Noted>>);

impl Default for NotedAttributes {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_ENTRIES)))
    }
}

impl NotedAttributes {
    /// Adds `attributes` to what is noted of this version, as something that is here alone. Answers with all of it.
    pub(in crate::vfs) fn add(
        &self,
        path: &VirtualPath,
        version: Option<ETag>,
        attributes: NewAttributes,
    ) -> NewAttributes {
        let mut map = lock(&self.0);
        let older = map.find(path).and_then(|noted| noted.of(version.as_ref())).unwrap_or_default();
        let attributes = older.updated(attributes);
        map.insert(path.clone(), Noted { version, attributes, fresh_until: None });
        attributes
    }

    /// The journal has what is noted of this version, or more than that: `attributes`.
    pub(in crate::vfs) fn keep(&self, path: &VirtualPath, version: ETag, attributes: NewAttributes) {
        let fresh_until = Some(Instant::now() + FRESH);
        lock(&self.0).insert(path.clone(), Noted { version: Some(version), attributes, fresh_until });
    }

    /// Notes what was noted of another name and version. Beside what the journal says it counts as much as it did.
    pub(in crate::vfs) fn carry(&self, path: &VirtualPath, version: ETag, noted: &Noted) {
        let Noted { attributes, fresh_until, .. } = *noted;
        lock(&self.0).insert(path.clone(), Noted { version: Some(version), attributes, fresh_until });
    }

    /// What is noted of the name.
    pub(in crate::vfs) fn find(&self, path: &VirtualPath) -> Option<Noted> {
        lock(&self.0).find(path).cloned()
    }

    /// Takes out what is noted of a directory and of what is in it.
    pub(in crate::vfs) fn take_below(&self, directory: &VirtualPath) -> Vec<(VirtualPath, Noted)> {
        lock(&self.0).take_where(|path| path == directory || path.is_below(directory))
    }

    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        lock(&self.0).remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Times;

    const TIMES: NewAttributes = NewAttributes { times: Some(Times { accessed: 1, modified: 2 }), mode: None };
    const MODE: NewAttributes = NewAttributes { times: None, mode: Some(0o600) };

    #[test]
    fn attributes_belong_to_one_version() {
        let noted = NotedAttributes::default();
        let path = VirtualPath::parse(b"/a").unwrap();
        let [first, second] = ["\"1\"", "\"2\""].map(|etag| ETag(etag.into()));
        noted.add(&path, Some(first.clone()), TIMES);
        assert_eq!(noted.add(&path, Some(first.clone()), MODE), TIMES.updated(MODE));
        let note = noted.find(&path).unwrap();
        assert_eq!(note.of(Some(&first)), Some(TIMES.updated(MODE)));
        assert_eq!((note.of(Some(&second)), note.of(None)), (None, None));
        assert_eq!(noted.add(&path, Some(second), MODE), MODE, "a new version inherits nothing");
        noted.forget(&path);
        assert!(noted.find(&path).is_none());
    }

    // S100: What was set while the journal was down stays that session's own, for the last 4,096 names, unless it is …
    #[test]
    fn the_last_4096_names_are_noted() {
        let noted = NotedAttributes::default();
        let path = |number: usize| VirtualPath::parse(format!("/{number}").as_bytes()).unwrap();
        for number in 0..=4096 {
            noted.add(&path(number), None, TIMES);
        }
        assert!(noted.find(&path(0)).is_none());
        assert!((1..=4096).all(|number| noted.find(&path(number)).is_some()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_here_alone_counts_for_ever_and_what_is_kept_for_a_moment() {
        let noted = NotedAttributes::default();
        let path = VirtualPath::parse(b"/a").unwrap();
        let version = ETag("\"1\"".into());
        let state = |noted: &NotedAttributes| {
            let note = noted.find(&path).unwrap();
            (note.is_newest(), note.is_fresh())
        };
        noted.add(&path, Some(version.clone()), TIMES);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(state(&noted), (true, false));
        noted.keep(&path, version, TIMES);
        assert_eq!(state(&noted), (true, true));
        tokio::time::advance(FRESH).await;
        assert_eq!(state(&noted), (false, false));
    }
}
