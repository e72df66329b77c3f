//! A bucket with one object of zeros and one directory, which may both be larger than memory. Everything else is in
//! memory. A copy that replaces the object isn't stored: the bucket only records its parts.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};
use wharfinger::{
    name::{BucketId, Key, Prefix},
    policy::TenantUsage,
    store::{
        Body, Bucket, Condition, ETag, Error, Headers, ListScope, ListedObject, NewObject, Object, Page, PageToken,
        Part, PartsPage, Payload, Pin, Read, RemovalCondition, Result, StoredObject, UploadId, UploadsPage,
        UploadsToken,
    },
    testing::MemoryBucket,
    upload::MIN_PART_BYTES,
};

static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
/// Prefix of the large directory.
const MANY: &str = "acme/many/";

pub struct Sparse {
    inner: Arc<MemoryBucket>,
    name: &'static str,
    size: u64,
    gets: Mutex<Vec<Range<u64>>>,
    copies: Mutex<Vec<Range<u64>>>,
    completed: Mutex<Vec<u64>>,
    fetched_bytes: Arc<AtomicU64>,
    names: usize,
    listed: AtomicUsize,
}

impl Sparse {
    pub fn new(inner: Arc<MemoryBucket>, name: &'static str, size: u64, names: usize) -> Self {
        Self {
            inner,
            name,
            size,
            names,
            gets: Mutex::default(),
            copies: Mutex::default(),
            completed: Mutex::default(),
            fetched_bytes: Arc::default(),
            listed: AtomicUsize::default(),
        }
    }

    /// Ranges of all GETs of the object.
    pub fn gets(&self) -> Vec<Range<u64>> {
        self.gets.lock().clone()
    }

    /// Ranges of the object that became parts of its next version, in order.
    pub fn copies(&self) -> Vec<Range<u64>> {
        let mut copies = self.copies.lock().clone();
        copies.sort_by_key(|range| range.start);
        copies
    }

    /// Sizes of the parts of the object's next version.
    pub fn completed(&self) -> Vec<u64> {
        self.completed.lock().clone()
    }

    /// Bytes of the object that readers have taken from GETs so far.
    pub fn fetched_bytes(&self) -> u64 {
        self.fetched_bytes.load(Ordering::Relaxed)
    }

    /// Number of names of the large directory that were listed so far.
    pub fn listed(&self) -> usize {
        self.listed.load(Ordering::Relaxed)
    }

    /// Makes a page of the large directory. Every tenth name is a directory.
    fn page(&self, after: Option<&PageToken>, max_keys: u16) -> Page {
        let start = after.map_or(0, |(PageToken::Continuation(name) | PageToken::After(name))| name.parse().unwrap());
        let end = self.names.min(start + usize::from(max_keys));
        self.listed.fetch_add(end - start, Ordering::Relaxed);
        let mut page =
            Page { next: (end < self.names).then(|| PageToken::Continuation(end.to_string())), ..Page::default() };
        for number in start..end {
            let raw_key = format!("{MANY}{number:07}");
            if number % 10 == 0 {
                page.directories.push(raw_key + "/");
            } else {
                let etag = ETag(format!("\"{number:032x}\""));
                page.objects.push(ListedObject { raw_key, size: number as u64, etag, modified: 0 });
            }
        }
        page
    }

    fn object(&self) -> Object {
        let pin = Pin { etag: ETag("\"sparse\"".into()), version: None };
        Object {
            size: self.size,
            pin,
            modified: 0,
            metadata: BTreeMap::new(),
            headers: Headers::default(),
            archived: false,
        }
    }

    fn is_sparse(&self, key: &Key) -> bool {
        self.size > 0 && key.as_str() == self.name
    }

