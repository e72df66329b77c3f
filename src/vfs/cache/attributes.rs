//! Attributes of files that the journal may not have yet. Sessions of this node set these times and modes after the
//! object's metadata was fixed, or the server knows the time at which a file appeared.
//!
//! Each entry belongs to the version on which it was set: replacing the file drops it.

use crate::{
    bounded::{ObjectMap, ObjectName},
    journal::{AttributeNote, ObjectAttributes, TimesAndMode, Version},
    name::{BucketId, Key, Prefix, TenantName},
};
use parking_lot::Mutex;
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// The most files of a tenant that have an entry: about 1.5 MiB of memory.
const MAX_ENTRIES: usize = 4096;

/// For this long the node answers from an entry without asking the journal if another node has set something since.
const FRESH: Duration = Duration::from_secs(2);

/// The attributes of one file.
#[derive(Clone, Debug)]
pub(in crate::vfs) struct Noted {
    late: ObjectAttributes,
    /// The time at which the version appeared, in seconds since 1970.
    modified: i64,
    by_client: bool,
    /// Until then the entry overrides the journal. `None` while the journal doesn't have it.
    fresh_until: Option<Instant>,
}

impl Noted {
    /// The attributes, if they were set on this version.
    pub(in crate::vfs) fn of(&self, version: &Version) -> Option<TimesAndMode> {
        self.late.is_of(version).then_some(self.late.attributes)
    }

    pub(in crate::vfs) fn late(&self) -> &ObjectAttributes {
        &self.late
    }

    /// The row to write into the journal.
    pub(in crate::vfs) fn note(self, bucket: BucketId, key: Key) -> AttributeNote {
        let Self { late, modified, by_client, .. } = self;
        AttributeNote { bucket, key, entry: late, modified, by_client }
    }

    /// True if the journal doesn't have the entry yet.
    pub(in crate::vfs) fn is_here_alone(&self) -> bool {
        self.fresh_until.is_none()
    }

    /// True if the entry overrides the journal.
    pub(in crate::vfs) fn is_newest(&self) -> bool {
        self.fresh_until.is_none_or(|until| Instant::now() < until)
    }

    /// True if the journal had the entry a moment ago, so that it need not be asked.
    pub(in crate::vfs) fn is_fresh(&self) -> bool {
        self.fresh_until.is_some_and(|until| Instant::now() < until)
    }
}

/// The attributes that the node's sessions set, by object.
#[derive(Debug)]
pub(in crate::vfs) struct AttributeOverlay(Mutex<ObjectMap<(), Noted>>);

impl Default for AttributeOverlay {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_ENTRIES)))
    }
}

impl AttributeOverlay {
    /// Adds `attributes`, which a client set, to those of this version. The entry is marked as not in the journal.
    /// Returns all attributes of the version.
    pub(in crate::vfs) fn add(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        version: &Version,
        attributes: TimesAndMode,
    ) -> ObjectAttributes {
        let mut map = self.0.lock();
        // An entry that the journal has had for more than two seconds may be stale: another node may have changed it.
        let newest = map.find(name, &()).filter(|noted| noted.is_newest());
        let older = newest.and_then(|noted| noted.of(version)).unwrap_or_default();
        let late = ObjectAttributes::new(version, older.updated(attributes));
        let noted = Noted { late: late.clone(), modified: version.modified, by_client: true, fresh_until: None };
        map.insert(tenant, name, (), noted);
        late
    }

    /// Replaces the entry by what the server itself knows of this version. The entry is marked as not in the journal.
    pub(in crate::vfs) fn note(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        version: &Version,
        attributes: TimesAndMode,
    ) {
        let late = ObjectAttributes::new(version, attributes);
        let noted = Noted { late, modified: version.modified, by_client: false, fresh_until: None };
        self.0.lock().insert(tenant, name, (), noted);
    }

    /// Records that the journal has `attributes`, which include those that it was `told`. Attributes that another
    /// session set since then stay on top.
    pub(in crate::vfs) fn keep(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        told: &ObjectAttributes,
        attributes: TimesAndMode,
    ) {
        let mut map = self.0.lock();
        let noted = map.find(name, &());
        // The file was replaced meanwhile: attributes of the old version are dropped.
        if noted.is_some_and(|noted| noted.late.etag != told.etag) {
            return;
        }
        let newer = noted.filter(|noted| noted.late.attributes != told.attributes);
        // The journal has the newer entry too.
        if newer.is_some_and(|newer| newer.fresh_until.is_some()) {
            return;
        }
        let noted = if let Some(mut newer) = newer.cloned() {
            newer.late.attributes = attributes.updated(newer.late.attributes);
            newer
        } else {
            let (late, fresh_until) = (ObjectAttributes { attributes, ..told.clone() }, Some(Instant::now() + FRESH));
            let modified = noted.map_or(told.set_at, |noted| noted.modified);
            Noted { late, modified, by_client: true, fresh_until }
        };
        map.insert(tenant, name, (), noted);
    }

    /// Copies an entry to another name and version. Returns true if the entry overrides the journal. It is marked as
    /// not in the journal then, because the journal may not have it under this name.
    pub(in crate::vfs) fn carry(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        version: &Version,
        noted: &Noted,
    ) -> bool {
        let late = ObjectAttributes::new(version, noted.late.attributes);
        let is_newest = noted.is_newest();
        let fresh_until = if is_newest { None } else { noted.fresh_until };
        let noted = Noted { late, modified: version.modified, by_client: noted.by_client, fresh_until };
        self.0.lock().insert(tenant, name, (), noted);
        is_newest
    }

    /// Returns the entry of the object.
    pub(in crate::vfs) fn find(&self, name: ObjectName<'_>) -> Option<Noted> {
        self.0.lock().find(name, &()).cloned()
    }

    /// Removes and returns the entries of the objects below a directory, each with its key.
    pub(in crate::vfs) fn take_below(&self, bucket: &BucketId, directory: &Prefix) -> Vec<(Arc<str>, Noted)> {
        let taken = self.0.lock().take_below(bucket, directory.as_str());
        taken.into_iter().map(|(key, (), noted)| (key, noted)).collect()
    }

    pub(in crate::vfs) fn forget(&self, name: ObjectName<'_>) {
        self.0.lock().remove(name, &());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::ETag;

    const MODE: TimesAndMode = TimesAndMode { times: None, mode: Some(0o600) };
    const OTHER: TimesAndMode = TimesAndMode { times: None, mode: Some(0o640) };

    fn tag(tag: &str) -> Version {
        Version { etag: ETag(tag.to_owned()), modified: 7 }
    }

    // S100: Times and modes that were set while the journal was down stay on that node, for the last 4,096 files …
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
