//! Times and modes that sessions of this node set on files after the object's metadata was fixed, and times at which files
//! appeared, as long as the journal may not say them.
//!
//! They belong to the version that they were set on: a file that is replaced loses them.

use super::{Name, lock, object_map::ObjectMap};
use crate::{
    name::{BucketId, Key, Prefix, TenantName},
    store::{Late, LateAttributes, LateNote, Version},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::time::Instant;

/// Files of a tenant that can have attributes here: about a mebibyte and a half of memory.
const MAX_ENTRIES: usize = 4096;

/// For so long what this node set is answered without asking whether another one has set something since.
const FRESH: Duration = Duration::from_secs(2);

/// Attributes that were set on a file.
#[derive(Clone, Debug)]
pub(in crate::vfs) struct Noted {
    late: Late,
    /// When the version came to be, in seconds since 1970.
    modified: i64,
    by_client: bool,
    /// Until when it counts, whatever the journal says; `None` while it is here alone.
    fresh_until: Option<Instant>,
}

impl Noted {
    /// The attributes, if they were set on this version.
    pub(in crate::vfs) fn of(&self, version: &Version) -> Option<LateAttributes> {
        self.late.is_of(version).then_some(self.late.attributes)
    }

    pub(in crate::vfs) fn late(&self) -> &Late {
        &self.late
    }

    /// The row that the journal is to hear of.
    pub(in crate::vfs) fn note(self, bucket: BucketId, key: Key) -> LateNote {
        let Self { late, modified, by_client, .. } = self;
        LateNote { bucket, key, late, modified, by_client }
    }

    /// True if the journal hasn't heard of it.
    pub(in crate::vfs) fn is_here_alone(&self) -> bool {
        self.fresh_until.is_none()
    }

    /// True if it counts more than what the journal says.
    pub(in crate::vfs) fn is_newest(&self) -> bool {
        self.fresh_until.is_none_or(|until| Instant::now() < until)
    }

    /// True if the journal knew it a moment ago, so that there is nothing to ask.
    pub(in crate::vfs) fn is_fresh(&self) -> bool {
        self.fresh_until.is_some_and(|until| Instant::now() < until)
    }
}

/// Attributes that the node's sessions set, by object.
#[derive(Debug)]
pub(in crate::vfs) struct AttributeOverlay(Mutex<ObjectMap<(), Noted>>);

impl Default for AttributeOverlay {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_ENTRIES)))
    }
}

impl AttributeOverlay {
    /// Adds `attributes` that a client set to those of this version, as something that is here alone. Answers with all of
    /// them.
    pub(in crate::vfs) fn add(
        &self,
        tenant: &TenantName,
        name: Name<'_>,
        version: &Version,
        attributes: LateAttributes,
    ) -> Late {
        let mut map = lock(&self.0);
        // Attributes that the journal has heard of more than two seconds ago another node may have changed since.
        let newest = map.find(name, &()).filter(|noted| noted.is_newest());
        let older = newest.and_then(|noted| noted.of(version)).unwrap_or_default();
        let late = Late::new(version, older.updated(attributes));
        let noted = Noted { late: late.clone(), modified: version.modified, by_client: true, fresh_until: None };
        map.insert(tenant, name, (), noted);
        late
    }

    /// Notes what the server itself knows of this version, as something that is here alone, in the place of all else.
    pub(in crate::vfs) fn note(
        &self,
        tenant: &TenantName,
        name: Name<'_>,
        version: &Version,
        attributes: LateAttributes,
    ) {
        let late = Late::new(version, attributes);
        let noted = Noted { late, modified: version.modified, by_client: false, fresh_until: None };
        lock(&self.0).insert(tenant, name, (), noted);
    }

