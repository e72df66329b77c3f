//! Each HTTP request counts once, and requests beyond the limit aren't sent.

use crate::support::{scope, tree};
use bytes::Bytes;
use fake_aws::{AwsSettings, Failure, FakeAws, StorageKind};
use std::{sync::Arc, time::Duration};
use wharfinger::{
    account::{DailyLimits, DailyResource, Permissions},
    cloud::{BucketSource as _, S3Buckets, Scope},
    journal::MemoryJournal,
    memory::Budget,
    name::{Prefix, VirtualPath},
    policy::{DailyLimitReached, DailyUsage, TenantUsage},
    testing::StoppedClock,
    vfs::{CopyRange, Entry, Error, NewAttributes, Replace, SetAttributes, Times, Vfs, WriteHandle, WriteOptions},
};

const MIB: usize = 1 << 20;
const NEW_FILE: WriteOptions =
    WriteOptions { write: true, create: true, truncate: true, read: false, exclusive: false, append: false };
const ALL_BYTES: CopyRange = CopyRange { source_offset: 0, length: None, target_offset: 0 };

/// Limits that no test reaches.
const VAST: DailyLimits = DailyLimits {
    bytes_written: Some(1 << 40),
    zero_bytes: Some(1 << 40),
    bytes_copied: Some(1 << 40),
    s3_requests: Some(1 << 40),
};

/// alice's tree on an S3 of its own, with acme's usage.
struct LimitedTree {
    s3: FakeAws,
    vfs: Vfs,
    usage: Arc<DailyUsage>,
    acme: Arc<TenantUsage>,
}

impl LimitedTree {
    async fn start() -> Self {
        let storage = StorageKind::Memory { max_bytes: 256 << 20 };
        let s3 = FakeAws::start(AwsSettings::one_user("AKDEMO", "a-secret", &["vendor"], storage)).await.unwrap();
        let storage = scope::storage("vendor", &format!("http://{}", s3.address), "AKDEMO", "a-secret");
        let usage = Arc::new(DailyUsage::new(Arc::new(StoppedClock::at(1_700_000_000))));
        let (tenant, user, prefix) =
            ("acme".parse().unwrap(), "alice".parse().unwrap(), Prefix::parse("acme/").unwrap());
        let buckets = S3Buckets::new(scope::tenants([("acme", storage)])).charged_to(Arc::clone(&usage));
        let scope = Scope::new(&tenant, &user, &prefix, Permissions::ALL);
        let bucket = buckets.bucket(scope).await.unwrap();
        let (budget, journal) = (Budget::new(64 << 20), Arc::new(MemoryJournal::default()));
        let vfs = tree::tree("alice", Permissions::ALL, bucket, &budget, &journal);
        let acme = usage.of(&tenant);
        usage.set_limits([(&tenant, VAST)]);
        Self { s3, vfs, usage, acme }
    }

    /// The requests that S3 got.
    fn received(&self) -> u64 {
        self.s3.requests().values().sum()
    }

    /// Allows `left` more requests today.
    fn leave(&self, left: u64) {
        let limits =
            DailyLimits { s3_requests: Some(self.acme.amounts().s3_requests + left), ..DailyLimits::default() };
        self.usage.set_limits([(&"acme".parse().unwrap(), limits)]);
    }

    async fn open(&self, at: &str) -> Result<WriteHandle, Error> {
        let pending = self.vfs.open_write(&path(at), NEW_FILE, NewAttributes::default()).await?;
        pending.admit(Duration::from_secs(1)).await
    }

    async fn put(&self, at: &str, bytes: usize) -> Result<(), Error> {
        let mut handle = self.open(at).await?;
        handle.write(0, Bytes::from(vec![7; bytes])).await?;
        handle.close().await.map(drop)
    }

    async fn get(&self, at: &str) -> Result<usize, Error> {
        let handle = self.vfs.open_read(&path(at)).await?;
        let mut at = 0;
        loop {
            let read: usize = handle.read(at as u64, 255 << 10).await?.iter().map(Bytes::len).sum();
            if read == 0 {
                return Ok(at);
            }
            at += read;
        }
    }

    async fn list(&self) -> Result<Vec<String>, Error> {
        let mut directory = self.vfs.open_directory(&path("/")).await?;
        let mut names = Vec::new();
        let mut push = |entry: &Entry| {
            names.push(entry.name.clone());
            true
        };
        while directory.next(&mut push).await? > 0 {}
        Ok(names)
    }

    async fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let source = self.vfs.open_read(&path(from)).await?;
        let mut target = self.open(to).await?;
        target.copy(&source, ALL_BYTES).await?;
        target.close().await.map(drop)
    }

    async fn set_size(&self, at: &str, size: u64) -> Result<(), Error> {
        self.vfs.set_attributes(&path(at), SetAttributes { size: Some(size), ..SetAttributes::default() }).await
    }
}

