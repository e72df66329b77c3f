//! Sessions on a bucket in memory: the registry, and the records that the verbs leave.

use crate::support::{scope, tree::node};
use std::{future::poll_fn, sync::Arc, time::Duration};
use tokio::sync::broadcast::Receiver;
use wharfinger::{
    account::{Mounts, Permissions, Tenant, User},
    events::{ClientProgram, Event, Events, Record, Who},
    journal::MemoryJournal,
    memory::Budget,
    name::{Prefix, TenantName, VirtualPath},
    session::{
        Activity, EndCause, FileUpload, NewSession, Protocol, Registration, Session, SessionTree, Sessions, Transfer,
        TreeChange, WriteOpening,
    },
    store::{Bucket as _, Error as StorageError},
    tenants::Tenants,
    testing::{
        MemoryBucket,
        bucket::{Moment, Verb},
    },
    vfs::{CopyRange, Error, NewAttributes, WriteOptions},
};

/// All sessions, and everything that is recorded of them.
fn sessions() -> (Sessions, Receiver<Arc<Record>>) {
    sessions_on(Arc::new(MemoryBucket::new()))
}

fn sessions_on(bucket: Arc<MemoryBucket>) -> (Sessions, Receiver<Arc<Record>>) {
    let node = node(bucket, &Budget::new(64 << 20), Arc::new(MemoryJournal::default()));
    let events = Events::new("node-1");
    let records = events.subscribe();
    (Sessions::new(node, events), records)
}

fn begin(sessions: &Sessions, id: &str, user: &str, tenant: &str) -> (Arc<Session>, Registration) {
    let tenant: TenantName = tenant.parse().unwrap();
    let user = User {
        name: user.parse().unwrap(),
        tenant: tenant.clone(),
        enabled: true,
        mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
    };
    let tenant = Tenant {
        max_object_bytes: 1 << 30,
        max_rename_objects: 100,
        partial_uploads_kept_for: None,
        ..Tenant::new(tenant)
    };
    let name = user.name.clone();
    let (_, logins) = Tenants::with_logins(&[scope::setup_of(user, tenant)]);
    sessions.begin(NewSession {
        id: id.into(),
        grant: scope::granted(&logins, &name),
        source: ([192, 0, 2, 7], 4711).into(),
        vpc_endpoint: None,
        protocol: Protocol::Sftp,
        client: ClientProgram { version: Some("SSH-2.0-test".into()), algorithms: None },
        activity: Activity::new(),
    })
}

fn path(raw: &str) -> VirtualPath {
    VirtualPath::parse(raw.as_bytes()).unwrap()
}

/// Begins an upload that replaces the file.
async fn upload(tree: &Arc<SessionTree>, path: &VirtualPath) -> FileUpload {
    let options = WriteOptions { write: true, create: true, truncate: true, ..WriteOptions::default() };
    let opened = tree.open_write(path, options, NewAttributes::default(), never()).await.unwrap();
    let WriteOpening::Upload(pending) = opened else { panic!("{opened:?}") };
    pending.admit(Duration::ZERO).await.unwrap().begin().await
}

/// A turn that no request waits for.
fn never() -> impl Future<Output = ()> {
    poll_fn(|_| panic!("waited for a later turn"))
}

/// The records since the last call, as JSON without what differs from run to run.
fn recorded(records: &mut Receiver<Arc<Record>>) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    while let Ok(record) = records.try_recv() {
        let mut json = serde_json::to_value(&*record).unwrap();
        let fields = json.as_object_mut().unwrap();
        for field in ["id", "at", "node", "source", "tenant", "duration_ms", "transfer_id", "token"] {
            fields.remove(field);
        }
        all.push(json);
    }
    all
}

#[tokio::test]
async fn the_registry_lists_a_session_and_its_transfers_until_they_end() {
    let bucket = Arc::new(MemoryBucket::new());
    bucket.insert("acme/b", "123456789");
    let (sessions, _records) = sessions_on(bucket);
    let (session, registration) = begin(&sessions, "5f0c", "alice", "acme");
    let (one, other) = (session.open_tree(), session.open_tree());
    let tree = one.tree();
    tree.traffic().count_received(100);
    other.tree().traffic().count_sent(7);
    let mut upload = upload(tree, &path("/in/a")).await;
    let download = tree.open_read(&path("/b")).await.unwrap();
    upload.write(0, "12345".into()).await.unwrap();

    let [listed] = &sessions.registry().list()[..] else { panic!("one session") };
    assert_eq!((&*listed.id, listed.user.as_str(), listed.tenant.as_str()), ("5f0c", "alice", "acme"));
    assert_eq!((listed.source.port(), listed.client.as_deref()), (4711, Some("SSH-2.0-test")));
    assert_eq!((listed.received_bytes, listed.sent_bytes), (100, 7), "of all channels");
    let transfers: Vec<_> = listed.transfers.iter().map(|t| (t.path.as_str(), t.transfer, t.bytes, t.size)).collect();
    assert_eq!(transfers, [("/in/a", Transfer::Upload, 5, None), ("/b", Transfer::Download, 0, Some(9))]);

    drop(upload);
    assert_eq!(download.read(0, 4).await.unwrap().concat(), b"1234");
    assert_eq!(sessions.registry().list()[0].transfers[0].bytes, 4);
    download.close();
    assert!(sessions.registry().list()[0].transfers.is_empty());
    drop(registration);
    assert!(sessions.registry().list().is_empty(), "it is gone with its connection");
    assert!(!sessions.registry().end("5f0c", EndCause::Operator));
}

