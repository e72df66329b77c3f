//! The trait for one bucket. It has the few verbs that the file server needs.
//!
//! Implementations: `s3/` (the SDK), and for tests `testing/bucket`, and `testing/faulty` over any other. They retry
//! every request that is safe to retry. A caller never retries a verb.

use super::Result;
use crate::{
    name::{BucketId, Key, Prefix},
    policy::TenantUsage,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use std::{collections::BTreeMap, fmt, ops::Range, sync::Arc};

/// One bucket, reached with the credentials of one mount. Object-safe: `Arc<dyn Bucket>`.
///
/// Every method but [`id`](Self::id) and [`usage`](Self::usage) is one S3 request, so that counts of calls are counts of
/// requests.
#[async_trait]
pub trait Bucket: Send + Sync + fmt::Debug {
    /// The bucket's identity, independent of the credentials.
    fn id(&self) -> &BucketId;

    /// The daily usage of the tenant that the requests are charged to. The bucket charges its requests itself; the
    /// engines charge bytes.
    fn usage(&self) -> &Arc<TenantUsage>;

    /// `HeadObject`.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound) for 404, [`Error::Forbidden`](super::Error::Forbidden) for 403.
    async fn head(&self, key: &Key) -> Result<Object>;

    /// `GetObject` of `range` (in bytes, end exclusive; S3 truncates it at the object's end), pinned to `pin` by
    /// `If-Match`. Returns when the headers are there; the body streams.
    ///
    /// If the object was overwritten or removed and the pin has a version, one more request asks for that version. It
    /// isn't sent first, because it needs a permission of its own (`s3:GetObjectVersion`).
    ///
    /// # Errors
    /// [`Error::Conflict`](super::Error::Conflict) if the object is no longer the pinned one,
    /// [`Error::RangeNotSatisfiable`](super::Error::RangeNotSatisfiable) for a range behind the end, and so for every
    /// range of an empty object.
    async fn read(&self, key: &Key, range: Range<u64>, pin: Option<&Pin>) -> Result<Read>;

    /// `PutObject`.
    async fn put(&self, key: &Key, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject>;

    /// `CreateMultipartUpload`. Metadata, type and checksum kind are fixed here.
    async fn create_upload(&self, key: &Key, object: &NewObject) -> Result<UploadId>;

    /// [`create_upload`](Self::create_upload) of a copy in parts. Type, tags and headers are those of `source`, if it
    /// still is `pin`; the metadata are `object`'s. Before it, one request reads the headers, and one more the tags if
    /// there are any.
    ///
    /// # Errors
    /// [`Error::Conflict`](super::Error::Conflict) if the source is no longer the pinned one.
    async fn create_copy(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId>;

    /// `UploadPart`. Parts are numbered from 1 without gaps; all but the last have at least 5 MiB.
    async fn upload_part(&self, key: &Key, upload: &UploadId, number: u32, payload: Payload) -> Result<Part>;

    /// `UploadPartCopy`: S3 copies a part from `range` (in bytes, end exclusive, not empty, at most 5 GiB) of `source`,
    /// an object of this bucket, if it still is `pin`. S3 requires a source of more than 5 MiB.
    ///
    /// # Errors
    /// [`Error::Conflict`](super::Error::Conflict) if the source is no longer the pinned one.
    async fn copy_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        source: &Key,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Part>;

    /// `CompleteMultipartUpload`; `parts` in the order of their numbers.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound) if there is no such upload. S3 also answers so if an answer was lost
    /// and the retry of a completed upload arrives.
    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject>;

    /// One page of `ListParts`, at most 1,000 stored parts, that begins after the part number `after`.
    ///
    /// # Errors
    /// [`Error::NotFound`](super::Error::NotFound) if there is no such upload.
    async fn list_parts(&self, key: &Key, upload: &UploadId, after: u32) -> Result<PartsPage>;

    /// One page of `ListMultipartUploads` below `prefix`, at most 1,000 uploads. It needs a permission that shows the
    /// names of the whole bucket. No session has that permission.
    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadsToken>) -> Result<UploadsPage>;

    /// `AbortMultipartUpload`. Succeeds if the upload is already gone.
    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()>;

    /// `CopyObject` within the bucket, of at most 5 GiB, if the source still is `pin`. Tags are kept. Metadata and
    /// headers are kept too, unless `object` replaces them.
    async fn copy(
        &self,
        source: &Key,
        pin: &Pin,
        target: &Key,
        object: Option<&NewObject>,
        condition: Condition,
    ) -> Result<StoredObject>;

    /// `DeleteObject`. A try that got no answer is sent again. If the object is gone by then, this request counts as
    /// the one that removed it.
    ///
    /// # Errors
    /// With a condition, three errors mean that this request removed nothing:
    /// [`Error::NotFound`](super::Error::NotFound) if there is no object, [`Error::Forbidden`](super::Error::Forbidden)
    /// if there may be none, as for [`head`](Self::head), and [`Error::Conflict`](super::Error::Conflict) if another
    /// version is there, or, on some stores, no object. Without a condition, a missing object is no error, as in S3.
    async fn remove(&self, key: &Key, condition: RemovalCondition) -> Result<()>;

    /// `DeleteObjects`, of 1 to 1,000 objects, each only if it still is this version. Returns a result for each of
    /// them, in their order. A missing object is no error. If XML can't carry one of the names ([`Key::fits_xml`]), S3
    /// refuses them all.
    async fn remove_many(&self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>>;

    /// One page of `ListObjectsV2`, of at most `max_keys` (≤ 1,000) names.
    async fn list(&self, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Result<Page>;
}

/// The keys that a listing covers.
#[derive(Clone, Copy, Debug)]
pub enum ListScope<'a> {
    /// The entries of a directory: `delimiter=/` below the prefix.
    Directory(&'a Prefix),
    /// Every key below the prefix, at any depth.
    Below(&'a Prefix),
    /// Every key that begins with this key: itself first, if it exists, then its neighbours.
    StartingWith(&'a Key),
}

impl ListScope<'_> {
    /// The `prefix` parameter.
    #[must_use]
    pub(crate) fn prefix(&self) -> &str {
        match self {
            Self::Directory(prefix) | Self::Below(prefix) => prefix.as_str(),
            Self::StartingWith(key) => key.as_str(),
        }
    }
}

/// The start of a listing's next page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PageToken {
    /// S3's `NextContinuationToken`; opaque.
    Continuation(String),
    /// The names behind this key: `start-after`.
    After(String),
}

impl PageToken {
    /// The memory of the token, in bytes.
    #[must_use]
    pub(crate) fn capacity(&self) -> usize {
        match self {
            Self::Continuation(text) | Self::After(text) => text.capacity(),
        }
    }
}

/// One page of a listing. Names are raw: `Prefix::adopt` makes keys of them.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// Objects, in the order of their UTF-8 bytes.
    pub objects: Vec<ListedObject>,
    /// Common prefixes (`dir/sub/`), in the order of their UTF-8 bytes; empty but for [`ListScope::Directory`].
    pub directories: Vec<String>,
    /// The next page, if there is one.
    pub next: Option<PageToken>,
}

/// An object as a listing shows it.
#[derive(Clone, Debug)]
pub struct ListedObject {
    /// The whole key, as S3 has it.
    pub raw_key: String,
    /// In bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: ETag,
    /// Last modification, in seconds since 1970.
    pub modified: i64,
}

/// An entity tag, with its quotes, as S3 wrote it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ETag(pub String);

/// A version of an object in a versioned bucket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VersionId(pub String);

/// The one version of an object on which an operation works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// Sent as `If-Match`.
    pub etag: ETag,
    /// In a bucket that keeps versions, the version to read when the object is overwritten.
    pub version: Option<VersionId>,
}

/// An object as HEAD and GET describe it.
#[derive(Clone, Debug)]
pub struct Object {
    /// The whole object's size in bytes, even if only a range was read.
    pub size: u64,
    /// Its tag and version.
    pub pin: Pin,
    /// `Last-Modified`, in seconds since 1970.
    pub modified: i64,
    /// User metadata (`x-amz-meta-…`) without the prefix, keys in lower case.
    pub metadata: BTreeMap<String, String>,
    /// The HTTP headers of the object. Only a HEAD returns them.
    pub headers: Headers,
    /// True if the object is archived and can't be read before it is restored.
    pub archived: bool,
}

/// The stream of an object's bytes.
pub type Body = BoxStream<'static, Result<Bytes>>;

/// The answer to a GET.
pub struct Read {
    /// The object that the bytes belong to.
    pub object: Object,
    /// The range of the bytes that follow: the requested one, truncated at the object's end.
    pub range: Range<u64>,
    /// The bytes. A body that ends early yields an error, never just an end.
    pub body: Body,
}

impl fmt::Debug for Read {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Read").field("object", &self.object).field("range", &self.range).finish_non_exhaustive()
    }
}

/// Bytes to be sent, in pieces that need not be joined, with their CRC64NVME.
///
/// Cloning is cheap (reference counts), so that a request can be sent again.
#[derive(Clone, Debug, Default)]
pub struct Payload {
    /// The bytes, in order.
    pub pieces: Vec<Bytes>,
    /// CRC-64/NVME over all pieces.
    pub crc64: u64,
}

impl Payload {
    /// The payload of these pieces; computes their checksum.
    #[must_use]
    pub fn new(pieces: Vec<Bytes>) -> Self {
        let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc64Nvme);
        for piece in &pieces {
            digest.update(piece);
        }
        Self { crc64: digest.finalize(), pieces }
    }

    /// The sum of the pieces' lengths, in bytes.
    #[must_use]
    pub(crate) fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }
}

