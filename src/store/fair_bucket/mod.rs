//! A bucket whose requests take permits of its tenant. All tenants share the permits, so that their connections to S3
//! are bounded together, and a bucket that doesn't answer holds only permits of its own tenant.
//!
//! A request has its permit from before it is sent until its answer is here, retries included; a GET has it until its
//! body was read or dropped. The permit is taken here and not in the SDK's connector, because the SDK's time-outs and
//! its stalled-stream protection would count the waiting.
//!
//! No request waits for ever:
//! - A holder of a permit waits for S3, and for credentials. A copy takes a permit for copies before it, and no method
//!   takes two for requests. No caller holds a body while it sends a request. Every body is read into memory as it
//!   comes, whether the client reads or not (`download/fill.rs`, `upload/read_back.rs`).
//! - Every method is polled by a task that polls all of its requests together (`join!`, `buffered`), or is spawned. So
//!   a permit that was granted is used at once.
//! - Credentials are asked for while a request holds a permit. STS has permits of its own, so that this is no circle.
//!
//! A tenant, its users and their sessions may have rates of requests (`policy/pacing`). A request waits for them before it
//! takes a permit. Those that change nothing and the others take turns. Maintenance doesn't wait, and counts.
//!
//! A request that changes nothing waits for its permit as long as for its answer, then it fails. One that changes
//! something waits as long as its caller: if it were never sent, it would look like one whose answer was lost. The
//! latter have a line of their own, so that a tenant's flood of STATs delays neither its uploads nor the abort of one.

