//! Tests of the tree on a bucket in memory: the answers of each verb, and the requests that it took. They quote the
//! claims of `SEMANTICS.md` that they hold.

mod attributes;
mod claims;
mod copies;
mod directories;
mod directory_times;
mod downloads;
mod emptied_directories;
mod failed_uploads;
mod file_attributes;
mod interrupted;
mod isolation;
mod locks;
mod names_in_use;
mod origins;
mod own_uploads;
mod patches;
mod permissions;
mod prefetch;
mod requests;
mod sessions;
mod times;
mod unwritten_directory_times;
mod uploads;

use super::*;
use crate::{
    account::{DEFAULT_PARTIAL_UPLOADS_KEPT_FOR, Mounts, Permission, Permissions},
    clock::{Clock, SystemClock},
    cloud::OneBucket,
    journal::MemoryJournal,
    memory::Budget,
    name::{InvalidPath, Prefix},
    store::{self, FairBucket, RequestPermits},
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
    upload::MIN_PART_BYTES,
};
use bytes::Bytes;
use std::{ops::Deref, time::Duration};

const MIB: usize = 1024 * 1024;
const BUDGET_BYTES: u64 = 64 * MIB as u64;
const PATIENCE: Duration = Duration::from_secs(1);

/// One user's tree on a bucket that others use too. It derefs to the [`Vfs`].
struct UserTree {
    vfs: Vfs,
    node: Arc<Node>,
    bucket: Arc<MemoryBucket>,
    journal: Arc<MemoryJournal>,
}

impl UserTree {
    /// alice of acme, with all permissions in `acme/`.
    fn start() -> Self {
        Self::with_mounts(ALL)
    }

    fn with_permissions(permissions: Permissions) -> Self {
        Self::with_mounts(&[("/", "acme/", permissions)])
    }

    /// alice, whose sessions start in `landing`.
    fn landing_at(landing: &str) -> Self {
        let user = user("alice", ALL);
        let mounts = Mounts::new(user.mounts.iter().cloned(), path(landing)).unwrap();
        let alice = User { mounts, ..user };
        Self::on_a_node(alice, Arc::default(), Arc::default(), BUDGET_BYTES)
    }

    fn with_mounts(mounts: &[(&str, &str, Permissions)]) -> Self {
        Self::on_a_node(user("alice", mounts), Arc::default(), Arc::default(), BUDGET_BYTES)
    }

    /// alice, on storage that exists already.
    fn on(bucket: Arc<MemoryBucket>, budget_bytes: u64) -> Self {
        Self::on_a_node(user("alice", ALL), bucket, Arc::default(), budget_bytes)
    }

    /// The first session of a node.
    fn on_a_node(user: User, bucket: Arc<MemoryBucket>, journal: Arc<MemoryJournal>, budget_bytes: u64) -> Self {
        let tenant = user.tenant.clone();
        let fair = FairBucket::new(Arc::clone(&bucket) as Arc<dyn Bucket>, tenant, RequestPermits::new(1_024));
        let buckets = Arc::new(OneBucket::new(Arc::new(fair)));
        let node = Node::new(buckets, Budget::new(budget_bytes), Arc::clone(&journal) as Arc<dyn Journal>);
        Self { vfs: Vfs::new(&Arc::new(user), &Arc::new(acme()), &node), node, bucket, journal }
    }

    /// Another session of the same user, on the same node.
    fn another(&self) -> Self {
        self.beside(ALL)
    }

    /// Another session of the same user, on another node with the same storage and journal.
    fn elsewhere(&self) -> Self {
        let (bucket, journal) = (Arc::clone(&self.bucket), Arc::clone(&self.journal));
        Self::on_a_node(user("alice", ALL), bucket, journal, BUDGET_BYTES)
    }

    /// A session with other mounts, on the same node.
    fn beside(&self, mounts: &[(&str, &str, Permissions)]) -> Self {
        self.of(user("alice", mounts), acme())
    }

