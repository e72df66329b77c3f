//! Open multipart uploads and S3's rules for them. The uploads live in memory. Their parts live in the same storage as
//! objects.

use super::{
    body::StoredBody,
    checksum,
    data::Data,
    error::{Error, Result},
    memory::QuotaShare,
    store::{Attributes, S3Object, now},
};
use crate::unique::unique;
use parking_lot::Mutex;
use std::{collections::BTreeMap, time::SystemTime};

/// Least size of a part, except for the last one.
pub(crate) const MIN_PART_BYTES: u64 = 5 << 20;
const MAX_PART_NUMBER: i32 = 10_000;
const MAX_OBJECT_BYTES: u64 = 5 << 40;

/// Identifies an upload. Ordered by key, then by creation, as ListMultipartUploads requires.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UploadName {
    pub(crate) bucket: String,
    pub(crate) key: String,
    pub(crate) id: String,
}

/// An open upload: the settings from its creation, and its parts.
#[derive(Debug)]
pub(crate) struct S3Upload {
    pub(crate) attributes: Attributes,
    /// Such as `CRC64NVME`, if the client named one.
    pub(crate) checksum_algorithm: Option<String>,
    /// `FULL_OBJECT` or `COMPOSITE`.
    pub(crate) checksum_type: Option<String>,
    pub(crate) initiated: SystemTime,
    /// ARN of the principal that created it.
    pub(crate) initiator: String,
    parts: BTreeMap<i32, StoredPart>,
    _charge: QuotaShare,
}

#[derive(Clone, Debug)]
pub(crate) struct StoredPart {
    pub(crate) etag: String,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) crc64: u64,
    pub(crate) modified: SystemTime,
    data: Data,
}

/// A part in the list of a CompleteMultipartUpload.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartReference {
    pub(crate) number: i32,
    pub(crate) etag: String,
    pub(crate) crc64nvme: Option<String>,
    /// True if the client sent any kind of checksum for the part.
    pub(crate) has_checksum: bool,
}

/// Claims of a CompleteMultipartUpload about the whole object.
#[derive(Clone, Debug, Default)]
pub(crate) struct Completion {
    pub(crate) parts: Vec<PartReference>,
    pub(crate) checksum_type: Option<String>,
    pub(crate) crc64nvme: Option<String>,
    /// `x-amz-mp-object-size`, in bytes.
    pub(crate) size: Option<i64>,
}

/// All uploads that are neither completed nor aborted.
#[derive(Debug, Default)]
pub(crate) struct Uploads {
    open: Mutex<BTreeMap<UploadName, S3Upload>>,
}

impl S3Upload {
    pub(crate) fn new(
        attributes: Attributes,
        checksum_algorithm: Option<String>,
        checksum_type: Option<String>,
        initiator: &str,
        charge: QuotaShare,
    ) -> Result<Self> {
        let checksum_type = match (checksum_algorithm.as_deref(), checksum_type.as_deref()) {
            (None, Some(_)) => {
                return Err(Error::InvalidRequest("A checksum type needs a checksum algorithm.".to_owned()));
            }
            (Some("CRC64NVME"), Some("COMPOSITE")) | (Some("SHA1" | "SHA256"), Some("FULL_OBJECT")) => {
                return Err(Error::InvalidRequest("The checksum type doesn't fit the checksum algorithm.".to_owned()));
            }
            (Some("CRC64NVME"), None) => Some("FULL_OBJECT".to_owned()),
            (Some(_), None) => Some("COMPOSITE".to_owned()),
            _ => checksum_type,
        };
        let (initiated, initiator, parts) = (now(), initiator.to_owned(), BTreeMap::new());
        Ok(Self { attributes, checksum_algorithm, checksum_type, initiated, initiator, parts, _charge: charge })
    }

    /// Assembles the object from the named parts.
    fn assemble(&self, completion: &Completion) -> Result<S3Object> {
        let Completion { parts: named, .. } = completion;
        let Some(last) = named.last() else { return Err(Error::MalformedList) };
        if named.is_sorted_by(|one, other| one.number < other.number) {
            let consecutive = usize::try_from(last.number).is_ok_and(|last| last == named.len());
            let checked = self.checksum_algorithm.is_some() || named.iter().any(|part| part.has_checksum);
            if checked && !consecutive {
                return Err(Error::InvalidPartOrder);
            }
        } else {
            return Err(Error::InvalidPartOrder);
        }
        let (mut size, mut crc64, mut data) = (0, 0, Data::default());
        for name in named {
            let part = self.parts.get(&name.number).filter(|part| part.etag == name.etag).ok_or(Error::InvalidPart)?;
            if checksum::judge("CRC64NVME", name.crc64nvme.as_deref(), Some(&checksum::encode(part.crc64))).is_err() {
                return Err(Error::InvalidPart);
            }
            if part.size < MIN_PART_BYTES && name.number != last.number {
                return Err(Error::EntityTooSmall);
            }
            crc64 = crc_fast::checksum_combine(crc_fast::CrcAlgorithm::Crc64Nvme, crc64, part.crc64, part.size);
            size += part.size;
            data.extents.extend_from_slice(&part.data.extents);
        }
        self.judge_whole(completion, size, crc64)?;
        let mut object = S3Object::new(size, crc64, self.attributes.clone(), data);
        object.etag = format!("{}-{}", object.etag, named.len());
        // S3 reports the creation of the upload as Last-Modified, not the completion.
        object.modified = self.initiated;
        Ok(object)
    }

