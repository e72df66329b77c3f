//! Times and modes that came when the object's metadata was already fixed.
//!
//! S3 can't change the metadata of an object but by a copy onto itself, which would change its ETag. So they are kept
//! here, for the session, with the ETag of the version that they were set on: a file that is replaced loses them.

use super::{bounded::BoundedMap, lock};
use crate::{
    store::ETag,
    vfs::{NewAttributes, VirtualPath},
};
use std::sync::Mutex;

/// So many files can have late attributes in a session: about a mebibyte and a half of memory.
const MAX_ENTRIES: usize = 4096;

/// Attributes by path. A directory has no ETag: its version is `None`.
#[derive(Debug)]
pub(in crate::vfs) struct LateAttributes(Mutex<BoundedMap<VirtualPath, (Option<ETag>, NewAttributes)>>);

impl Default for LateAttributes {
    fn default() -> Self {
        Self(Mutex::new(BoundedMap::new(MAX_ENTRIES)))
    }
}

impl LateAttributes {
    /// Adds `attributes` to what is kept for this version.
    pub(in crate::vfs) fn add(&self, path: &VirtualPath, version: Option<ETag>, attributes: NewAttributes) {
        if attributes.is_empty() {
            return;
        }
        let mut map = lock(&self.0);
        let kept = match map.find(path) {
            Some((of, kept)) if *of == version => kept.updated(attributes),
            _ => attributes,
        };
        map.insert(path.clone(), (version, kept));
    }

    /// What is kept for this version.
    pub(in crate::vfs) fn of(&self, path: &VirtualPath, version: Option<&ETag>) -> NewAttributes {
        match lock(&self.0).find(path) {
            Some((of, kept)) if of.as_ref() == version => *kept,
            _ => NewAttributes::default(),
        }
    }

    pub(in crate::vfs) fn forget(&self, path: &VirtualPath) {
        lock(&self.0).remove(path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Times;

    #[test]
    fn attributes_belong_to_one_version() {
        let late = LateAttributes::default();
        let path = VirtualPath::parse(b"/a").unwrap();
        let [first, second] = ["\"1\"", "\"2\""].map(|etag| ETag(etag.into()));
        let times = Times { accessed: 1, modified: 2 };
        late.add(&path, Some(first.clone()), NewAttributes { times: Some(times), mode: None });
        late.add(&path, Some(first.clone()), NewAttributes { times: None, mode: Some(0o600) });
        assert_eq!(late.of(&path, Some(&first)), NewAttributes { times: Some(times), mode: Some(0o600) });
        assert!(late.of(&path, Some(&second)).is_empty());
        assert!(late.of(&path, None).is_empty());
        late.add(&path, Some(second.clone()), NewAttributes { times: None, mode: Some(0o644) });
        assert_eq!(late.of(&path, Some(&second)).times, None, "a new version inherits nothing");
        late.forget(&path);
        assert!(late.of(&path, Some(&second)).is_empty());
    }
}
