//! A bucket in memory, for tests. It behaves as S3 does in all that the server relies on, records every request, and
//! fails or waits when a test says so. It is no cache and no storage for a server.
//!
//! Invariant: it refuses every request that S3 refuses, with the same error, checksums and part rules included. So code
//! that passes here passes on S3.

mod bucket_object;
mod contents;
mod listing;
mod refusal;
mod script;
#[cfg(test)]
mod tests;
mod uploads;

pub use contents::ObjectChange;
pub use script::{BodyFault, Hold, Moment, ReceivedRequest, Verb};

use crate::{
    name::{BucketId, Key, Prefix},
    policy::TenantUsage,
    store::{
        Body, Bucket, Condition, Error, Headers, ListScope, NewObject, Object, Page, PageToken, Part, PartsPage,
        Payload, Pin, Read, RemovalCondition, Result, StoredObject, UploadId, UploadsPage, UploadsToken,
    },
};
use async_trait::async_trait;
use bytes::Bytes;
use contents::Contents;
use futures_util::{StreamExt, stream};
use parking_lot::{Mutex, MutexGuard};
use script::Script;
use std::{collections::BTreeMap, ops::Range, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};

/// The size of the pieces of a body, in bytes: small enough that readers see several of them.
const BODY_PIECE_BYTES: usize = 64 * 1024;

/// A bucket in memory. Share it as `Arc<MemoryBucket>`, and give clones of the `Arc` to the code under test.
#[derive(Debug)]
pub struct MemoryBucket {
    id: BucketId,
    usage: Arc<TenantUsage>,
    contents: Mutex<Contents>,
    script: Script,
}

impl Default for MemoryBucket {
    fn default() -> Self {
        let (contents, script) = (Mutex::default(), Script::default());
        Self { id: BucketId::in_store("memory", "bucket"), usage: TenantUsage::unlimited(), contents, script }
    }
}

/// Setting up and scripting.
impl MemoryBucket {
    /// An empty bucket without versions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty bucket that keeps versions: a read whose pin names a version continues with it after an overwrite.
    #[must_use]
    pub fn versioned() -> Self {
        let bucket = Self::default();
        bucket.contents().versioned = true;
        bucket
    }

    /// An empty bucket of a tenant with this usage. It charges no requests.
    #[must_use]
    pub fn used_by(usage: Arc<TenantUsage>) -> Self {
        Self { usage, ..Self::default() }
    }

    /// From now on HEAD and GET of a missing key return 403, as S3 does to a session whose policy limits `s3:prefix`.
    pub fn forbid_missing(&self) {
        self.contents().missing_is_forbidden = true;
    }

    /// From now on the first page of each listing is empty and has a token, as S3's may be.
    pub fn begin_listings_empty(&self) {
        self.contents().listings_begin_empty = true;
    }

    /// From now on a DELETE ignores its condition, as some stores with S3's protocol do.
    pub fn ignore_removal_conditions(&self) {
        self.contents().removes_always = true;
    }

    /// From now on uploads are begun by `arn`, as a list of them shows it. Before that the list shows no initiator.
    pub fn initiate_as(&self, arn: &str) {
        self.contents().initiator = Some(arn.to_owned());
    }

    /// Stops the clock at this time, in seconds since 1970, until a test sets another.
    pub fn set_time(&self, seconds: i64) {
        self.contents().clock = Some(seconds);
    }

    /// The next request of `verb` gets `error`: before S3 acted on it, or instead of the answer to its success. Several
    /// calls queue up.
    pub fn fail(&self, verb: Verb, moment: Moment, error: Error) {
        self.script.fail(verb, moment, error);
    }

    /// Drops the faults of [`fail`](Self::fail) that no request has met yet.
    pub fn forget_faults(&self) {
        self.script.forget_faults();
    }

    /// From now on changes of objects are recorded, for [`changes`](Self::changes).
    pub fn record_changes(&self) {
        self.contents().changes = Some(Vec::new());
    }

    /// From now on requests of `verb` wait at `moment`, until the hold releases them.
    #[must_use]
    pub fn hold(&self, verb: Verb, moment: Moment) -> Hold {
        self.script.hold(verb, moment)
    }

    /// Requests of `verb` about this key wait before S3 acts on them.
    #[must_use]
    pub fn hold_key(&self, verb: Verb, raw_key: &str) -> Hold {
        self.script.hold_key(verb, raw_key)
    }

    /// The next request of `verb` about this key fails before S3 acts on it. Several calls queue up.
    pub fn fail_key(&self, verb: Verb, raw_key: &str, error: Error) {
        self.script.fail_key(verb, raw_key, error);
    }

    /// The body of the next GET breaks after `after_bytes`.
    pub fn break_body(&self, after_bytes: usize) {
        self.spoil_body(BodyFault::Break(after_bytes));
    }

    /// The body of the next GET has this fault. Several calls queue up.
    pub fn spoil_body(&self, fault: BodyFault) {
        self.script.spoil_body(fault);
    }

    /// From now on every answer takes this long, on the clock of the runtime, which a test pauses.
    pub fn answer_after(&self, latency: Duration) {
        self.answer_within(latency..latency);
    }

