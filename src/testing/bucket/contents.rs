//! The bucket's objects and open uploads, and the effect of each verb on them. Never waits, and records no requests.

use super::{
    bucket_object::{BucketObject, etag_of},
    refusal::{conflict, refused},
    uploads::{MIN_PART_BYTES, OpenUpload},
};
use crate::{
    name::Key,
    store::{
        Condition, ETag, Error, Headers, NewObject, Object, Part, Payload, Pin, RemovalCondition, Result, StoredObject,
        UploadId, VersionId,
    },
};
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm::Crc64Nvme, Digest};
use std::{collections::BTreeMap, ops::Range};
use tokio::time::Instant;

/// S3's limit on a part, PutObject and CopyObject, in bytes.
const MAX_BODY_BYTES: u64 = 5 * 1024 * 1024 * 1024;
/// S3's limit on the keys of one DeleteObjects.
const MAX_REMOVED: usize = 1000;
/// The highest part number.
const MAX_PARTS: u32 = 10_000;
/// The time of the first object, unless a test sets the clock: seconds since 1970. Each further object or upload comes
/// a second later.
const EPOCH: i64 = 1_750_000_000;

#[derive(Debug, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a way of a store that a test can ask for, alone or with others"
)]
pub(super) struct Contents {
    pub(super) objects: BTreeMap<String, BucketObject>,
    pub(super) uploads: BTreeMap<String, OpenUpload>,
    pub(super) versioned: bool,
    pub(super) missing_is_forbidden: bool,
    pub(super) listings_begin_empty: bool,
    pub(super) removes_always: bool,
    /// The time, in seconds since 1970, at which a test stopped the clock.
    pub(super) clock: Option<i64>,
    /// The initiator of new uploads.
    pub(super) initiator: Option<String>,
    /// Overwritten and deleted objects of a versioned bucket.
    older: Vec<(String, BucketObject)>,
    /// The number of objects and uploads so far, without objects in parts.
    serial: u32,
    /// The number of objects so far.
    versions: u32,
    /// The changes so far, if they are recorded.
    pub(super) changes: Option<Vec<ObjectChange>>,
}

/// A change of a key's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectChange {
    /// The time at which it happened, on the clock of the runtime.
    pub at: Instant,
    /// The key.
    pub raw_key: String,
    /// The bytes of the new object; `None` if the object was deleted.
    pub bytes: Option<Bytes>,
}

impl Contents {
    pub(super) fn current(&self, raw_key: &str) -> Option<&BucketObject> {
        self.objects.get(raw_key)
    }

    pub(super) fn insert(&mut self, raw_key: &str, bytes: Bytes, metadata: BTreeMap<String, String>) -> StoredObject {
        let crc64 = crc_fast::checksum(Crc64Nvme, &bytes);
        self.store(raw_key, bytes, NewObject { metadata, ..NewObject::default() }, crc64)
    }

    pub(super) fn delete(&mut self, raw_key: &str) -> bool {
        let was_there = self.withdraw(raw_key);
        if was_there {
            self.record_change(raw_key, None);
        }
        was_there
    }

    fn withdraw(&mut self, raw_key: &str) -> bool {
        let Some(object) = self.objects.remove(raw_key) else { return false };
        if self.versioned {
            self.older.push((raw_key.to_owned(), object));
        }
        true
    }

    fn record_change(&mut self, raw_key: &str, bytes: Option<&Bytes>) {
        if let Some(changes) = &mut self.changes {
            changes.push(ObjectChange { at: Instant::now(), raw_key: raw_key.to_owned(), bytes: bytes.cloned() });
        }
    }

    pub(super) fn set_headers(&mut self, raw_key: &str, headers: Headers) -> bool {
        self.objects.get_mut(raw_key).map(|object| object.born.headers = headers).is_some()
    }

    pub(super) fn archive(&mut self, raw_key: &str) -> bool {
        self.objects.get_mut(raw_key).map(|object| object.archived = true).is_some()
    }

    pub(super) fn head(&self, raw_key: &str) -> Result<Object> {
        self.objects.get(raw_key).map(BucketObject::describe).ok_or_else(|| self.missing())
    }

    pub(super) fn read(
        &self,
        raw_key: &str,
        range: Range<u64>,
        pin: Option<&Pin>,
    ) -> Result<(Object, Range<u64>, Bytes)> {
        let object = self.pinned(raw_key, pin)?;
        if object.archived {
            return Err(Error::Archived);
        }
        let size = object.bytes.len();
        let start = usize::try_from(range.start).unwrap_or(usize::MAX);
        let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(size);
        if start >= end {
            return Err(Error::RangeNotSatisfiable { size: Some(size as u64) });
        }
        Ok((object.describe(), start as u64..end as u64, object.bytes.slice(start..end)))
    }

