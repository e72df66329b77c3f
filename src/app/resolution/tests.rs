use super::*;
use crate::{
    app::owner_lookup::fixture::alice,
    events::{Record, SessionUser, Transfer},
    ledger::{Ledger, Location, Records, SpoolSettings},
    name::{BucketId, Prefix, TransferId},
    store::{Bucket as _, Condition, Payload},
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
};
use std::net::SocketAddr;
use tokio_util::sync::CancellationToken;

/// A node whose server is killed while alice transfers files.
struct KilledNode {
    tenant: &'static str,
    bucket: Arc<MemoryBucket>,
    ledger: Ledger,
    settings: SpoolSettings,
    _directory: tempfile::TempDir,
}

impl KilledNode {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(&Location::Sqlite(directory.path().join("ledger.db"))).await.unwrap();
        let settings = SpoolSettings { directory: directory.path().join("spool"), max_bytes: 1 << 20 };
        Self { tenant: "acme", bucket: Arc::new(MemoryBucket::new()), ledger, settings, _directory: directory }
    }

    /// Begins a transfer of `/a` and kills the server. An upload with a token was about to be published in `bucket`.
    fn kill_in(&self, transfer: Transfer, publishing: Option<(&BucketId, &str)>) {
        let records = self.ledger.records(&self.settings).unwrap().unwrap();
        let (events, transfer_id, mount) = (Events::new("node"), TransferId::new(), Prefix::parse("acme/").unwrap());
        events.spool_to(records.spool as Arc<_>);
        let who = || {
            Who::Session(Arc::new(SessionUser {
                session: "5f0c-1".into(),
                tenant: self.tenant.parse().unwrap(),
                user: "alice".parse().unwrap(),
                source: SocketAddr::from(([192, 0, 2, 1], 1234)),
                vpc_endpoint: None,
            }))
        };
        events.record(who(), Event::FileOpened { transfer_id, path: "/a".into(), transfer });
        if let Some((bucket, token)) = publishing {
            let (bucket, key, token) = (bucket.clone(), mount.key("a").unwrap(), token.to_owned());
            let path = "/a".to_owned();
            let event = Event::UploadPublishing { transfer_id, path, bucket, mount, key, token, size: 3 };
            events.record_unlogged(who(), event);
        }
    }

    /// Stores an object under the key of `/a`.
    async fn store(&self, token: &str) {
        let mut object = NewObject::default();
        object.metadata.insert(NewObject::TOKEN.to_owned(), token.to_owned());
        let key = Prefix::parse("acme/").unwrap().key("a").unwrap();
        let payload = Payload::new(vec!["abc".into()]);
        self.bucket.put(&key, payload, &object, Condition::Always).await.unwrap();
    }

    /// Returns the ends that the next start records within `minutes`.
    async fn resolved_in(&self, minutes: u64) -> Vec<TransferEnd> {
        let Records { spool, mut writer, interrupted } = self.ledger.records(&self.settings).unwrap().unwrap();
        let events = Events::new("node");
        events.spool_to(Arc::clone(&spool) as Arc<_>);
        let mut told = events.subscribe();
        let resolution = Resolution::new(spool, alice(&self.bucket, Permission::Read), events, interrupted);
        writer.take_over_ended().await;
        // SQLite takes real time.
        tokio::time::pause();
        let running = timeout(Duration::from_mins(minutes), resolution.run()).await;
        assert!(running.is_err(), "other processes may end");
        tokio::time::resume();
        let end = CancellationToken::new();
        end.cancel();
        writer.run_until(end).await;
        std::iter::from_fn(|| told.try_recv().ok()).map(|record| end_of(&record)).collect()
    }

    /// Returns the end that the next start records when S3 can publish nothing any more.
    async fn resolved(&self) -> TransferEnd {
        let [end] = &self.resolved_in(11).await[..] else { panic!("it is resolved once") };
        end.clone()
    }
}

fn end_of(record: &Record) -> TransferEnd {
    let Event::TransferResolved { path, outcome, size, object, .. } = &record.event else { panic!("{record:?}") };
    assert_eq!((path.as_str(), record.who.user().unwrap().1.as_str()), ("/a", "alice"));
    TransferEnd { outcome: outcome.clone(), size: *size, object: object.as_deref().cloned() }
}