/// The headers that HTTP readers of an object get. Other programs set them; this server only keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// `Cache-Control`.
    pub cache_control: Option<String>,
    /// `Content-Disposition`.
    pub content_disposition: Option<String>,
    /// `Content-Encoding`.
    pub content_encoding: Option<String>,
    /// `Content-Language`.
    pub content_language: Option<String>,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Expires`, an HTTP date.
    pub expires: Option<String>,
    /// `x-amz-website-redirect-location`.
    pub website_redirect_location: Option<String>,
}

/// The attributes that a new object gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewObject {
    /// User metadata (`x-amz-meta-…`) without the prefix: `mtime` (seconds, as rclone and s3fs write it), `mode`
    /// (decimal, as s3fs writes it) and `wharfinger-upload`. The last is a random token that tells our own success from
    /// another client's after an answer was lost.
    pub metadata: BTreeMap<String, String>,
    /// The HTTP headers of the object.
    pub headers: Headers,
}

impl NewObject {
    /// The metadata key of the token that tells our uploads from those of others.
    pub const TOKEN: &'static str = "wharfinger-upload";
    /// S3's limit on user metadata, in bytes.
    pub(crate) const MAX_METADATA_BYTES: usize = 2 << 10;
    /// The length of a token that [`add_token`](Self::add_token) gives.
    const TOKEN_BYTES: usize = 32;

    /// Gives it a new token.
    ///
    /// # Errors
    /// [`Error::Broken`](super::Error::Broken) if the system has no random bytes.
    pub(crate) fn add_token(&mut self) -> Result<()> {
        let mut token = [0; 16];
        getrandom::fill(&mut token).map_err(|error| super::Error::Broken(format!("no random token: {error}")))?;
        self.metadata.insert(Self::TOKEN.to_owned(), hex::encode(token));
        Ok(())
    }

    /// Adds an entry to the metadata, unless they would exceed S3's limit with a token.
    pub(crate) fn add_if_fits(&mut self, name: &str, value: &str) {
        let others = self.metadata.iter().filter(|(other, _)| ![Self::TOKEN, name].contains(&other.as_str()));
        let others: usize = others.map(|(name, value)| name.len() + value.len()).sum();
        let added = name.len() + value.len() + Self::TOKEN.len() + Self::TOKEN_BYTES;
        if others + added <= Self::MAX_METADATA_BYTES {
            self.metadata.insert(name.to_owned(), value.to_owned());
        }
    }

    /// The token, if one was set.
    #[must_use]
    pub(crate) fn token(&self) -> Option<&str> {
        self.metadata.get(Self::TOKEN).map(String::as_str)
    }
}

/// The condition of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Replace the current object, if any.
    Always,
    /// `If-None-Match: *`: write only if there is no object.
    Absent,
    /// `If-Match`: write only if the object still is this version.
    Matches(ETag),
}

/// The condition of a removal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RemovalCondition {
    /// Remove the current object, if any.
    Always,
    /// `If-Match: *`: remove only if there is an object. Doesn't need `s3:GetObject`.
    Present,
    /// `If-Match`: remove only if the object still is this version. Needs `s3:GetObject` too.
    Matches(ETag),
}

/// An open multipart upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadId(pub String);

/// A part that S3 has stored.
#[derive(Clone, Debug)]
pub struct Part {
    /// 1 or more, without gaps.
    pub number: u32,
    /// The ETag that `CompleteMultipartUpload` must name.
    pub etag: ETag,
    /// In bytes.
    pub size: u64,
    /// CRC-64/NVME of the part. The values of all parts combine to the object's. `None` for a copied part if the store
    /// doesn't report it.
    pub crc64: Option<u64>,
}

/// One page of an upload's parts.
#[derive(Clone, Debug, Default)]
pub struct PartsPage {
    /// In the order of their numbers, which may have gaps here.
    pub parts: Vec<Part>,
    /// True if more parts follow the last one.
    pub more: bool,
}

/// One page of the uploads that are open.
#[derive(Clone, Debug, Default)]
pub struct UploadsPage {
    /// In the order of the UTF-8 bytes of their keys.
    pub uploads: Vec<MultipartUpload>,
    /// The next page, if there is one.
    pub next: Option<UploadsToken>,
}

/// An upload as `ListMultipartUploads` shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultipartUpload {
    /// The whole key, as S3 has it.
    pub raw_key: String,
    /// S3's id of the upload.
    pub upload: UploadId,
    /// In seconds since 1970.
    pub initiated: i64,
    /// The initiator of the upload: of a role's session `arn:aws:sts::ACCOUNT:assumed-role/ROLE/SESSION`. `None` if the
    /// store doesn't report it.
    pub initiator: Option<String>,
}

/// The start of the next page of open uploads; opaque.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadsToken {
    /// `key-marker`.
    pub(crate) key: String,
    /// `upload-id-marker`.
    pub(crate) upload: String,
}

/// S3's answer after it stored an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredObject {
    /// The new object's tag and version.
    pub pin: Pin,
    /// `LastModified`, in seconds since 1970. S3 reports it only for a `CopyObject`.
    pub modified: Option<i64>,
    /// The CRC64NVME of the whole object, if the answer has it.
    pub crc64: Option<u64>,
    /// S3's id of the request that stored the object. `None` if its answer was lost, or the store gives no ids.
    pub request_id: Option<String>,
}

impl StoredObject {
    /// The stored object as a HEAD describes it, after the answer to the write was lost.
    pub(crate) fn described(object: Object) -> Self {
        Self { pin: object.pin, modified: Some(object.modified), crc64: None, request_id: None }
    }
}
