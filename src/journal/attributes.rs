//! Times and a mode that the journal stores beside one version of an object.
//!
//! Invariant: they count for that version alone. Its ETag doesn't distinguish it from a later upload of the same bytes.
//! S3's time of the version does, because the attributes were set after the version came to be.

use crate::{
    clock::{Clock as _, SystemClock},
    name::{BucketId, Key},
    store::{ETag, Object},
};

/// The largest difference between the clocks of S3 and of the nodes.
const CLOCKS_APART_SECONDS: i64 = 60;

/// A version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its ETag. A later upload of the same bytes has the same one.
    pub(crate) etag: ETag,
    /// `Last-Modified`, in seconds since 1970: S3's, or the time at which this node got S3's answer that the version is
    /// stored.
    pub(crate) modified: i64,
}

impl Version {
    /// The version that HEAD or GET described.
    #[must_use]
    pub(crate) fn of(object: &Object) -> Self {
        Self { etag: object.pin.etag.clone(), modified: object.modified }
    }

    /// The version that S3 has just stored.
    #[must_use]
    pub(crate) fn stored_now(etag: ETag) -> Self {
        Self { etag, modified: SystemClock.unix_seconds() }
    }
}

/// The times that clients see for a version, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ObjectTimes {
    /// A client set them.
    Set {
        /// Last access.
        accessed: u32,
        /// Last modification.
        modified: u32,
    },
    /// The time at which the file appeared, which S3 doesn't report. It counts only if no client set a time and the
    /// object's metadata has none.
    Appeared(u32),
}

impl ObjectTimes {
    /// The time at which a file appeared, within the bounds of SFTP's 32 bits.
    #[must_use]
    pub(crate) fn appeared(seconds: i64) -> Self {
        Self::Appeared(u32::try_from(seconds.max(0)).unwrap_or(u32::MAX))
    }
}

/// Times and a mode. A field that is `None` leaves S3's value in place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimesAndMode {
    /// The times.
    pub times: Option<ObjectTimes>,
    /// Permission bits.
    pub mode: Option<u32>,
}

impl TimesAndMode {
    /// True if it has no attribute.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These attributes, overwritten by those that `newer` has. The time at which a file appeared replaces no other
    /// time.
    #[must_use]
    pub(crate) fn updated(self, newer: Self) -> Self {
        let times = match newer.times {
            Some(ObjectTimes::Set { .. }) => newer.times,
            Some(ObjectTimes::Appeared(_)) | None => self.times.or(newer.times),
        };
        Self { times, mode: newer.mode.or(self.mode) }
    }

    /// These attributes, completed by those of `other`. A time that a client set takes precedence over the time at
    /// which a file appeared.
    fn or(self, other: Self) -> Self {
        let times = match (self.times, other.times) {
            (Some(ObjectTimes::Appeared(_)), Some(ObjectTimes::Set { .. })) => other.times,
            (times, other) => times.or(other),
        };
        Self { times, mode: self.mode.or(other.mode) }
    }
}

/// Attributes that were set on one version of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectAttributes {
    /// The version's ETag.
    pub etag: ETag,
    /// The attributes.
    pub attributes: TimesAndMode,
    /// The time at which they were set, in seconds since 1970: not before the version came to be.
    pub set_at: i64,
}

impl ObjectAttributes {
    /// Attributes that are set now.
    #[must_use]
    pub(crate) fn new(version: &Version, attributes: TimesAndMode) -> Self {
        // A slow clock of the node must not set them before the version came to be.
        Self { etag: version.etag.clone(), attributes, set_at: SystemClock.unix_seconds().max(version.modified) }
    }

    /// True if they were set on this version.
    #[must_use]
    pub(crate) fn is_of(&self, version: &Version) -> bool {
        self.etag == version.etag && version.modified <= self.set_at.saturating_add(CLOCKS_APART_SECONDS)
    }

    /// The earliest time at which attributes can have been set on a version that came to be at `modified`.
    #[must_use]
    pub(crate) fn earliest(modified: i64) -> i64 {
        modified.saturating_sub(CLOCKS_APART_SECONDS)
    }

    /// The latest time at which attributes can have been set on a version that was replaced by one of the time
    /// `modified`.
    #[must_use]
    pub(crate) fn latest(modified: i64) -> i64 {
        modified.saturating_add(CLOCKS_APART_SECONDS)
    }

    /// True if these attributes are of a version that replaced the one with this ETag, which came to be at `modified`.
    #[must_use]
    pub(crate) fn is_of_younger(&self, etag: &ETag, modified: i64) -> bool {
        self.etag != *etag && self.set_at > Self::latest(modified)
    }