use super::{
    Body, Bucket, Condition, Error, ListScope, NewObject, Object, Page, PageToken, Part, PartsPage, Payload, Pin, Read,
    RemovalCondition, Result, StoredObject, UploadId, UploadsPage, UploadsToken,
};
use crate::{
    name::{BucketId, Key, Prefix, TenantName},
    policy::{RequestScope, S3Pacers, SessionPacers, TakerKind, TenantPacers, TenantUsage},
    shares::{ShareLine, SharePermit, Shares},
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use std::{
    ops::Range,
    pin::Pin as StdPin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// The time for which a request that S3 answers at once waits for its permit. The SDK gives the answer as long.
const PATIENCE: Duration = Duration::from_mins(1);

/// The line of requests that change nothing.
const READS: ShareLine = ShareLine::First;
/// The line of requests that store, copy, remove or end something.
const CHANGES: ShareLine = ShareLine::Second;

/// The copies that S3 makes at once for this process.
const MAX_COPIES: usize = 256;

type RequestPermit = SharePermit<TenantName>;

/// The permits of all tenants.
#[derive(Debug)]
pub(crate) struct RequestPermits {
    requests: Arc<Shares<TenantName>>,
    /// Each `CopyObject` and `UploadPartCopy` takes one, for all sessions and all uses together.
    copies: Arc<Shares<TenantName>>,
}

impl RequestPermits {
    /// Permits for this number of requests, and for 256 copies among them.
    #[must_use]
    pub(crate) fn new(requests: usize) -> Arc<Self> {
        Arc::new(Self { requests: Shares::new(requests), copies: Shares::new(MAX_COPIES) })
    }
}

/// A tenant's bucket.
#[derive(Debug)]
pub(crate) struct FairBucket {
    inner: Arc<dyn Bucket>,
    tenant: TenantName,
    permits: Arc<RequestPermits>,
    pacers: Arc<TenantPacers>,
    session: Option<Arc<SessionPacers>>,
}

impl FairBucket {
    /// Forwards requests to `inner` with permits of `tenant`.
    pub(crate) fn new(inner: Arc<dyn Bucket>, tenant: TenantName, permits: Arc<RequestPermits>) -> Self {
        Self { inner, tenant, permits, pacers: TenantPacers::unlimited(), session: None }
    }

    /// The same bucket for the requests of one session, which keep to its rates.
    pub(crate) fn of_session(&self, session: Arc<SessionPacers>) -> Self {
        let Self { inner, tenant, permits, pacers, .. } = self;
        let (inner, permits, pacers) = (Arc::clone(inner), Arc::clone(permits), Arc::clone(pacers));
        Self { inner, tenant: tenant.clone(), permits, pacers, session: Some(session) }
    }

    /// The same, with the rate of the tenant that has these pacers.
    pub(crate) fn paced_by(self, pacers: Arc<TenantPacers>) -> Self {
        Self { pacers, ..self }
    }

    /// Waits for the rates and for a permit, for as long as the caller does.
    async fn permit(&self, line: ShareLine) -> RequestPermit {
        let pacers = self.s3_requests();
        if pacers.are_limited() {
            pace(pacers, line).await;
        }
        self.permits.requests.acquire(&self.tenant, line).await
    }

    /// Waits for the rates and for the permits of a copy. While it waits for the rates it has none.
    async fn copy_permits(&self) -> (RequestPermit, RequestPermit) {
        let pacers = self.s3_requests();
        if pacers.are_limited() {
            pace(pacers, CHANGES).await;
        }
        let copy = self.permits.copies.acquire(&self.tenant, CHANGES).await;
        (copy, self.permits.requests.acquire(&self.tenant, CHANGES).await)
    }

    /// The rates that a request keeps to.
    fn s3_requests(&self) -> S3Pacers<'_> {
        self.session.as_ref().map_or_else(|| self.pacers.s3_requests(), |session| session.s3_requests())
    }

    /// Waits for the rates and for a permit for a request that changes nothing, for at most [`PATIENCE`].
    ///
    /// # Errors
    /// [`Error::RateReached`]; [`Error::Unreachable`] if S3 answered too few of the tenant's requests in this time.
    async fn prompt(&self) -> Result<RequestPermit> {
        let deadline = Instant::now() + PATIENCE;
        let pacers = self.s3_requests();
        if pacers.are_limited() {
            let paced = timeout_at(deadline, pace(pacers, READS)).await;
            paced.map_err(|_| Error::RateReached(PATIENCE))?;
        }
        let permit = timeout_at(deadline, self.permits.requests.acquire(&self.tenant, READS)).await;
        let crowded = |_| format!("the tenant's earlier requests had no answer for {PATIENCE:?}");
        permit.map_err(crowded).map_err(Error::Unreachable)
    }
}

/// Waits until the rates allow a request of the line.
async fn pace(pacers: S3Pacers<'_>, line: ShareLine) {
    if RequestScope::is_of_must_end() {
        return pacers.owe();
    }
    let kind = if line == READS { TakerKind::Read } else { TakerKind::Change };
    pacers.take(kind).await;
}

#[async_trait]
impl Bucket for FairBucket {
    fn id(&self) -> &BucketId {
        self.inner.id()
    }

    fn usage(&self) -> &Arc<TenantUsage> {
        self.inner.usage()
    }

    async fn head(&self, key: &Key) -> Result<Object> {
        let _permit = self.prompt().await?;
        self.inner.head(key).await
    }

    async fn read(&self, key: &Key, range: Range<u64>, pin: Option<&Pin>) -> Result<Read> {
        let permit = self.prompt().await?;
        let read = self.inner.read(key, range, pin).await?;
        Ok(Read { body: PermittedBody { body: read.body, permit: Some(permit) }.boxed(), ..read })
    }

    async fn put(&self, key: &Key, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject> {
        let _permit = self.permit(CHANGES).await;
        self.inner.put(key, payload, object, condition).await
    }

    async fn create_upload(&self, key: &Key, object: &NewObject) -> Result<UploadId> {
        let _permit = self.permit(CHANGES).await;
        self.inner.create_upload(key, object).await
    }

    async fn create_copy(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId> {
        let _permit = self.permit(CHANGES).await;
        self.inner.create_copy(key, source, pin, object).await
    }

    async fn upload_part(&self, key: &Key, upload: &UploadId, number: u32, payload: Payload) -> Result<Part> {
        let _permit = self.permit(CHANGES).await;
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
        let _permits = self.copy_permits().await;
        self.inner.copy_part(key, upload, number, source, pin, range).await
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject> {
        let _permit = self.permit(CHANGES).await;
        self.inner.complete_upload(key, upload, parts, condition).await
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId, after: u32) -> Result<PartsPage> {
        let _permit = self.prompt().await?;
        self.inner.list_parts(key, upload, after).await
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadsToken>) -> Result<UploadsPage> {
        let _permit = self.prompt().await?;
        self.inner.list_uploads(prefix, after).await
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        let _permit = self.permit(CHANGES).await;
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
        let _permits = self.copy_permits().await;
        self.inner.copy(source, pin, target, object, condition).await
    }

    async fn remove(&self, key: &Key, condition: RemovalCondition) -> Result<()> {
        // A deletion that was never sent must not look like one whose answer was lost.
        let _permit = self.permit(CHANGES).await;
        self.inner.remove(key, condition).await
    }

    async fn remove_many(&self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>> {
        let _permit = self.permit(CHANGES).await;
        self.inner.remove_many(objects).await
    }

    async fn list(&self, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Result<Page> {
        let _permit = self.prompt().await?;
        self.inner.list(scope, after, max_keys).await
    }
}

/// A body, and the permit of its GET until the body's end.
struct PermittedBody {
    body: Body,
    permit: Option<RequestPermit>,
}

impl Stream for PermittedBody {
    type Item = Result<Bytes>;

    fn poll_next(mut self: StdPin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = self.body.poll_next_unpin(context);
        if matches!(piece, Poll::Ready(None | Some(Err(_)))) {
            self.permit = None;
        }
        piece
    }
}

#[cfg(test)]
mod tests;