    /// From now on each answer takes a different time within this range, on the same clock.
    pub fn answer_within(&self, latency: Range<Duration>) {
        self.script.answer_within(latency);
    }

    /// From now on each body comes at this speed, on the same clock.
    pub fn send_at(&self, bytes_per_second: u64) {
        self.script.send_at(bytes_per_second);
    }

    /// Puts an object there as another program would: any name, no request recorded.
    pub fn insert(&self, raw_key: &str, bytes: impl Into<Bytes>) -> StoredObject {
        self.insert_with(raw_key, bytes, BTreeMap::new())
    }

    /// [`insert`](Self::insert) with user metadata.
    pub fn insert_with(
        &self,
        raw_key: &str,
        bytes: impl Into<Bytes>,
        metadata: BTreeMap<String, String>,
    ) -> StoredObject {
        self.contents().insert(raw_key, bytes.into(), metadata)
    }

    /// Deletes an object as another program would. Returns `true` if there was one.
    pub fn delete(&self, raw_key: &str) -> bool {
        self.contents().delete(raw_key)
    }

    /// Replaces an object's headers as another program would. Returns `true` if there is such an object.
    pub fn set_headers(&self, raw_key: &str, headers: Headers) -> bool {
        self.contents().set_headers(raw_key, headers)
    }

    /// Moves an object to an archive, so that it can't be read. Returns `true` if there is such an object.
    pub fn archive(&self, raw_key: &str) -> bool {
        self.contents().archive(raw_key)
    }
}

/// Observing.
impl MemoryBucket {
    /// Every request so far, in the order of arrival.
    #[must_use]
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.script.requests()
    }

    /// The verbs of all requests so far, in the order of arrival.
    #[must_use]
    pub fn verbs(&self) -> Vec<Verb> {
        self.requests().iter().map(|request| request.verb).collect()
    }

    /// The number of requests of `verb` so far.
    #[must_use]
    pub fn count(&self, verb: Verb) -> usize {
        self.requests().iter().filter(|request| request.verb == verb).count()
    }

    /// The changes of objects since [`record_changes`](Self::record_changes), by any client, in their order.
    #[must_use]
    pub fn changes(&self) -> Vec<ObjectChange> {
        self.contents().changes.clone().unwrap_or_default()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        self.script.forget();
    }

    /// Waits until `count` requests of `verb` arrived, held ones included.
    pub async fn arrived(&self, verb: Verb, count: usize) {
        self.script.arrived(verb, count).await;
    }

    /// An object's bytes.
    #[must_use]
    pub fn bytes(&self, raw_key: &str) -> Option<Bytes> {
        self.contents().current(raw_key).map(|object| object.bytes.clone())
    }

    /// An object's user metadata.
    #[must_use]
    pub fn metadata(&self, raw_key: &str) -> Option<BTreeMap<String, String>> {
        self.contents().current(raw_key).map(|object| object.born.metadata.clone())
    }

    /// An object's headers.
    #[must_use]
    pub fn headers(&self, raw_key: &str) -> Option<Headers> {
        self.contents().current(raw_key).map(|object| object.born.headers.clone())
    }

    /// All keys, in the order of their UTF-8 bytes.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        self.contents().objects.keys().cloned().collect()
    }

    /// The number of open multipart uploads: the cost of a leak.
    #[must_use]
    pub fn open_uploads(&self) -> usize {
        self.contents().uploads.len()
    }
}

impl MemoryBucket {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock()
    }

    /// Records a request, and acts on it. The script can delay or fail it before and after.
    async fn serve<T: Send>(
        &self,
        request: ReceivedRequest,
        act: impl FnOnce(&mut Contents) -> Result<T> + Send,
    ) -> Result<T> {
        let (verb, key) = (request.verb, request.name.clone());
        self.script.record(request);
        self.script.pass_key(verb, &key).await?;
        self.script.pass(verb, Moment::Request).await?;
        let answer = act(&mut self.contents())?;
        self.script.pass(verb, Moment::Answer).await?;
        Ok(answer)
    }
}

#[async_trait]
impl Bucket for MemoryBucket {
    fn id(&self) -> &BucketId {
        &self.id
    }

    fn usage(&self) -> &Arc<TenantUsage> {
        &self.usage
    }

    async fn head(&self, key: &Key) -> Result<Object> {
        self.serve(ReceivedRequest::new(Verb::Head, key.as_str()), |contents| contents.head(key.as_str())).await
    }

    async fn read(&self, key: &Key, range: Range<u64>, pin: Option<&Pin>) -> Result<Read> {
        let request = ReceivedRequest { range: Some(range.clone()), ..ReceivedRequest::new(Verb::Read, key.as_str()) };
        let (object, range, bytes) = self.serve(request, |contents| contents.read(key.as_str(), range, pin)).await?;
        Ok(Read { object, range, body: paced(body(&bytes, self.script.body_fault()), self.script.bytes_per_second()) })
    }

