//! A small object that the server opens before a client asks for it.
//!
//! Invariant: it is of the version that was listed. It takes its memory from the budget's spare bytes, and returns it
//! after a second, or sooner when memory is tight. Only the OPEN of this file waits for it.

use super::Reader;
use crate::{
    memory::TenantMemory,
    name::Key,
    store::{Bucket, ETag, OwnedTask, Pin, Result},
};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep},
};

/// The age from which an answer no longer describes the present.
const MAX_AGE: Duration = Duration::from_secs(1);
/// The interval at which an unclaimed object checks if it must be dropped.
const PERIOD: Duration = Duration::from_millis(250);

/// The OPEN that claimed the object and waits for it.
type OpenReply = oneshot::Sender<Result<Reader>>;

/// A GET that was sent for a file before its OPEN. Dropping it abandons the GET.
#[derive(Debug)]
pub(crate) struct FilePrefetch {
    since: Instant,
    claims: oneshot::Sender<OpenReply>,
    task: OwnedTask<()>,
}

impl FilePrefetch {
    /// The largest object that is prefetched, in bytes.
    pub(crate) const MAX_BYTES: u64 = Reader::MAX_WHOLE_BYTES;

    /// The longest time for which it is retained.
    pub(crate) const MAX_AGE: Duration = MAX_AGE;

    /// Sends the GET for an object of `size` bytes and this tag. The size is at most [`MAX_BYTES`](Self::MAX_BYTES) and
    /// not 0. Returns `None` if the budget has no spare bytes.
    #[must_use]
    pub(crate) fn start(
        bucket: Arc<dyn Bucket>,
        key: Key,
        size: u64,
        etag: ETag,
        memory: TenantMemory,
    ) -> Option<Self> {
        let charge = memory.charge_spare(size, 0)?;
        let (claims, claimed) = oneshot::channel();
        let since = Instant::now();
        let task = OwnedTask::spawn(async move {
            let pin = Pin { etag, version: None };
            let opened = Reader::open_whole(bucket, key, (size, charge), &pin, memory.clone()).await;
            offer(opened, claimed, &memory, since).await;
        });
        Some(Self { since, claims, task })
    }

    /// True while the answer still describes the present.
    #[must_use]
    pub(crate) fn is_fresh(&self) -> bool {
        self.since.elapsed() <= MAX_AGE
    }

    /// The open object. `None` if it could not be opened as it was listed, or was dropped because of its age or of
    /// tight memory.
    pub(crate) async fn take(self) -> Option<Reader> {
        let Self { claims, task, .. } = self;
        let (claim, answer) = oneshot::channel();
        claims.send(claim).ok()?;
        let opened = answer.await;
        drop(task);
        opened.ok()?.ok()
    }
}

/// Keeps the opened object until an OPEN claims it, or it has to go.
async fn offer(opened: Result<Reader>, claimed: oneshot::Receiver<OpenReply>, memory: &TenantMemory, since: Instant) {
    let expired = async {
        while since.elapsed() < MAX_AGE && !memory.is_tight() {
            sleep(PERIOD).await;
        }
    };
    let claim = tokio::select! {
        biased;
        claim = claimed => claim,
        () = expired => return,
    };
    if let Ok(claim) = claim {
        let _gone = claim.send(opened);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        memory::Budget,
        name::Prefix,
        testing::{
            MemoryBucket,
            bucket::{Moment, Verb},
        },
    };

    struct PrefetchFixture {
        bucket: Arc<MemoryBucket>,
        budget: Arc<Budget>,
        etag: ETag,
    }

    impl PrefetchFixture {
        fn new() -> Self {
            let bucket = MemoryBucket::new();
            let etag = bucket.insert("acme/x", "content").pin.etag;
            Self { bucket: Arc::new(bucket), budget: Budget::new(1000), etag }
        }

        fn memory(&self) -> TenantMemory {
            self.budget.of(&"acme".parse().unwrap())
        }

        fn start(&self) -> FilePrefetch {
            let key = Prefix::parse("acme/").unwrap().key("x").unwrap();
            FilePrefetch::start(self.bucket.clone(), key, 7, self.etag.clone(), self.memory()).unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_the_listed_version_and_gives_its_memory_back() {
        let fixture = PrefetchFixture::new();
        let prefetch = fixture.start();
        assert_eq!(fixture.budget.used(), 7);
        let reader = prefetch.take().await.unwrap();
        assert_eq!(fixture.budget.used(), 7);
        assert_eq!(reader.read(0, 100).await.unwrap().concat(), b"content");
        assert_eq!(fixture.budget.used(), 0);
        assert_eq!(fixture.bucket.verbs(), [Verb::Read]);

        fixture.bucket.insert("acme/x", "changed");
        assert!(fixture.start().take().await.is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn it_goes_after_a_second_or_when_memory_is_tight() {
        let fixture = PrefetchFixture::new();
        let prefetch = fixture.start();
        sleep(MAX_AGE / 2).await;
        assert!(prefetch.is_fresh() && fixture.budget.used() == 7);
        sleep(MAX_AGE).await;
        assert!(!prefetch.is_fresh() && fixture.budget.used() == 0);
        assert!(prefetch.take().await.is_none());

        let prefetch = fixture.start();
        let _needed = fixture.budget.of(&"globex".parse().unwrap()).charge(900).unwrap();
        sleep(MAX_AGE / 2).await;
        assert!(prefetch.is_fresh() && fixture.budget.used() == 900);
        let key = Prefix::parse("acme/").unwrap().key("x").unwrap();
        assert!(FilePrefetch::start(fixture.bucket.clone(), key, 7, fixture.etag.clone(), fixture.memory()).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_it_abandons_it() {
        let fixture = PrefetchFixture::new();
        let _hold = fixture.bucket.hold(Verb::Read, Moment::Answer);
        let prefetch = fixture.start();
        fixture.bucket.arrived(Verb::Read, 1).await;
        drop(prefetch);
        tokio::task::yield_now().await;
        assert_eq!(fixture.budget.used(), 0);
    }
}
