//! Uploads to the bucket in memory: their requests, the objects that appear, and that nothing is left behind.

mod budget;
mod charges;
mod copies;
mod failures;
mod offsets;
mod patches;
mod publishing;
mod resumed;

use super::{
    parts::{MAX_IN_FLIGHT, MIN_IN_FLIGHT},
    *,
};
use crate::{
    memory::{Budget, BudgetExhausted, TenantMemory},
    name::Prefix,
    testing::{
        MemoryBucket,
        bucket::{
            Moment::{Answer, Request},
            Verb,
        },
    },
};
use futures_util::{FutureExt, future::join_all};
use proptest::{prelude::*, sample::select};

const MIB: usize = 1024 * 1024;
const PART: usize = 8 * MIB;
/// The largest WRITE of OpenSSH.
const WRITE: usize = 255 * 1024;
const DEADLINE: Duration = Duration::from_mins(10);

struct UploadFixture {
    bucket: Arc<MemoryBucket>,
    budget: Arc<Budget>,
}

impl UploadFixture {
    /// A fixture with `bytes` for transfers, and the memory of small files beside them.
    fn with_budget(bytes: u64) -> Self {
        Self::with_total(bytes * 16 / 15)
    }

    fn with_total(bytes: u64) -> Self {
        Self { bucket: Arc::new(MemoryBucket::new()), budget: Budget::new(bytes) }
    }

    fn new() -> Self {
        Self::with_budget(1 << 30)
    }

    fn options() -> UploadOptions {
        UploadOptions { max_object_bytes: 1 << 39, object: NewObject::default(), journal: None, observer: None }
    }

    /// The memory of the tenant of all uploads that name no other.
    fn memory(&self) -> TenantMemory {
        self.budget.of(&"acme".parse().unwrap())
    }

    async fn open(&self, name: &str, origin: Origin, options: UploadOptions) -> Upload {
        self.open_for("acme", name, origin, options).await
    }

    async fn open_for(&self, tenant: &str, name: &str, origin: Origin, options: UploadOptions) -> Upload {
        let memory = UploadMemory::open(self.budget.of(&tenant.parse().unwrap()), MIN_PART_BYTES, DEADLINE).await;
        let key = Prefix::parse("").unwrap().key(name).unwrap();
        Upload::open(Arc::clone(&self.bucket) as Arc<dyn Bucket>, key, memory, origin, options).await.unwrap()
    }

    /// An upload of a new file.
    async fn upload(&self, name: &str, options: UploadOptions) -> Upload {
        self.open(name, Origin::New(Gaps::Zeros), options).await
    }

    async fn start(&self) -> Upload {
        self.upload("x", Self::options()).await
    }

    fn assert_stored(&self, name: &str, content: &[u8]) {
        // Not assert_eq, because its output would be megabytes.
        assert!(self.bucket.bytes(name).unwrap() == content, "{name} differs");
        self.assert_nothing_left();
    }

    fn assert_nothing_left(&self) {
        assert_eq!(self.bucket.open_uploads(), 0);
        assert_eq!(self.budget.used(), 0);
    }
}

/// Bytes that differ from block to block: their period is a prime number.
fn content(len: usize) -> Vec<u8> {
    let period: Vec<u8> = (0..65_521u32).map(|at| u8::try_from((at / 251 * 7 % 256) ^ (at % 251)).unwrap()).collect();
    let mut bytes = period.repeat(len / period.len() + 1);
    bytes.truncate(len);
    bytes
}

async fn write_all(upload: &mut Upload, content: &[u8]) -> Result<()> {
    for (index, piece) in content.chunks(WRITE).enumerate() {
        upload.write((index * WRITE) as u64, Bytes::copy_from_slice(piece)).await?;
    }
    Ok(())
}

fn lost() -> Error {
    Error::Unreachable("lost".into())
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(test);
}

/// The file that an upload published.
async fn stored(upload: Upload, condition: Condition) -> StoredUpload {
    match upload.finish(condition).await.unwrap() {
        FinishedUpload::Stored(stored) => stored,
        FinishedUpload::Unchanged(object) => panic!("unchanged: {object:?}"),
    }
}
