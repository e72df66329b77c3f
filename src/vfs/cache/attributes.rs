//! Attributes of files that the journal may not have yet. Sessions of this node set these times and modes after the
//! object's metadata was sent, or the server knows the time at which a file appeared.
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

/// For this long the node answers from an entry, and doesn't ask the journal for attributes that other nodes set.
const FRESH: Duration = Duration::from_secs(2);

/// The attributes of one file, as far as this node knows them.
#[derive(Clone, Debug)]
pub(in crate::vfs) struct KnownAttributes {
    /// The row that the journal has, or will have.
    entry: ObjectAttributes,
    /// The time at which the version appeared, in seconds since 1970.
    modified: i64,
    by_client: bool,
    /// Until then the entry overrides the journal. `None` while the journal doesn't have it.
    fresh_until: Option<Instant>,
}

impl KnownAttributes {
    /// The attributes, if they were set on this version.
    pub(in crate::vfs) fn of(&self, version: &Version) -> Option<TimesAndMode> {
        self.entry.is_of(version).then_some(self.entry.attributes)
    }

    pub(in crate::vfs) fn entry(&self) -> &ObjectAttributes {
        &self.entry
    }

    /// The row to write into the journal.
    pub(in crate::vfs) fn into_note(self, bucket: BucketId, key: Key) -> AttributeNote {
        let Self { entry, modified, by_client, .. } = self;
        AttributeNote { bucket, key, entry, modified, by_client }
    }

    /// True if the journal doesn't have the entry yet.
    pub(in crate::vfs) fn is_unwritten(&self) -> bool {
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
pub(in crate::vfs) struct AttributeOverlay(Mutex<ObjectMap<(), KnownAttributes>>);

impl Default for AttributeOverlay {
    fn default() -> Self {
        Self(Mutex::new(ObjectMap::new(MAX_ENTRIES)))
    }
}

impl AttributeOverlay {
    /// Adds `attributes`, which a client set, to those of this version. The journal doesn't have the entry then.
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
        let newest = map.find(name, &()).filter(|known| known.is_newest());
        let older = newest.and_then(|known| known.of(version)).unwrap_or_default();
        let entry = ObjectAttributes::new(version, older.updated(attributes));
        let known =
            KnownAttributes { entry: entry.clone(), modified: version.modified, by_client: true, fresh_until: None };
        map.insert(tenant, name, (), known);
        entry
    }

    /// Replaces the entry by attributes of this version that only the server knows. The journal doesn't have the entry
    /// then.
    pub(in crate::vfs) fn note(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        version: &Version,
        attributes: TimesAndMode,
    ) {
        let entry = ObjectAttributes::new(version, attributes);
        let known = KnownAttributes { entry, modified: version.modified, by_client: false, fresh_until: None };
        self.0.lock().insert(tenant, name, (), known);
    }

    /// Records that the journal has `attributes`, which include the `written` ones. Attributes that a session has set
    /// since then override them.
    pub(in crate::vfs) fn confirm(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        written: &ObjectAttributes,
        attributes: TimesAndMode,
    ) {
        let mut map = self.0.lock();
        let known = map.find(name, &());
        // The file was replaced meanwhile: attributes of the old version are dropped.
        if known.is_some_and(|known| known.entry.etag != written.etag) {
            return;
        }
        let newer = known.filter(|known| known.entry.attributes != written.attributes);
        // The journal has the newer entry too.
        if newer.is_some_and(|newer| newer.fresh_until.is_some()) {
            return;
        }
        let known = if let Some(mut newer) = newer.cloned() {
            newer.entry.attributes = attributes.updated(newer.entry.attributes);
            newer
        } else {
            let (entry, fresh_until) =
                (ObjectAttributes { attributes, ..written.clone() }, Some(Instant::now() + FRESH));
            let modified = known.map_or(written.set_at, |known| known.modified);
            KnownAttributes { entry, modified, by_client: true, fresh_until }
        };
        map.insert(tenant, name, (), known);
    }

    /// Copies an entry to another name and version. Returns true if the entry overrides the journal. It counts as not
    /// written then, because the journal may not have it under this name.
    pub(in crate::vfs) fn carry(
        &self,
        tenant: &TenantName,
        name: ObjectName<'_>,
        version: &Version,
        known: &KnownAttributes,
    ) -> bool {
        let entry = ObjectAttributes::new(version, known.entry.attributes);
        let is_newest = known.is_newest();
        let fresh_until = if is_newest { None } else { known.fresh_until };
        let known = KnownAttributes { entry, modified: version.modified, by_client: known.by_client, fresh_until };
        self.0.lock().insert(tenant, name, (), known);
        is_newest
    }

    /// Returns the entry of the object.
    pub(in crate::vfs) fn find(&self, name: ObjectName<'_>) -> Option<KnownAttributes> {
        self.0.lock().find(name, &()).cloned()
    }

    /// Removes and returns the entries of the objects below a directory, each with its key.
    pub(in crate::vfs) fn take_below(&self, bucket: &BucketId, directory: &Prefix) -> Vec<(Arc<str>, KnownAttributes)> {
        let removed = self.0.lock().take_below(bucket, directory.as_str());
        removed.into_iter().map(|(key, (), known)| (key, known)).collect()
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
    fn the_overlay_is_bounded() {
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
    async fn an_answer_of_the_journal_undoes_no_later_change() {
        let (overlay, bucket, tenant) = (AttributeOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        let name = (&bucket, "a");
        let written = overlay.add(&tenant, name, &tag("1"), MODE);
        overlay.add(&tenant, name, &tag("1"), OTHER);
        overlay.confirm(&tenant, name, &written, written.attributes);
        assert_eq!(overlay.find(name).unwrap().of(&tag("1")), Some(OTHER));
        let other = overlay.add(&tenant, name, &tag("2"), OTHER);
        overlay.confirm(&tenant, name, &written, written.attributes);
        assert_eq!(overlay.find(name).unwrap().of(&tag("1")), None);
        overlay.confirm(&tenant, name, &other, OTHER);
        assert!(overlay.find(name).unwrap().is_fresh());
        tokio::time::advance(FRESH).await;
        assert!(!overlay.find(name).unwrap().is_newest());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_in_another_order_leave_no_entry_above_the_journal() {
        let (overlay, bucket, tenant) = (AttributeOverlay::default(), BucketId::recorded("b"), "acme".parse().unwrap());
        let name = (&bucket, "a");
        let [first, second] = [MODE, OTHER].map(|attributes| overlay.add(&tenant, name, &tag("1"), attributes));
        overlay.confirm(&tenant, name, &second, second.attributes);
        overlay.confirm(&tenant, name, &first, first.attributes);
        assert_eq!(overlay.find(name).unwrap().of(&tag("1")), Some(OTHER));
        assert!(overlay.find(name).unwrap().is_fresh());
    }
}