#[tokio::test]
async fn one_session_all_of_a_user_and_all_of_a_tenant_can_be_ended() {
    let (sessions, _records) = sessions();
    let all = [("1", "alice", "acme"), ("2", "alice", "acme"), ("3", "bob", "acme"), ("4", "carol", "globex")];
    let all = all.map(|(id, user, tenant)| begin(&sessions, id, user, tenant));
    let asked = || {
        let asked =
            all.iter().filter(|(session, _)| futures_util::FutureExt::now_or_never(session.end_asked()).is_some());
        asked.map(|(session, _)| session.who().session.to_string()).collect::<Vec<_>>()
    };
    let registry = sessions.registry();
    assert!(!registry.end("5", EndCause::Operator) && asked().is_empty());
    assert!(registry.end("2", EndCause::Operator));
    assert_eq!(asked(), ["2"]);
    assert_eq!(registry.end_user(&"alice".parse().unwrap(), EndCause::Operator), 1, "the other was asked before");
    assert_eq!(asked(), ["1", "2"]);
    assert_eq!(registry.end_tenant(&"acme".parse().unwrap(), EndCause::Operator), 1);
    assert_eq!(asked(), ["1", "2", "3"], "another tenant's session stays");
}

#[tokio::test]
async fn the_verbs_record_what_they_did_and_what_failed() {
    let bucket = Arc::new(MemoryBucket::versioned());
    bucket.insert("acme/b", "1");
    bucket.insert("acme/cold", "1");
    assert!(bucket.archive("acme/cold"));
    let (sessions, mut records) = sessions_on(Arc::clone(&bucket));
    let (session, _registration) = begin(&sessions, "5f0c", "alice", "acme");
    let mut open_tree = session.open_tree();
    let tree = open_tree.tree();
    let mkdir = TreeChange::Mkdir(NewAttributes::default());
    for expected in [true, false] {
        assert_eq!(tree.change(&mkdir, &path("/d"), never()).await.is_ok(), expected);
    }
    let mut upload = upload(tree, &path("/a")).await;
    upload.write(0, "123456789".into()).await.unwrap();
    upload.close().await.unwrap();
    drop(tree.open_read(&path("/b")).await.unwrap());
    let archived = tree.open_read(&path("/cold")).await.unwrap_err();
    tree.open_read(&path("/missing")).await.unwrap_err();
    open_tree.set_end_reason("why".to_owned());
    drop(open_tree);

    let mut recorded = recorded(&mut records);
    let stored = bucket.head(&Prefix::parse("acme/").unwrap().key("a").unwrap()).await.unwrap().pin;
    let version = stored.version.map(|version| version.0);
    let request_id = version.as_ref().map(|version| format!("MEMORY{:0>10}", version.trim_start_matches("version-")));
    for (field, expected) in [("etag", Some(stored.etag.0)), ("version", version), ("request_id", request_id)] {
        let answered = recorded[5]["object"].as_object_mut().unwrap().remove(field);
        assert_eq!(answered, Some(expected.expect("a versioned bucket").into()), "{field}");
    }
    let read = recorded[7]["object"].as_object_mut().unwrap();
    assert!(read.remove("etag").is_some() && read.remove("version").is_some());
    let (session, user, bucket) = ("5f0c-1", "alice", bucket.id());
    assert_eq!(
        recorded,
        [
            serde_json::json!({ "session": session, "user": user, "event": "session_started" }),
            serde_json::json!({ "session": session, "user": user, "event": "changed", "change": "mkdir", "path": "/d",
                "outcome": "done" }),
            serde_json::json!({ "session": session, "user": user, "event": "changed", "change": "mkdir", "path": "/d",
                "outcome": "refused", "error": "a file or directory of this name exists already" }),
            serde_json::json!({ "session": session, "user": user, "event": "file_opened", "path": "/a",
                "transfer": "upload" }),
            serde_json::json!({ "session": session, "user": user, "event": "upload_publishing", "path": "/a",
                "bucket": bucket, "mount": "acme/", "key": "acme/a", "size": 9 }),
            serde_json::json!({ "session": session, "user": user, "event": "file_closed", "path": "/a",
                "transfer": "upload", "bytes": 9, "size": 9, "outcome": "done", "object": { "bucket": bucket, "key": "acme/a",
                "checksum_crc64nvme": "rosUhgp5mIg=" } }),
            serde_json::json!({ "session": session, "user": user, "event": "file_opened", "path": "/b",
                "transfer": "download" }),
            serde_json::json!({ "session": session, "user": user, "event": "file_closed", "path": "/b",
                "transfer": "download", "bytes": 0, "outcome": "abandoned",
                "object": { "bucket": bucket, "key": "acme/b" } }),
            serde_json::json!({ "session": session, "user": user, "event": "request_failed", "request": "OPEN",
                "path": "/cold", "outcome": "failed", "error": archived.to_string() }),
            serde_json::json!({ "session": session, "user": user, "event": "session_ended", "received_bytes": 0,
                "sent_bytes": 0, "suppressed": 0, "reason": "why" }),
        ]
    );
}