    fn body(&self, range: &Range<u64>) -> Body {
        let (range, fetched_bytes) = (range.clone(), Arc::clone(&self.fetched_bytes));
        stream::unfold(range, move |left| {
            let len = usize::try_from(left.end - left.start).unwrap().min(ZEROS.len());
            let piece = Bytes::from_static(&ZEROS[..len]);
            fetched_bytes.fetch_add(len as u64, Ordering::Relaxed);
            std::future::ready((len > 0).then(|| (Ok(piece), left.start + len as u64..left.end)))
        })
        .boxed()
    }
}

impl fmt::Debug for Sparse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sparse").finish_non_exhaustive()
    }
}

#[async_trait]
impl Bucket for Sparse {
    fn id(&self) -> &BucketId {
        self.inner.id()
    }

    fn usage(&self) -> &Arc<TenantUsage> {
        self.inner.usage()
    }

    async fn head(&self, key: &Key) -> Result<Object> {
        if self.is_sparse(key) { Ok(self.object()) } else { self.inner.head(key).await }
    }

    async fn read(&self, key: &Key, range: Range<u64>, pin: Option<&Pin>) -> Result<Read> {
        if !self.is_sparse(key) {
            return self.inner.read(key, range, pin).await;
        }
        self.gets.lock().push(range.clone());
        // An answer takes a moment, like S3's.
        tokio::task::yield_now().await;
        if range.start >= self.size {
            return Err(Error::RangeNotSatisfiable { size: Some(self.size) });
        }
        let range = range.start..range.end.min(self.size);
        Ok(Read { object: self.object(), body: self.body(&range), range })
    }

    async fn put(&self, key: &Key, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject> {
        self.inner.put(key, payload, object, condition).await
    }

    async fn create_upload(&self, key: &Key, object: &NewObject) -> Result<UploadId> {
        self.inner.create_upload(key, object).await
    }

    async fn create_copy(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId> {
        self.inner.create_copy(key, source, pin, object).await
    }

    async fn upload_part(&self, key: &Key, upload: &UploadId, number: u32, payload: Payload) -> Result<Part> {
        self.inner.upload_part(key, upload, number, payload).await
    }

    async fn copy_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        source: &Key,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Part> {
        if !self.is_sparse(source) {
            return self.inner.copy_part(key, upload, number, source, pin, range).await;
        }
        assert!(*pin == self.object().pin && !range.is_empty() && range.end <= self.size, "{range:?}");
        self.copies.lock().push(range.clone());
        Ok(Part { number, etag: ETag("\"copied\"".into()), size: range.end - range.start, crc64: None })
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject> {
        if !self.is_sparse(key) {
            return self.inner.complete_upload(key, upload, parts, condition).await;
        }
        let object = self.object();
        assert_eq!(condition, Condition::Matches(object.pin.etag.clone()));
        assert!(parts.iter().zip(1..).all(|(part, number)| part.number == number));
        assert!(parts.iter().rev().skip(1).all(|part| part.size >= MIN_PART_BYTES));
        *self.completed.lock() = parts.iter().map(|part| part.size).collect();
        self.inner.abort_upload(key, upload).await?;
        Ok(StoredObject { pin: object.pin, modified: None, crc64: None, request_id: None })
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId, after: u32) -> Result<PartsPage> {
        self.inner.list_parts(key, upload, after).await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadsToken>) -> Result<UploadsPage> {
        self.inner.list_uploads(prefix, after).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        self.inner.abort_upload(key, upload).await
    }

    async fn copy(
        &self,
        source: &Key,
        pin: &Pin,
        target: &Key,
        object: Option<&NewObject>,
        condition: Condition,
    ) -> Result<StoredObject> {
        self.inner.copy(source, pin, target, object, condition).await
    }

    async fn remove(&self, key: &Key, condition: RemovalCondition) -> Result<()> {
        self.inner.remove(key, condition).await
    }

    async fn remove_many(&self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>> {
        self.inner.remove_many(objects).await
    }

    async fn list(&self, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Result<Page> {
        if let ListScope::Directory(prefix) = scope
            && prefix.as_str() == MANY
        {
            return Ok(self.page(after, max_keys));
        }
        self.inner.list(scope, after, max_keys).await
    }
}
