//! Sessions that rename or remove one name at the same moment, through the SDK against the demo's S3. They run on one
//! node, on two nodes with one PostgreSQL, and on two nodes that only S3 can arbitrate. In each race exactly one
//! session gets the source.
//!
//! The sessions reach S3 as a role with a session policy, so S3 answers 403 for a source that another session has
//! taken.

use crate::{
    roles::TenantAccount,
    support::{
        postgres::Postgres,
        scope,
        tree::{node, session},
    },
};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use std::{sync::Arc, time::Duration};
use wharfinger::{
    account::Permissions,
    journal::{Journal, MemoryJournal},
    ledger::{Ledger, Location},
    memory::Budget,
    name::{Prefix, VirtualPath},
    store::{Bucket, Condition, ListScope, NewObject, Payload},
    vfs::{Error, Replace, Result, Vfs},
};

const RACES: usize = 60;
/// Limit on races that run concurrently.
const AT_ONCE: usize = 6;
/// Latency of S3's answers, so that the requests of two sessions interleave.
const LATENCY: Duration = Duration::from_millis(3);

/// Two sessions with their nodes, bucket and account.
pub struct Arena {
    pub sessions: [Arc<Vfs>; 2],
    bucket: Arc<dyn Bucket>,
    account: TenantAccount,
    /// The ledger that the nodes share, if they share one.
    pub postgres: Option<Postgres>,
}

impl Arena {
    async fn one_node() -> Self {
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
        Self::of([journal], None).await
    }

    pub async fn two_nodes() -> Self {
        let postgres = Postgres::start();
        let location = Location::parse(&postgres.url()).unwrap();
        let [one, other] = [Ledger::open(&location).await.unwrap(), Ledger::open(&location).await.unwrap()];
        Self::of([one.journal(), other.journal()], Some(postgres)).await
    }

    /// Two nodes that don't share a ledger, as while PostgreSQL is down.
    async fn strangers() -> Self {
        let journal = || Arc::new(MemoryJournal::default()) as Arc<dyn Journal>;
        Self::of([journal(), journal()], None).await
    }

    async fn of<const N: usize>(journals: [Arc<dyn Journal>; N], postgres: Option<Postgres>) -> Self {
        let account = TenantAccount::open().await;
        let bucket = scope::bucket(account.storage(), "acme/").await;
        account.s3.delay(LATENCY);
        let budget = Budget::new(64 << 20);
        let nodes = journals.map(|journal| node(Arc::clone(&bucket), &budget, journal));
        let session = |number: usize| Arc::new(session("alice", Permissions::ALL, &nodes[number % N]));
        Self { sessions: [session(0), session(1)], bucket, account, postgres }
    }

    async fn put(&self, names: &[String]) {
        for name in names {
            let bytes = if name.ends_with('/') { Vec::new() } else { vec![Bytes::from(name.clone())] };
            let key = acme().adopt(&format!("acme/{name}")).unwrap();
            self.bucket.put(&key, Payload::new(bytes), &NewObject::default(), Condition::Absent).await.unwrap();
        }
    }

    /// Returns all names that begin with `start`, without the tenant's prefix.
    async fn names(&self, start: &str) -> Vec<String> {
        let page = self.bucket.list(ListScope::StartingWith(&acme().key(start).unwrap()), None, 100).await.unwrap();
        page.objects.into_iter().map(|listed| listed.raw_key.trim_start_matches("acme/").to_owned()).collect()
    }

    /// Runs both changes of one race at the same moment.
    async fn race(&self, changes: [NameChange; 2]) -> [Result<()>; 2] {
        let [one, other] = [0, 1].map(|number| {
            let (session, change) = (Arc::clone(&self.sessions[number]), changes[number].clone());
            tokio::spawn(async move { change.run(&session).await })
        });
        [one.await.unwrap(), other.await.unwrap()]
    }

    pub async fn end(self) {
        self.account.s3.stop().await;
    }
}