    /// The attributes kept after these are set on top of `older` ones. The older ones don't count if they are of
    /// another version than the one that came to be at `modified`.
    #[must_use]
    pub(crate) fn on_top_of(self, older: &Self, modified: i64) -> Self {
        let version = Version { etag: self.etag.clone(), modified };
        if older.is_of(&version) {
            let set_at = self.set_at.max(older.set_at);
            Self { attributes: older.attributes.updated(self.attributes), set_at, ..self }
        } else {
            self
        }
    }
}

/// The attributes of a renamed file: those of its old name are forgotten, and all of its new name are replaced.
#[derive(Clone, Copy, Debug)]
pub struct MovedAttributes<'a> {
    /// The old name.
    pub source: &'a Key,
    /// The new name, which is another one.
    pub target: &'a Key,
    /// The attributes of the new name. `None`: it has none.
    pub entry: Option<&'a ObjectAttributes>,
}

/// Attributes that the journal gets some time after they were set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeNote {
    /// The bucket.
    pub bucket: BucketId,
    /// The object.
    pub key: Key,
    /// The attributes.
    pub entry: ObjectAttributes,
    /// The time at which the version came to be, in seconds since 1970.
    pub modified: i64,
    /// True for attributes that a client set: they take precedence over others of the same second.
    pub by_client: bool,
}

impl AttributeNote {
    /// Attributes that the server noted when their version came to be.
    #[must_use]
    pub fn born(bucket: BucketId, key: Key, entry: ObjectAttributes) -> Self {
        let modified = entry.set_at;
        Self { bucket, key, entry, modified, by_client: false }
    }

    /// The earliest time, in seconds since 1970, at which attributes set on the same version take precedence over
    /// these.
    #[must_use]
    pub(crate) fn stays_from(&self) -> i64 {
        self.entry.set_at.saturating_add(self.by_client.into())
    }

    /// The attributes kept when these are written beside those that are `there`. Attributes set on the same version
    /// since stay, and so do attributes of a younger version.
    #[must_use]
    pub fn beside(&self, there: &ObjectAttributes) -> ObjectAttributes {
        let entry = self.entry.clone();
        if entry.etag != there.etag {
            return if there.set_at > entry.set_at { there.clone() } else { entry };
        }
        if there.set_at < self.stays_from() {
            return entry.on_top_of(there, self.modified);
        }
        ObjectAttributes { attributes: there.attributes.or(entry.attributes), set_at: there.set_at, ..entry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: ObjectTimes = ObjectTimes::Set { accessed: 5, modified: 6 };
    const APPEARED: ObjectTimes = ObjectTimes::Appeared(7);

    fn version(etag: &str, modified: i64) -> Version {
        Version { etag: ETag(etag.to_owned()), modified }
    }

    // S92: The same bytes that another program puts there have the same ETag and may show times and modes …
    #[test]
    fn what_was_set_before_a_version_came_to_be_is_not_of_it() {
        let entry = ObjectAttributes { etag: ETag("a".to_owned()), attributes: TimesAndMode::default(), set_at: 1_000 };
        for (etag, modified, is_of) in [("a", 10, true), ("a", 1_060, true), ("a", 1_061, false), ("b", 1_000, false)] {
            assert_eq!(entry.is_of(&version(etag, modified)), is_of, "{etag} of {modified}");
        }
        let ahead = version("a", SystemClock.unix_seconds() + 1_000);
        assert!(ObjectAttributes::new(&ahead, TimesAndMode::default()).is_of(&ahead), "the node's clock is slow");
    }

    // S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
    #[test]
    fn a_version_is_younger_if_its_attributes_were_set_after_the_other_can_have_been_replaced() {
        let entry = ObjectAttributes { etag: ETag("a".to_owned()), attributes: TimesAndMode::default(), set_at: 1_000 };
        for (etag, modified, is_younger) in [("b", 939, true), ("b", 940, false), ("a", 939, false)] {
            assert_eq!(entry.is_of_younger(&ETag(etag.to_owned()), modified), is_younger, "{etag} of {modified}");
        }
    }

    // S165: Such a time counts less than one that a client sets, before or since, and less than one in an object's …
    #[test]
    fn the_time_at_which_a_file_appeared_takes_the_place_of_no_other() {
        let (none, mode) = (TimesAndMode::default(), TimesAndMode { times: None, mode: Some(0o600) });
        let of = |times| TimesAndMode { times: Some(times), mode: None };
        for (older, newer, times) in [
            (none, of(APPEARED), Some(APPEARED)),
            (of(APPEARED), of(SET), Some(SET)),
            (of(SET), of(APPEARED), Some(SET)),
            (of(APPEARED), of(ObjectTimes::Appeared(9)), Some(APPEARED)),
            (of(APPEARED), mode, Some(APPEARED)),
            (mode, of(APPEARED), Some(APPEARED)),
        ] {
            assert_eq!(older.updated(newer).times, times, "{older:?}, {newer:?}");
            assert_eq!(older.updated(newer).mode, newer.mode.or(older.mode));
        }
    }
}