    fn judge_whole(&self, completion: &Completion, size: u64, crc64: u64) -> Result<()> {
        if size > MAX_OBJECT_BYTES {
            return Err(Error::EntityTooLarge);
        }
        if let Some(claimed) = completion.size
            && u64::try_from(claimed) != Ok(size)
        {
            let text = format!("x-amz-mp-object-size says {claimed} bytes, the parts hold {size}.");
            return Err(Error::InvalidRequest(text));
        }
        if let Some(kind) = &completion.checksum_type
            && Some(kind) != self.checksum_type.as_ref()
        {
            let text = "The complete request must use the checksum type that the upload was created with.";
            return Err(Error::InvalidRequest(text.to_owned()));
        }
        checksum::judge("CRC64NVME", completion.crc64nvme.as_deref(), Some(&checksum::encode(crc64)))
    }
}

impl Uploads {
    /// Creates an upload and returns its id.
    pub(crate) fn create(&self, bucket: &str, key: &str, upload: S3Upload) -> String {
        let id = unique();
        let name = UploadName { bucket: bucket.to_owned(), key: key.to_owned(), id: id.clone() };
        self.open.lock().insert(name, upload);
        id
    }

    /// Checks, before the body is read, that the upload accepts a part of this number.
    pub(crate) fn check_part(&self, name: &UploadName, number: i32) -> Result<()> {
        if !(1..=MAX_PART_NUMBER).contains(&number) {
            return Err(Error::InvalidArgument("Part number must be an integer between 1 and 10000, inclusive"));
        }
        self.look(name, |_| ())
    }

    /// Stores a part and replaces an earlier one with its number.
    pub(crate) fn put_part(&self, name: &UploadName, number: i32, taken: StoredBody) -> Result<StoredPart> {
        let StoredBody { data, size, crc64 } = taken;
        let part = StoredPart { etag: unique(), size, crc64, modified: now(), data };
        let mut open = self.open.lock();
        let upload = open.get_mut(name).ok_or(Error::NoSuchUpload)?;
        let replaced = upload.parts.insert(number, part.clone());
        drop(open);
        drop(replaced);
        Ok(part)
    }

    /// Applies `view` to an upload.
    pub(crate) fn look<T>(&self, name: &UploadName, view: impl FnOnce(&S3Upload) -> T) -> Result<T> {
        self.open.lock().get(name).map(view).ok_or(Error::NoSuchUpload)
    }

    /// Assembles the object and passes it to `publish`, then removes the upload. On any failure the upload stays open.
    pub(crate) fn complete<T>(
        &self,
        name: &UploadName,
        completion: &Completion,
        publish: impl FnOnce(S3Object) -> Result<T>,
    ) -> Result<T> {
        let mut open = self.open.lock();
        let object = open.get(name).ok_or(Error::NoSuchUpload)?.assemble(completion)?;
        // The upload is removed before `publish`, so the second of two concurrent completions finds no upload.
        let upload = open.remove(name);
        drop(open);
        let published = publish(object);
        if let (Err(_), Some(upload)) = (&published, upload) {
            self.open.lock().insert(name.clone(), upload);
        }
        published
    }

    /// Removes an upload with its parts.
    pub(crate) fn abort(&self, name: &UploadName) -> Result<()> {
        let upload = self.open.lock().remove(name);
        upload.map(drop).ok_or(Error::NoSuchUpload)
    }

    /// Returns up to `max` uploads of a bucket after a key and an id, and true if there are more.
    pub(crate) fn list(
        &self,
        bucket: &str,
        prefix: &str,
        after: (&str, Option<&str>),
        max: usize,
    ) -> (Vec<ListedUpload>, bool) {
        let open = self.open.lock();
        let mut listed = open
            .iter()
            .filter(|(name, _)| name.bucket == bucket && name.key.starts_with(prefix))
            .filter(|(name, _)| match after {
                (key, None) => name.key.as_str() > key,
                (key, Some(id)) => (name.key.as_str(), name.id.as_str()) > (key, id),
            })
            .map(|(name, upload)| ListedUpload {
                name: name.clone(),
                initiated: upload.initiated,
                initiator: upload.initiator.clone(),
            });
        let page = listed.by_ref().take(max).collect();
        (page, listed.next().is_some())
    }
}