#[derive(Clone, Debug)]
enum NameChange {
    Rename(String, String, Replace),
    Remove(String),
    Rmdir(String),
}

impl NameChange {
    async fn run(&self, session: &Vfs) -> Result<()> {
        match self {
            Self::Rename(source, target, replace) => session.rename(&path(source), &path(target), *replace).await,
            Self::Remove(source) => session.remove(&path(source)).await,
            Self::Rmdir(source) => session.rmdir(&path(source)).await,
        }
    }
}

fn acme() -> Prefix {
    Prefix::parse("acme/").unwrap()
}

pub fn path(name: &str) -> VirtualPath {
    VirtualPath::parse(format!("/{name}").as_bytes()).unwrap()
}

/// Determines the objects of a source.
#[derive(Clone, Copy, Debug)]
enum SourceKind {
    File,
    Empty,
    Full,
}

impl SourceKind {
    fn names(self, source: &str) -> Vec<String> {
        match self {
            Self::File => vec![source.to_owned()],
            Self::Empty => vec![format!("{source}/")],
            Self::Full => ["", "a", "sub/b"].map(|name| format!("{source}/{name}")).into(),
        }
    }
}

/// Races of two renames of one source to different names.
async fn renames(arena: &Arena, kind: SourceKind) {
    let races = (0..RACES).map(|number| async move {
        let source = format!("{kind:?}-{number}.");
        arena.put(&kind.names(&source)).await;
        let replace = if number % 2 == 0 { Replace::No } else { Replace::Yes };
        let target = |winner: usize| format!("{source}.{winner}");
        let changes = [0, 1].map(|session| NameChange::Rename(source.clone(), target(session), replace));
        let winner = match arena.race(changes).await {
            [Ok(()), Err(Error::NotFound)] => 0,
            [Err(Error::NotFound), Ok(())] => 1,
            answers => panic!("{source}: {answers:?}"),
        };
        assert_eq!(arena.names(&source).await, kind.names(&target(winner)));
    });
    stream::iter(races).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Races of a rename and a removal of one source.
async fn removals(arena: &Arena, kind: SourceKind) {
    let races = (0..RACES).map(|number| async move {
        let source = format!("{kind:?}-removal-{number}.");
        arena.put(&kind.names(&source)).await;
        let target = format!("{source}.0");
        let remove = match kind {
            SourceKind::File => NameChange::Remove(source.clone()),
            SourceKind::Empty | SourceKind::Full => NameChange::Rmdir(source.clone()),
        };
        let expected = match arena.race([NameChange::Rename(source.clone(), target.clone(), Replace::No), remove]).await
        {
            [Ok(()), Err(Error::NotFound)] => kind.names(&target),
            [Err(Error::NotFound), Ok(())] => Vec::new(),
            answers => panic!("{source}: {answers:?}"),
        };
        assert_eq!(arena.names(&source).await, expected);
    });
    stream::iter(races).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Races for one target, from two sources or one. With `is_late` the second rename may find the first one's copy before
/// its source is gone.
async fn targets(arena: &Arena, is_late: bool) {
    let races = (0..RACES).map(|number| async move {
        let (one, other, target) = (format!("{number}.a"), format!("{number}.b"), format!("{number}.c"));
        arena.put(&[one.clone(), other.clone()]).await;
        let rename = |source: &String| NameChange::Rename(source.clone(), target.clone(), Replace::No);
        let left = match arena.race([rename(&one), rename(&other)]).await {
            [Ok(()), Err(Error::AlreadyExists)] => &other,
            [Err(Error::AlreadyExists), Ok(())] => &one,
            answers => panic!("{number}: {answers:?}"),
        };
        assert_eq!(arena.names(&format!("{number}.")).await, [left.as_str(), &target]);
        let source = format!("{number}-one.a");
        arena.put(std::slice::from_ref(&source)).await;
        let target = format!("{number}-one.b");
        let replace = if number % 2 == 0 { Replace::No } else { Replace::Yes };
        let rename = || NameChange::Rename(source.clone(), target.clone(), replace);
        let answers = arena.race([rename(), rename()]).await;
        let lost = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
        assert!(answers.iter().any(Result::is_ok), "{answers:?}");
        let is_found = is_late && matches!(lost, Error::AlreadyExists);
        assert!(is_found || matches!(lost, Error::NotFound), "{number}: {lost:?}");
        assert_eq!(arena.names(&format!("{number}-one.")).await, [target.as_str()]);
        let object = arena.bucket.head(&acme().key(&target).unwrap()).await.unwrap();
        assert_eq!(object.size, source.len() as u64);
    });
    stream::iter(races).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

/// Races of two renames of one source, each over its own file. The loser must not have replaced its file.
async fn replacements(arena: &Arena) {
    let races = (0..RACES).map(|number| async move {
        let source = format!("over-{number}.");
        let targets = [0, 1].map(|session| format!("{source}.{session}"));
        arena.put(&[source.clone(), targets[0].clone(), targets[1].clone()]).await;
        let changes = [0, 1].map(|session| NameChange::Rename(source.clone(), targets[session].clone(), Replace::Yes));
        let winner = match arena.race(changes).await {
            [Ok(()), Err(Error::NotFound)] => 0,
            [Err(Error::NotFound), Ok(())] => 1,
            answers => panic!("{source}: {answers:?}"),
        };
        for (session, target) in targets.iter().enumerate() {
            let size = arena.bucket.head(&acme().key(target).unwrap()).await.unwrap().size;
            let content = if session == winner { &source } else { target };
            assert_eq!(size, content.len() as u64, "{target} has another's bytes, and {winner} won");
        }
    });
    stream::iter(races).buffer_unordered(AT_ONCE).collect::<Vec<()>>().await;
}

// S140: Of several sessions that RENAME, REMOVE or RMDIR one file or directory at the same moment, on whatever node, …
// S141: They wait for each other before they touch anything, on one node and on nodes that share a ledger in PostgreSQL. …
#[tokio::test(flavor = "multi_thread")]
async fn on_one_node_exactly_one_has_the_source() {
    let arena = Arena::one_node().await;
    for kind in [SourceKind::File, SourceKind::Empty, SourceKind::Full] {
        renames(&arena, kind).await;
    }
    for kind in [SourceKind::File, SourceKind::Empty] {
        removals(&arena, kind).await;
    }
    targets(&arena, false).await;
    replacements(&arena).await;
    arena.end().await;
}

// S140: Of several sessions that RENAME, REMOVE or RMDIR one file or directory at the same moment, on whatever node, …
// S141: They wait for each other before they touch anything, on one node and on nodes that share a ledger in PostgreSQL. …
#[tokio::test(flavor = "multi_thread")]
async fn on_two_nodes_with_one_postgresql_exactly_one_has_the_source() {
    let arena = Arena::two_nodes().await;
    for kind in [SourceKind::File, SourceKind::Empty, SourceKind::Full] {
        renames(&arena, kind).await;
    }
    for kind in [SourceKind::File, SourceKind::Empty] {
        removals(&arena, kind).await;
    }
    targets(&arena, false).await;
    replacements(&arena).await;
    arena.end().await;
}

// S137: Of two RENAMEs of one source to one target exactly one is told OK, and the target holds the source's bytes.
// S138: Of two sources that are renamed to one target without replacing, exactly one gets the name and the other stays; …
#[tokio::test(flavor = "multi_thread")]
async fn where_s3_alone_decides_exactly_one_has_the_source() {
    let arena = Arena::strangers().await;
    for kind in [SourceKind::File, SourceKind::Empty] {
        renames(&arena, kind).await;
        removals(&arena, kind).await;
    }
    targets(&arena, true).await;
    arena.end().await;
}