    pub(super) fn put(
        &mut self,
        raw_key: &str,
        payload: &Payload,
        object: &NewObject,
        condition: &Condition,
    ) -> Result<StoredObject> {
        let bytes = received(payload)?;
        self.check(raw_key, condition)?;
        Ok(self.store(raw_key, bytes, object.clone(), payload.crc64))
    }

    pub(super) fn create_upload(&mut self, raw_key: &str, object: &NewObject) -> UploadId {
        self.serial += 1;
        let id = format!("upload-{}", self.serial);
        let upload = OpenUpload {
            raw_key: raw_key.to_owned(),
            born: object.clone(),
            parts: BTreeMap::new(),
            initiated: self.time(),
            initiator: self.initiator.clone(),
        };
        self.uploads.insert(id.clone(), upload);
        UploadId(id)
    }

    pub(super) fn create_copy(
        &mut self,
        raw_key: &str,
        source: &str,
        pin: &Pin,
        object: &NewObject,
    ) -> Result<UploadId> {
        let found = self.objects.get(source).ok_or_else(|| self.missing())?;
        if found.pin.etag != pin.etag {
            return Err(conflict());
        }
        let object = NewObject { headers: found.born.headers.clone(), ..object.clone() };
        Ok(self.create_upload(raw_key, &object))
    }

    pub(super) fn upload_part(
        &mut self,
        raw_key: &str,
        upload: &UploadId,
        number: u32,
        payload: &Payload,
    ) -> Result<Part> {
        let bytes = received(payload)?;
        self.keep_part(raw_key, upload, number, bytes, payload.crc64)
    }