#[tokio::test]
async fn one_head_tells_if_s3_published_an_interrupted_upload() {
    let node = KilledNode::new().await;
    let published = Some((node.bucket.id(), "5eed"));
    node.kill_in(Transfer::Download, None);
    assert_eq!(node.resolved_in(1).await, [TransferEnd::of(Outcome::Abandoned)]);
    node.kill_in(Transfer::Upload, published);
    assert_eq!(node.resolved().await, TransferEnd::of(Outcome::Abandoned), "there is no object");
    node.kill_in(Transfer::Upload, published);
    let denied = || store::Error::Forbidden { request: "AccessDenied".to_owned() };
    (0..20).for_each(|_| node.bucket.fail(Verb::Head, Moment::Request, denied()));
    assert_eq!(node.resolved().await, TransferEnd::of(Outcome::Abandoned), "S3 denies it, and lists none");
    node.bucket.forget_faults();
    node.store("5eed").await;
    node.kill_in(Transfer::Upload, None);
    assert_eq!(node.resolved_in(1).await, [TransferEnd::of(Outcome::Abandoned)], "it was not about to be published");
    node.kill_in(Transfer::Upload, published);
    let [TransferEnd { outcome, size, object: Some(object) }] = &node.resolved_in(1).await[..] else { panic!("one") };
    assert_eq!((outcome, size, object.key.as_str()), (&Outcome::Done, &Some(3), "acme/a"));
    assert!(!object.etag.is_empty() && object.bucket == *node.bucket.id());
    node.store("another").await;
    node.kill_in(Transfer::Upload, published);
    let unknown = node.resolved().await;
    assert!(matches!(&unknown.outcome, Outcome::Failed(error) if error.contains("another object")), "{unknown:?}");
}

/// S3 works on for minutes at a request that a killed server sent.
#[tokio::test]
async fn an_upload_that_is_not_there_yet_may_follow() {
    let node = KilledNode::new().await;
    node.store("former").await;
    node.kill_in(Transfer::Upload, Some((node.bucket.id(), "5eed")));
    assert_eq!(node.resolved_in(9).await, []);
    node.store("5eed").await;
    assert_eq!(node.resolved_in(1).await[0].outcome, Outcome::Done);
}

/// A tenant whose bucket has changed gets no answer from the new one.
#[tokio::test]
async fn an_upload_to_a_bucket_of_the_past_is_not_looked_for_in_another() {
    let node = KilledNode::new().await;
    node.store("5eed").await;
    node.kill_in(Transfer::Upload, Some((&BucketId::new("former", None), "5eed")));
    let unknown = node.resolved().await;
    assert!(matches!(&unknown.outcome, Outcome::Failed(error) if error.contains("another bucket")), "{unknown:?}");
}

/// A tenant whose file is broken at the start comes back with its next reload.
#[tokio::test]
async fn a_tenant_that_is_missing_may_come_back_within_a_day() {
    let mut node = KilledNode::new().await;
    node.tenant = "globex";
    node.kill_in(Transfer::Upload, Some((node.bucket.id(), "5eed")));
    assert_eq!(node.resolved_in(23 * 60).await, []);
    let ends = node.resolved_in(25 * 60).await;
    assert!(matches!(&ends[0].outcome, Outcome::Failed(error) if error.contains("isn't in the config")), "{ends:?}");
}

#[tokio::test]
async fn s3_is_asked_again_until_it_answers_and_the_next_start_continues() {
    let node = KilledNode::new().await;
    node.store("5eed").await;
    node.kill_in(Transfer::Upload, Some((node.bucket.id(), "5eed")));
    for away in [store::Error::Unreachable("away".to_owned()), store::Error::Credentials("none yet".to_owned())] {
        (0..20).for_each(|_| node.bucket.fail(Verb::Head, Moment::Request, away.clone()));
        assert_eq!(node.resolved_in(12).await, [], "{away}");
        node.bucket.forget_faults();
    }
    assert_eq!(node.resolved_in(1).await[0].outcome, Outcome::Done);
    assert_eq!(node.resolved_in(1).await, [], "it is resolved once");
}

/// A transfer is forgotten only when its end is on record.
#[tokio::test]
async fn a_full_spool_keeps_the_transfers_for_the_next_start() {
    let mut node = KilledNode::new().await;
    node.kill_in(Transfer::Download, None);
    node.settings.max_bytes = 100;
    assert!(!node.resolved_in(1).await.is_empty());
    node.settings.max_bytes = 1 << 20;
    assert_eq!(node.resolved_in(1).await, [TransferEnd::of(Outcome::Abandoned)]);
    assert_eq!(node.resolved_in(1).await, []);
}