    /// A session of another user, or of another tenant's rules, on the same node.
    fn of(&self, user: User, tenant: Tenant) -> Self {
        let vfs = Vfs::new(&Arc::new(user), &Arc::new(tenant), &self.node);
        let (node, bucket, journal) = (Arc::clone(&self.node), Arc::clone(&self.bucket), Arc::clone(&self.journal));
        Self { vfs, node, bucket, journal }
    }

    async fn create(&self, at: &str) -> WriteHandle {
        self.open(at, CREATE).await.unwrap()
    }

    async fn open(&self, at: &str, options: WriteOptions) -> Result<WriteHandle> {
        self.open_write(&path(at), options, NewAttributes::default()).await?.admit(PATIENCE).await
    }

    async fn upload(&self, at: &str, bytes: impl Into<Bytes>) {
        let mut handle = self.create(at).await;
        handle.write(0, bytes.into()).await.unwrap();
        handle.close().await.unwrap();
    }

    async fn names(&self, at: &str) -> Vec<String> {
        self.entries(at).await.into_iter().map(|entry| entry.name).filter(|name| !name.starts_with('.')).collect()
    }

    async fn entries(&self, at: &str) -> Vec<Entry> {
        let mut directory = self.open_directory(&path(at)).await.unwrap();
        let mut entries = Vec::new();
        let mut push = |entry: &Entry| {
            entries.push(entry.clone());
            true
        };
        while directory.next(&mut push).await.unwrap() > 0 {}
        entries
    }

    /// The verbs of the requests since the last call.
    fn requested(&self) -> Vec<Verb> {
        let verbs = self.bucket.verbs();
        self.bucket.forget_requests();
        verbs
    }
}

impl Deref for UserTree {
    type Target = Vfs;

    fn deref(&self) -> &Vfs {
        &self.vfs
    }
}

/// The flags with which OpenSSH opens an upload.
const CREATE: WriteOptions =
    WriteOptions { read: false, write: true, create: true, truncate: true, exclusive: false, append: false };
/// [`CREATE`] without TRUNC.
const KEEP: WriteOptions = WriteOptions { truncate: false, ..CREATE };

/// All of acme's prefix, with all permissions.
const ALL: &[(&str, &str, Permissions)] = &[("/", "acme/", Permissions::ALL)];

fn user(name: &str, mounts: &[(&str, &str, Permissions)]) -> User {
    let mount = |(entry, prefix, permissions): &(&str, &str, _)| Mount {
        entry: path(entry),
        prefix: Prefix::parse(prefix).unwrap(),
        permissions: *permissions,
    };
    User {
        name: name.parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        enabled: true,
        mounts: Mounts::new(mounts.iter().map(mount), VirtualPath::root()).unwrap(),
    }
}

fn acme() -> Tenant {
    Tenant {
        max_object_bytes: 512 << 30,
        max_rename_objects: 2_500,
        partial_uploads_kept_for: Some(DEFAULT_PARTIAL_UPLOADS_KEPT_FOR),
        ..Tenant::new("acme".parse().unwrap())
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemClock.unix_seconds()
}

fn path(raw: &str) -> VirtualPath {
    VirtualPath::parse(raw.as_bytes()).unwrap()
}

// S5: A relative path begins at the landing directory.
#[test]
fn relative_paths_begin_at_the_landing_directory() {
    let session = UserTree::landing_at("/in");
    assert_eq!(session.landing(), &path("/in"));
    for (raw, meant) in [("", "/in"), (".", "/in"), ("a/../b", "/in/b"), ("../b", "/b"), ("/x/", "/x")] {
        assert_eq!(session.path(raw.as_bytes()).unwrap().as_str(), meant);
    }
    assert!(matches!(session.path(b"a\0"), Err(Error::InvalidPath(InvalidPath::Unspeakable))));
}