    async fn put(&self, key: &Key, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject> {
        let request = ReceivedRequest { sent_bytes: payload.len(), ..ReceivedRequest::new(Verb::Put, key.as_str()) };
        self.serve(request, |contents| contents.put(key.as_str(), &payload, object, &condition)).await
    }

    async fn create_upload(&self, key: &Key, object: &NewObject) -> Result<UploadId> {
        let request = ReceivedRequest::new(Verb::CreateUpload, key.as_str());
        self.serve(request, |contents| Ok(contents.create_upload(key.as_str(), object))).await
    }

    async fn create_copy(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId> {
        let request = ReceivedRequest {
            source: Some(source.as_str().to_owned()),
            ..ReceivedRequest::new(Verb::CreateUpload, key.as_str())
        };
        self.serve(request, |contents| contents.create_copy(key.as_str(), source.as_str(), pin, object)).await
    }

    async fn upload_part(&self, key: &Key, upload: &UploadId, number: u32, payload: Payload) -> Result<Part> {
        let request = ReceivedRequest {
            sent_bytes: payload.len(),
            part_number: Some(number),
            ..ReceivedRequest::new(Verb::UploadPart, key.as_str())
        };
        self.serve(request, |contents| contents.upload_part(key.as_str(), upload, number, &payload)).await
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
        let request = ReceivedRequest {
            range: Some(range.clone()),
            part_number: Some(number),
            source: Some(source.as_str().to_owned()),
            ..ReceivedRequest::new(Verb::CopyPart, key.as_str())
        };
        let copy =
            |contents: &mut Contents| contents.copy_part(key.as_str(), upload, number, source.as_str(), pin, range);
        self.serve(request, copy).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject> {
        let request = ReceivedRequest::new(Verb::CompleteUpload, key.as_str());
        self.serve(request, |contents| contents.complete_upload(key.as_str(), upload, parts, &condition)).await
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId, after: u32) -> Result<PartsPage> {
        let request = ReceivedRequest::new(Verb::ListParts, key.as_str());
        self.serve(request, |contents| uploads::parts(&contents.uploads, key.as_str(), upload, after)).await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadsToken>) -> Result<UploadsPage> {
        let request = ReceivedRequest::new(Verb::ListUploads, prefix.as_str());
        self.serve(request, |contents| Ok(uploads::page(&contents.uploads, prefix.as_str(), after))).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        let request = ReceivedRequest::new(Verb::AbortUpload, key.as_str());
        self.serve(request, |contents| {
            contents.uploads.remove(&upload.0);
            Ok(())
        })
        .await
    }

    async fn copy(
        &self,
        source: &Key,
        pin: &Pin,
        target: &Key,
        object: Option<&NewObject>,
        condition: Condition,
    ) -> Result<StoredObject> {
        let request = ReceivedRequest {
            source: Some(source.as_str().to_owned()),
            ..ReceivedRequest::new(Verb::Copy, target.as_str())
        };
        let copy = |contents: &mut Contents| contents.copy(source.as_str(), pin, target.as_str(), object, &condition);
        self.serve(request, copy).await
    }

    async fn remove(&self, key: &Key, condition: RemovalCondition) -> Result<()> {
        self.serve(ReceivedRequest::new(Verb::Remove, key.as_str()), |contents| {
            contents.remove(key.as_str(), &condition)
        })
        .await
    }

    async fn remove_many(&self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>> {
        let first = objects.first().map_or("", |(key, _)| key.as_str());
        self.serve(ReceivedRequest::new(Verb::RemoveMany, first), |contents| contents.remove_many(objects)).await
    }

    async fn list(&self, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Result<Page> {
        let request = ReceivedRequest { max_keys: Some(max_keys), ..ReceivedRequest::new(Verb::List, scope.prefix()) };
        self.serve(request, |contents| Ok(listing::page(contents, scope, after, max_keys))).await
    }
}

/// The stream of `bytes`, in pieces, with the fault if there is one.
fn body(bytes: &Bytes, fault: Option<BodyFault>) -> Body {
    let end = match fault {
        Some(BodyFault::Break(at) | BodyFault::End(at) | BodyFault::Stall(at)) => at.min(bytes.len()),
        None => bytes.len(),
    };
    let mut pieces: Vec<Result<Bytes>> = (0..end)
        .step_by(BODY_PIECE_BYTES)
        .map(|start| Ok(bytes.slice(start..end.min(start + BODY_PIECE_BYTES))))
        .collect();
    if matches!(fault, Some(BodyFault::Stall(_))) {
        return stream::iter(pieces).chain(stream::pending()).boxed();
    }
    if matches!(fault, Some(BodyFault::Break(_))) {
        pieces.push(Err(Error::Unreachable("the connection broke in the middle of a body".into())));
    }
    stream::iter(pieces).boxed()
}

/// The body, at this speed.
fn paced(body: Body, bytes_per_second: Option<u64>) -> Body {
    let Some(bytes_per_second) = bytes_per_second else { return body };
    let (since, mut bytes) = (Instant::now(), 0);
    body.then(move |piece| {
        bytes += piece.as_ref().map_or(0, |piece| piece.len() as u64);
        let due = since + Duration::from_micros(bytes * 1_000_000 / bytes_per_second);
        async move {
            sleep_until(due).await;
            piece
        }
    })
    .boxed()
}
