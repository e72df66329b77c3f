use super::*;
use crate::{
    app::owner_lookup::fixture::alice,
    events::{Record, SessionUser, Transfer},
    ledger::{Ledger, Location, RecordWriter, SpoolSettings},
    name::{BucketId, Prefix, TransferId},
    store::{Bucket as _, Condition, Payload},
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
};
use std::net::SocketAddr;
use tokio::sync::broadcast::Receiver;
use tokio_util::sync::CancellationToken;

/// A node whose server is killed while alice transfers files.
struct KilledNode {
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
        Self { bucket: Arc::new(MemoryBucket::new()), ledger, settings, _directory: directory }
    }

    /// Begins a transfer of `/a` and kills the server. An upload with a token was about to be published in `bucket`.
    fn kill_in(&self, transfer: Transfer, publishing: Option<(&BucketId, &str)>) {
        let records = self.ledger.records(&self.settings).unwrap().unwrap();
        let (events, transfer_id, mount) = (Events::new("node"), TransferId::new(), Prefix::parse("acme/").unwrap());
        events.spool_to(records.spool as Arc<_>);
        let who = || {
            Who::Session(Arc::new(SessionUser {
                session: "5f0c-1".into(),
                tenant: "acme".parse().unwrap(),
                user: "alice".parse().unwrap(),
                source: SocketAddr::from(([192, 0, 2, 1], 1234)),
                vpc_endpoint: None,
            }))
        };
        events.record(who(), Event::FileOpened { transfer_id, path: "/a".into(), transfer });
        if let Some((bucket, token)) = publishing {
            let (bucket, key, token) = (bucket.clone(), mount.key("a").unwrap(), token.to_owned());
            let event = Event::UploadPublishing { transfer_id, bucket, mount, key, token, size: 3 };
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

    /// Returns the tasks of the next start, and its records.
    fn restart(&self) -> (Resolution, RecordWriter, Receiver<Arc<Record>>) {
        let records = self.ledger.records(&self.settings).unwrap().unwrap();
        let events = Events::new("node");
        let told = events.subscribe();
        let owners = alice(&self.bucket, Permission::Read);
        (Resolution::new(records.spool, owners, events, records.interrupted), records.writer, told)
    }

    /// Returns the end that the next start records.
    async fn resolved(&self) -> TransferEnd {
        let (resolution, writer, mut told) = self.restart();
        resolution.run().await;
        end_writer(writer).await;
        let end = end_of(&told.try_recv().unwrap());
        assert!(told.try_recv().is_err(), "it is resolved once");
        end
    }
}

/// Takes the records to SQL, and forgets the processes whose transfers are resolved.
async fn end_writer(writer: RecordWriter) {
    let end = CancellationToken::new();
    end.cancel();
    writer.run_until(end).await;
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
    assert_eq!(node.resolved().await, TransferEnd::of(Outcome::Abandoned));
    node.kill_in(Transfer::Upload, published);
    assert_eq!(node.resolved().await, TransferEnd::of(Outcome::Abandoned), "there is no object");
    node.store("5eed").await;
    node.kill_in(Transfer::Upload, None);
    assert_eq!(node.resolved().await, TransferEnd::of(Outcome::Abandoned), "it was not about to be published");
    node.kill_in(Transfer::Upload, published);
    let TransferEnd { outcome, size, object } = node.resolved().await;
    let object = object.unwrap();
    assert_eq!((outcome, size, object.key.as_str()), (Outcome::Done, Some(3), "acme/a"));
    assert!(!object.etag.is_empty() && object.bucket == *node.bucket.id());
    node.store("another").await;
    node.kill_in(Transfer::Upload, published);
    let unknown = node.resolved().await;
    assert!(matches!(&unknown.outcome, Outcome::Failed(error) if error.contains("another object")), "{unknown:?}");
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

#[tokio::test]
async fn s3_is_asked_again_until_it_answers_and_the_next_start_continues() {
    let node = KilledNode::new().await;
    node.store("5eed").await;
    node.kill_in(Transfer::Upload, Some((node.bucket.id(), "5eed")));
    let away = || store::Error::Unreachable("away".to_owned());
    node.bucket.fail(Verb::Head, Moment::Request, away());
    let (resolution, _, mut told) = node.restart();
    tokio::time::pause();
    let stopped = timeout(INTERVAL / 2, resolution.run()).await;
    assert!(stopped.is_err() && told.try_recv().is_err());
    node.bucket.fail(Verb::Head, Moment::Request, away());
    let (resolution, writer, mut told) = node.restart();
    resolution.run().await;
    assert_eq!(end_of(&told.try_recv().unwrap()).outcome, Outcome::Done);
    tokio::time::resume();
    end_writer(writer).await;
    let (resolution, ..) = node.restart();
    assert!(resolution.processes.is_empty(), "it is resolved once");
}