fn path(raw: &str) -> VirtualPath {
    VirtualPath::parse(raw.as_bytes()).unwrap()
}

fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>) -> DailyResource {
    match outcome {
        Err(Error::DailyLimit(DailyLimitReached(resource))) => resource,
        other => panic!("{other:?}"),
    }
}

// S198: Each HTTP request to S3 counts, retries included. When none is left, what needs one is refused: OPEN, READ, STAT, …
#[tokio::test]
async fn each_http_request_counts_once_with_its_retries() {
    let tree = LimitedTree::start().await;
    let operations = [
        "PutObject",
        "HeadObject",
        "GetObject",
        "ListObjectsV2",
        "CopyObject",
        "DeleteObject",
        "DeleteObjects",
        "CreateMultipartUpload",
        "UploadPart",
        "UploadPartCopy",
        "CompleteMultipartUpload",
    ];
    for (index, operation) in operations.into_iter().enumerate() {
        tree.s3.fail(operation, if index % 2 == 0 { Failure::SlowDown } else { Failure::InternalError }, 2);
    }
    tree.put("/a", 3).await.unwrap();
    tree.put("/big", 20 * MIB).await.unwrap();
    assert_eq!(tree.get("/big").await.unwrap(), 20 * MIB);
    tree.copy("/big", "/copy").await.unwrap();
    tree.vfs.mkdir(&path("/d"), NewAttributes::default()).await.unwrap();
    tree.put("/d/x", 1).await.unwrap();
    tree.vfs.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
    tree.vfs.rename(&path("/d"), &path("/e"), Replace::No).await.unwrap();
    tree.set_size("/big", 9 * MIB as u64).await.unwrap();
    tree.vfs.remove(&path("/copy")).await.unwrap();
    assert_eq!(tree.list().await.unwrap().len(), 5, "with the dots");
    assert_eq!(tree.acme.amounts().s3_requests, tree.received());
    assert!(tree.received() > 40);
    let amounts = tree.acme.amounts();
    assert_eq!((amounts.bytes_written, amounts.zero_bytes), (20 * MIB as u64 + 4, 0));
    assert_eq!(amounts.bytes_copied, (20 + 9) * MIB as u64 + 4, "the copy, the shorter file, and both renames");
    tree.s3.stop().await;
}

// S198: Each HTTP request to S3 counts, retries included. When none is left, what needs one is refused: OPEN, READ, STAT, …
#[tokio::test]
async fn without_requests_everything_that_needs_one_is_refused_and_none_is_sent() {
    let tree = LimitedTree::start().await;
    tree.put("/a", 3).await.unwrap();
    tree.put("/big", 20 * MIB).await.unwrap();
    let reading = tree.vfs.open_read(&path("/big")).await.unwrap();
    let mut writing = tree.open("/w").await.unwrap();
    writing.write(0, Bytes::from_static(b"1")).await.unwrap();
    // The node still knows what it stored less than two seconds ago.
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    let before = tree.received();
    tree.leave(0);
    let s3_requests = DailyResource::S3Requests;
    assert_eq!(refused(tree.put("/new", 1).await), s3_requests);
    assert_eq!(refused(tree.get("/a").await), s3_requests);
    assert_eq!(refused(reading.read(19 * MIB as u64, 1).await), s3_requests);
    assert_eq!(refused(tree.vfs.stat(&path("/a")).await), s3_requests);
    assert_eq!(refused(tree.vfs.stat(&path("/none")).await), s3_requests);
    assert_eq!(refused(tree.list().await), s3_requests);
    assert_eq!(refused(tree.set_size("/a", 5).await), s3_requests);
    let times = SetAttributes { times: Some(Times { accessed: 1, modified: 1 }), ..SetAttributes::default() };
    assert_eq!(refused(tree.vfs.set_attributes(&path("/a"), times).await), s3_requests);
    assert_eq!(refused(tree.vfs.remove(&path("/a")).await), s3_requests);
    assert_eq!(refused(tree.vfs.rename(&path("/a"), &path("/b"), Replace::No).await), s3_requests);
    assert_eq!(refused(tree.vfs.mkdir(&path("/d"), NewAttributes::default()).await), s3_requests);
    assert_eq!(refused(tree.vfs.rmdir(&path("/d")).await), s3_requests);
    assert_eq!(refused(writing.write(1, Bytes::from_static(b"2")).await), s3_requests);
    assert!(writing.close().await.is_err());
    assert_eq!(tree.received(), before);
    assert_eq!(tree.s3.objects("vendor").unwrap().len(), 2);
    tree.leave(100);
    assert_eq!(tree.get("/a").await.unwrap(), 3);
    tree.s3.stop().await;
}