    /// The journal has what was set on a version, which it was `told`, or more than that: `attributes`. What another session
    /// has set since it was told so stays on top.
    pub(in crate::vfs) fn keep(&self, tenant: &TenantName, name: Name<'_>, told: &Late, attributes: LateAttributes) {
        let mut map = lock(&self.0);
        let noted = map.find(name, &());
        // Of a version that was replaced meanwhile nothing is to be kept.
        if noted.is_some_and(|noted| noted.late.etag != told.etag) {
            return;
        }
        let newer = noted.filter(|noted| noted.late.attributes != told.attributes);
        // The journal has that too.
        if newer.is_some_and(|newer| newer.fresh_until.is_some()) {
            return;
        }
        let noted = if let Some(mut newer) = newer.cloned() {
            newer.late.attributes = attributes.updated(newer.late.attributes);
            newer
        } else {
            let (late, fresh_until) = (Late { attributes, ..told.clone() }, Some(Instant::now() + FRESH));
            let modified = noted.map_or(told.set_at, |noted| noted.modified);
            Noted { late, modified, by_client: true, fresh_until }
        };
        map.insert(tenant, name, (), noted);
    }

    /// Notes what was noted of another name and version. True if it counts more than what the journal says: then it is here
    /// alone, because the journal may not have it under this name.
    pub(in crate::vfs) fn carry(&self, tenant: &TenantName, name: Name<'_>, version: &Version, noted: &Noted) -> bool {
        let late = Late::new(version, noted.late.attributes);
        let is_newest = noted.is_newest();
        let fresh_until = if is_newest { None } else { noted.fresh_until };
        let noted = Noted { late, modified: version.modified, by_client: noted.by_client, fresh_until };
        lock(&self.0).insert(tenant, name, (), noted);
        is_newest
    }

    /// Finds what is noted of the object.
    pub(in crate::vfs) fn find(&self, name: Name<'_>) -> Option<Noted> {
        lock(&self.0).find(name, &()).cloned()
    }

    /// Takes out what is noted of the objects below a directory, each with its key.
    pub(in crate::vfs) fn take_below(&self, bucket: &BucketId, directory: &Prefix) -> Vec<(Arc<str>, Noted)> {
        let taken = lock(&self.0).take_below(bucket, directory.as_str());
        taken.into_iter().map(|(key, (), noted)| (key, noted)).collect()
    }

    pub(in crate::vfs) fn forget(&self, name: Name<'_>) {
        lock(&self.0).remove(name, &());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;

    const MODE: LateAttributes = LateAttributes { times: None, mode: Some(0o600) };
    const OTHER: LateAttributes = LateAttributes { times: None, mode: Some(0o640) };

    fn tag(tag: &str) -> Version {
        Version { etag: ETag(tag.to_owned()), modified: 7 }
    }

    // S100: What was set while the journal was down is that node's own, for the last 4,096 files and as many directories of a …
    #[test]
    fn what_is_here_alone_is_bounded() {
        let (overlay, bucket, tenant) = (AttributeOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        for number in 0..=MAX_ENTRIES {
            overlay.add(&tenant, (&bucket, &number.to_string()), &tag("1"), MODE);
        }
        assert!(overlay.find((&bucket, "0")).is_none());
        for number in 1..=MAX_ENTRIES {
            assert!(overlay.find((&bucket, &number.to_string())).is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_journal_takes_nothing_back_that_was_set_since() {
        let (overlay, bucket, tenant) = (AttributeOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        let name = (&bucket, "a");
        let told = overlay.add(&tenant, name, &tag("1"), MODE);
        overlay.add(&tenant, name, &tag("1"), OTHER);
        overlay.keep(&tenant, name, &told, told.attributes);
        assert_eq!(overlay.find(name).unwrap().of(&tag("1")), Some(OTHER));
        let other = overlay.add(&tenant, name, &tag("2"), OTHER);
        overlay.keep(&tenant, name, &told, told.attributes);
        assert_eq!(overlay.find(name).unwrap().of(&tag("1")), None);
        overlay.keep(&tenant, name, &other, OTHER);
        assert!(overlay.find(name).unwrap().is_fresh());
        tokio::time::advance(FRESH).await;
        assert!(!overlay.find(name).unwrap().is_newest());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_that_come_in_another_order_leave_nothing_above_the_journal() {
        let (overlay, bucket, tenant) = (AttributeOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        let name = (&bucket, "a");
        let [first, second] = [MODE, OTHER].map(|attributes| overlay.add(&tenant, name, &tag("1"), attributes));
        overlay.keep(&tenant, name, &second, second.attributes);
        overlay.keep(&tenant, name, &first, first.attributes);
        assert_eq!(overlay.find(name).unwrap().of(&tag("1")), Some(OTHER));
        assert!(overlay.find(name).unwrap().is_fresh());
    }
}