    pub(super) fn copy_part(
        &mut self,
        raw_key: &str,
        upload: &UploadId,
        number: u32,
        source: &str,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Part> {
        let found = self.objects.get(source).ok_or_else(|| self.missing())?;
        if found.pin.etag != pin.etag {
            return Err(conflict());
        }
        if found.archived {
            return Err(Error::Archived);
        }
        if found.bytes.len() as u64 <= MIN_PART_BYTES {
            return Err(refused("InvalidRequest", "the copy source is not larger than 5 MiB"));
        }
        let within = |at: u64| usize::try_from(at).ok().filter(|at| *at <= found.bytes.len());
        let (Some(start), Some(end)) = (within(range.start), within(range.end)) else {
            return Err(refused("InvalidRange", "the range lies behind the end of the copy source"));
        };
        if start >= end || (end - start) as u64 > MAX_BODY_BYTES {
            return Err(refused("InvalidArgument", "the range is empty or larger than 5 GiB"));
        }
        let bytes = found.bytes.slice(start..end);
        let crc64 = crc_fast::checksum(Crc64Nvme, &bytes);
        self.keep_part(raw_key, upload, number, bytes, crc64)
    }

    fn keep_part(&mut self, raw_key: &str, upload: &UploadId, number: u32, bytes: Bytes, crc64: u64) -> Result<Part> {
        if !(1..=MAX_PARTS).contains(&number) {
            return Err(refused("InvalidArgument", "part numbers are 1 to 10,000"));
        }
        let upload = self.uploads.get_mut(&upload.0).filter(|open| open.raw_key == raw_key).ok_or(Error::NotFound)?;
        let part = Part { number, etag: etag_of(crc64, None), size: bytes.len() as u64, crc64: Some(crc64) };
        upload.parts.insert(number, (part.clone(), bytes));
        Ok(part)
    }

    pub(super) fn complete_upload(
        &mut self,
        raw_key: &str,
        upload: &UploadId,
        parts: &[Part],
        condition: &Condition,
    ) -> Result<StoredObject> {
        let open = self.uploads.get(&upload.0).filter(|open| open.raw_key == raw_key).ok_or(Error::NotFound)?;
        let (bytes, crc64) = open.assembled(parts)?;
        // As in S3, an upload whose condition fails stays open.
        self.check(raw_key, condition)?;
        let Some(OpenUpload { born, initiated, .. }) = self.uploads.remove(&upload.0) else {
            return Err(Error::NotFound);
        };
        let etag = etag_of(crc64, Some(parts.len()));
        // S3 reports the time at which the upload began, not the one at which the object appeared.
        Ok(self.store_at(raw_key, bytes, born, (etag, crc64), initiated))
    }

    pub(super) fn copy(
        &mut self,
        source: &str,
        pin: &Pin,
        target: &str,
        object: Option<&NewObject>,
        condition: &Condition,
    ) -> Result<StoredObject> {
        let found = self.objects.get(source).ok_or_else(|| self.missing())?;
        if found.pin.etag != pin.etag {
            return Err(conflict());
        }
        if found.archived {
            return Err(Error::Archived);
        }
        if source == target && object.is_none() {
            return Err(refused("InvalidRequest", "a copy onto itself that changes nothing"));
        }
        if found.bytes.len() as u64 > MAX_BODY_BYTES {
            return Err(refused("InvalidRequest", "the copy source is larger than 5 GiB"));
        }
        let (bytes, born) = (found.bytes.clone(), object.unwrap_or(&found.born).clone());
        self.check(target, condition)?;
        let crc64 = crc_fast::checksum(Crc64Nvme, &bytes);
        let stored = self.store(target, bytes, born, crc64);
        let modified = self.objects.get(target).map(|object| object.modified);
        Ok(StoredObject { modified, ..stored })
    }

    pub(super) fn remove(&mut self, raw_key: &str, condition: &RemovalCondition) -> Result<()> {
        match (condition, self.objects.get(raw_key)) {
            _ if self.removes_always => {}
            (RemovalCondition::Present | RemovalCondition::Matches(_), None) => return Err(self.missing()),
            (RemovalCondition::Matches(etag), Some(there)) if there.pin.etag != *etag => return Err(conflict()),
            _ => {}
        }
        self.delete(raw_key);
        Ok(())
    }

    pub(super) fn remove_many(&mut self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>> {
        if !(1..=MAX_REMOVED).contains(&objects.len()) || !objects.iter().all(|(key, _)| key.fits_xml()) {
            return Err(refused("MalformedXML", "the XML you provided was not well-formed"));
        }
        let remove = |(key, pin): &(Key, Pin)| {
            match self.remove(key.as_str(), &RemovalCondition::Matches(pin.etag.clone())) {
                // An object that is already gone counts as removed.
                Err(Error::NotFound | Error::Forbidden { .. }) => Ok(()),
                answered => answered,
            }
        };
        Ok(objects.iter().map(remove).collect())
    }

    /// The object that a pin means: the current one, or, in a versioned bucket, the version that the pin names.
    fn pinned(&self, raw_key: &str, pin: Option<&Pin>) -> Result<&BucketObject> {
        let current = self.objects.get(raw_key);
        let Some(pin) = pin else { return current.ok_or_else(|| self.missing()) };
        if let Some(object) = current.filter(|object| object.pin.etag == pin.etag) {
            return Ok(object);
        }
        let older = self
            .older
            .iter()
            .find(|(name, object)| name == raw_key && pin.version.is_some() && object.pin.version == pin.version);
        match older {
            Some((_, object)) => Ok(object),
            None if current.is_some() => Err(conflict()),
            None => Err(self.missing()),
        }
    }

    fn check(&self, raw_key: &str, condition: &Condition) -> Result<()> {
        match (condition, self.objects.get(raw_key)) {
            (Condition::Absent, Some(_)) => Err(conflict()),
            (Condition::Matches(_), None) => Err(self.missing()),
            (Condition::Matches(etag), Some(there)) if there.pin.etag != *etag => Err(conflict()),
            _ => Ok(()),
        }
    }

    fn missing(&self) -> Error {
        if self.missing_is_forbidden {
            Error::Forbidden { request: "AccessDenied, memory".into() }
        } else {
            Error::NotFound
        }
    }

    fn store(&mut self, raw_key: &str, bytes: Bytes, born: NewObject, crc64: u64) -> StoredObject {
        self.serial += 1;
        let modified = self.time();
        self.store_at(raw_key, bytes, born, (etag_of(crc64, None), crc64), modified)
    }

    fn store_at(
        &mut self,
        raw_key: &str,
        bytes: Bytes,
        born: NewObject,
        (etag, crc64): (ETag, u64),
        modified: i64,
    ) -> StoredObject {
        self.withdraw(raw_key);
        self.record_change(raw_key, Some(&bytes));
        self.versions += 1;
        let version = self.versioned.then(|| VersionId(format!("version-{}", self.versions)));
        let pin = Pin { etag, version };
        let object = BucketObject { bytes, pin: pin.clone(), modified, born, archived: false };
        self.objects.insert(raw_key.to_owned(), object);
        let request_id = Some(format!("MEMORY{:010}", self.versions));
        StoredObject { pin, modified: None, crc64: Some(crc64), request_id }
    }

    fn time(&self) -> i64 {
        self.clock.unwrap_or_else(|| EPOCH + i64::from(self.serial))
    }
}

/// The payload's bytes, if they match its checksum. Copied, because a server doesn't hold its clients' buffers.
fn received(payload: &Payload) -> Result<Bytes> {
    if payload.len() > MAX_BODY_BYTES {
        return Err(refused("EntityTooLarge", "more than 5 GiB at once"));
    }
    let mut digest = Digest::new(Crc64Nvme);
    let mut bytes = BytesMut::new();
    for piece in &payload.pieces {
        digest.update(piece);
        bytes.extend_from_slice(piece);
    }
    if digest.finalize() == payload.crc64 {
        Ok(bytes.freeze())
    } else {
        Err(refused("BadDigest", "the CRC64NVME doesn't match the bytes"))
    }
}