// S199: What has begun ends without requests left: the CLOSE of a file whose WRITEs were all answered with OK, the end of a …
#[tokio::test]
async fn what_was_answered_is_stored_without_requests_left() {
    let tree = LimitedTree::start().await;
    tree.put("/changed", 20 * MIB).await.unwrap();
    let (mut small, mut large) = (tree.open("/small").await.unwrap(), tree.open("/large").await.unwrap());
    small.write(0, Bytes::from_static(b"123")).await.unwrap();
    for part in 0..4 {
        large.write((part * 5 * MIB) as u64, Bytes::from(vec![1; 5 * MIB])).await.unwrap();
    }
    let keep = WriteOptions { truncate: false, ..NEW_FILE };
    let changed = tree.vfs.open_write(&path("/changed"), keep, NewAttributes::default()).await.unwrap();
    let mut changed = changed.admit(Duration::from_secs(1)).await.unwrap();
    changed.write(1, Bytes::from_static(b"8")).await.unwrap();
    let mut left = tree.open("/left").await.unwrap();
    left.write(0, Bytes::from(vec![1; 20 * MIB])).await.unwrap();
    tree.leave(0);
    tree.s3.fail("PutObject", Failure::InternalError, 1);
    for handle in [small, large, changed] {
        handle.close().await.unwrap();
    }
    left.discard().await;
    let stored = tree.s3.objects("vendor").unwrap();
    let sizes: Vec<_> = stored.values().map(|bytes| usize::try_from(*bytes).unwrap()).collect();
    assert_eq!(sizes, [20 * MIB, 20 * MIB, 3], "{stored:?}");
    assert_eq!(tree.acme.amounts().s3_requests, tree.received(), "they count beyond the limit");
    tree.s3.stop().await;
}

#[tokio::test]
async fn a_rename_that_has_begun_to_copy_ends() {
    let tree = LimitedTree::start().await;
    tree.put("/a", 3).await.unwrap();
    // HEAD and LIST; then the copy and the deletion must both be left.
    for left in 0.. {
        let before = tree.received();
        tree.leave(left);
        let outcome = tree.vfs.rename(&path("/a"), &path("/b"), Replace::No).await;
        let keys: Vec<_> = tree.s3.objects("vendor").unwrap().into_keys().collect();
        if outcome.is_ok() {
            assert_eq!(keys, ["acme/b"]);
            assert!(left >= 4 && tree.received() == before + 4, "{left}");
            break;
        }
        assert_eq!(refused(outcome), DailyResource::S3Requests);
        assert_eq!(keys, ["acme/a"], "{left}");
        assert!(tree.received() <= before + left);
    }
    tree.s3.stop().await;
}

/// The requests of `../shared/reference/attacks/amp_zero.py`.
#[tokio::test]
async fn a_few_bytes_of_requests_store_and_copy_no_more_than_the_limits() {
    let tree = LimitedTree::start().await;
    let limit = 70 * MIB as u64;
    let limits = DailyLimits { zero_bytes: Some(limit), bytes_copied: Some(limit), ..DailyLimits::default() };
    tree.usage.set_limits([(&"acme".parse().unwrap(), limits)]);
    let step = 64 * MIB as u64;
    let size = |size| SetAttributes { size: Some(size), ..SetAttributes::default() };
    let mut zeros = tree.open("/zeros").await.unwrap();
    zeros.set_attributes(size(step)).unwrap();
    assert_eq!(refused(zeros.set_attributes(size(2 * step))), DailyResource::ZeroBytes);
    zeros.close().await.unwrap();
    assert_eq!(refused(tree.set_size("/zeros", 2 * step).await), DailyResource::ZeroBytes);
    let mut hole = tree.open("/hole").await.unwrap();
    assert_eq!(refused(hole.write(step, Bytes::from_static(b"x")).await), DailyResource::ZeroBytes);
    assert!(hole.close().await.is_err());
    tree.copy("/zeros", "/copy").await.unwrap();
    assert_eq!(refused(tree.copy("/zeros", "/again").await), DailyResource::BytesCopied);
    assert_eq!(
        refused(tree.vfs.rename(&path("/zeros"), &path("/moved"), Replace::No).await),
        DailyResource::BytesCopied
    );
    assert_eq!(tree.s3.objects("vendor").unwrap().into_keys().collect::<Vec<_>>(), ["acme/copy", "acme/zeros"]);
    let amounts = tree.acme.amounts();
    assert_eq!((amounts.zero_bytes, amounts.bytes_copied, amounts.bytes_written), (step, step, 1));
    tree.s3.stop().await;
}