/// An edge that drops a change, a file or the tree leaves no record out.
#[tokio::test(start_paused = true)]
async fn a_change_that_is_dropped_is_on_record() {
    let bucket = Arc::new(MemoryBucket::new());
    let (sessions, mut records) = sessions_on(Arc::clone(&bucket));
    let (session, _registration) = begin(&sessions, "5f0c", "alice", "acme");
    let open_tree = session.open_tree();
    let _hold = bucket.hold(Verb::Put, Moment::Request);
    let (mkdir, directory) = (TreeChange::Mkdir(NewAttributes::default()), path("/d"));
    let change = open_tree.tree().change(&mkdir, &directory, never());
    assert!(tokio::time::timeout(Duration::from_secs(1), change).await.is_err());
    drop(open_tree);
    let events = recorded(&mut records);
    let events: Vec<_> = events.iter().map(|event| (event["event"].as_str(), event["outcome"].as_str())).collect();
    let expected = [("session_started", None), ("changed", Some("abandoned")), ("session_ended", None)];
    assert_eq!(events, expected.map(|(event, outcome)| (Some(event), outcome)));
}

#[tokio::test(start_paused = true)]
async fn a_copy_that_is_dropped_is_on_record() {
    let bucket = Arc::new(MemoryBucket::new());
    bucket.insert("acme/b", vec![0; 40 << 20]);
    let (sessions, mut records) = sessions_on(Arc::clone(&bucket));
    let (session, _registration) = begin(&sessions, "5f0c", "alice", "acme");
    let open_tree = session.open_tree();
    let source = open_tree.tree().open_read(&path("/b")).await.unwrap();
    let mut target = upload(open_tree.tree(), &path("/a")).await;
    recorded(&mut records);
    let _hold = bucket.hold(Verb::CopyPart, Moment::Request);
    let range = CopyRange { source_offset: 0, length: None, target_offset: 0 };
    let copy = target.copy(source.file(), range);
    assert!(tokio::time::timeout(Duration::from_secs(1), copy).await.is_err());
    let (session, user) = ("5f0c-1", "alice");
    let expected = serde_json::json!({ "session": session, "user": user, "event": "changed", "change": "copy",
        "path": "/b", "target": "/a", "outcome": "abandoned" });
    assert_eq!(recorded(&mut records), [expected]);
}

/// The parts of such an upload are billed until the sweep or the bucket's lifecycle rules remove them.
#[tokio::test(start_paused = true)]
async fn an_abandoned_upload_that_can_not_be_aborted_is_on_record() {
    let bucket = Arc::new(MemoryBucket::new());
    let (sessions, mut records) = sessions_on(Arc::clone(&bucket));
    let (session, _registration) = begin(&sessions, "5f0c", "alice", "acme");
    let open_tree = session.open_tree();
    let mut upload = upload(open_tree.tree(), &path("/a")).await;
    for number in 0..100 {
        upload.write(number * 200_000, vec![0; 200_000].into()).await.unwrap();
    }
    let denied = StorageError::Forbidden { request: "AccessDenied".into() };
    let error = denied.to_string();
    bucket.fail(Verb::AbortUpload, Moment::Request, denied);
    drop((upload, open_tree));
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bucket.open_uploads(), 1);
    let mut records = recorded(&mut records);
    let mut record = records.pop().unwrap();
    assert!(record.as_object_mut().unwrap().remove("upload_id").is_some());
    let expected = serde_json::json!({ "session": "5f0c-1", "user": "alice", "event": "upload_not_aborted",
        "key": "acme/a", "outcome": "failed", "error": error });
    assert_eq!(record, expected);
}

/// A client can make thousands of requests fail in a second.
#[tokio::test(start_paused = true)]
async fn failures_beyond_a_rate_have_records_and_no_log_lines() {
    let (sessions, mut records) = sessions();
    let (session, _registration) = begin(&sessions, "5f0c", "alice", "acme");
    let open_tree = session.open_tree();
    let tree = open_tree.tree();
    for _ in 0..250 {
        assert!(matches!(tree.path("STAT", b"/a\0"), Err(Error::InvalidPath(_))));
    }
    assert!(matches!(tree.stat(&path("/a")).await, Err(Error::NotFound)));
    drop(open_tree);
    let (mut failed, mut ended) = (0, Vec::new());
    while let Ok(record) = records.try_recv() {
        assert!(matches!(record.who, Who::Session(_)));
        match &record.event {
            Event::RequestFailed { .. } => failed += 1,
            Event::SessionEnded { suppressed, .. } => ended.push(*suppressed),
            event => assert!(matches!(event, Event::SessionStarted)),
        }
    }
    assert_eq!(failed, 250, "what isn't there is no failure");
    assert_eq!(ended, [150], "100 have a line");
}