impl S3Upload {
    /// Returns up to `max` parts after a number, and true if there are more.
    pub(crate) fn parts(&self, after: i32, max: usize) -> (Vec<(i32, StoredPart)>, bool) {
        let mut parts = self.parts.range(after.saturating_add(1)..).map(|(number, part)| (*number, part.clone()));
        let page = parts.by_ref().take(max).collect();
        (page, parts.next().is_some())
    }
}

/// An open upload as a listing shows it.
#[derive(Debug)]
pub(crate) struct ListedUpload {
    pub(crate) name: UploadName,
    pub(crate) initiated: SystemTime,
    pub(crate) initiator: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::memory::Quota;
    use std::time::{Duration, UNIX_EPOCH};

    const INITIATOR: &str = "arn:aws:iam::111122223333:user/alice";

    fn uploads(algorithm: Option<&str>) -> (Uploads, UploadName) {
        let charge = Quota::new(1).charge(1).unwrap();
        let algorithm = algorithm.map(str::to_owned);
        let upload = S3Upload::new(Attributes::default(), algorithm, None, INITIATOR, charge).unwrap();
        let uploads = Uploads::default();
        let id = uploads.create("bucket", "key", upload);
        (uploads, UploadName { bucket: "bucket".to_owned(), key: "key".to_owned(), id })
    }

    fn put(uploads: &Uploads, name: &UploadName, number: i32, size: u64) -> PartReference {
        let part = uploads.put_part(name, number, StoredBody { data: Data::default(), size, crc64: 0 }).unwrap();
        PartReference { number, etag: part.etag, ..PartReference::default() }
    }

    fn complete(uploads: &Uploads, name: &UploadName, parts: &[PartReference]) -> Result<S3Object> {
        let completion = Completion { parts: parts.to_vec(), ..Completion::default() };
        uploads.complete(name, &completion, Ok)
    }

    #[test]
    fn an_upload_whose_publication_fails_stays_open() {
        let (uploads, name) = uploads(None);
        let completion = Completion { parts: vec![put(&uploads, &name, 1, 1)], ..Completion::default() };
        let failed = uploads.complete(&name, &completion, |_| Err::<(), _>(Error::PreconditionFailed));
        assert!(matches!(failed, Err(Error::PreconditionFailed)));
        assert_eq!(uploads.complete(&name, &completion, |object| Ok(object.size)).unwrap(), 1);
        assert!(matches!(uploads.complete(&name, &completion, Ok), Err(Error::NoSuchUpload)));
    }

    #[test]
    fn an_object_in_parts_has_the_time_at_which_its_upload_began() {
        let (uploads, name) = uploads(None);
        let part = put(&uploads, &name, 1, 1);
        let began = UNIX_EPOCH + Duration::from_hours(1);
        uploads.open.lock().get_mut(&name).unwrap().initiated = began;
        assert_eq!(complete(&uploads, &name, &[part]).unwrap().modified, began);
    }

    #[test]
    fn an_upload_is_its_own_while_it_is_completed() {
        let (uploads, name) = uploads(None);
        let part = put(&uploads, &name, 1, 1);
        let completion = Completion { parts: vec![part.clone()], ..Completion::default() };
        let second = uploads.complete(&name, &completion, |_| Ok(complete(&uploads, &name, &[part])));
        assert!(matches!(second, Ok(Err(Error::NoSuchUpload))), "only one of two completions publishes");
    }

    #[test]
    fn a_checksum_of_the_wrong_kind_is_refused_at_the_beginning() {
        let begin = |algorithm: Option<&str>, kind: &str| {
            let charge = Quota::new(1).charge(1).unwrap();
            let algorithm = algorithm.map(str::to_owned);
            S3Upload::new(Attributes::default(), algorithm, Some(kind.to_owned()), INITIATOR, charge)
        };
        assert!(begin(Some("CRC64NVME"), "FULL_OBJECT").is_ok());
        assert!(begin(Some("CRC64NVME"), "COMPOSITE").is_err());
        assert!(begin(Some("SHA256"), "FULL_OBJECT").is_err());
        assert!(begin(None, "FULL_OBJECT").is_err());
    }

    #[test]
    fn numbers_may_have_gaps_only_without_checksums() {
        for (algorithm, allowed) in [(None, true), (Some("CRC64NVME"), false)] {
            let (uploads, name) = uploads(algorithm);
            let parts = [put(&uploads, &name, 2, MIN_PART_BYTES), put(&uploads, &name, 7, 1)];
            assert_eq!(complete(&uploads, &name, &parts).is_ok(), allowed);
        }
    }
}
