//! Sessions on a bucket in memory: the registry, and the records that the verbs leave.

use crate::support::tree::node;
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use wharfinger::{
    account::{Mounts, Permissions, Tenant, User},
    events::{ClientProgram, Event, Events, Record, Who},
    name::{Prefix, TenantName, VirtualPath},
    session::{Activity, EndCause, NewSession, Protocol, Registered, Session, Sessions, Transfer, TreeChange},
    store::{ETag, MemoryBucket, MemoryJournal, VersionId},
    vfs::{Budget, Error, NewAttributes, Published},
};

/// All sessions, and everything that is recorded of them.
fn sessions() -> (Sessions, Receiver<Arc<Record>>) {
    let node = node(Arc::new(MemoryBucket::new()), &Budget::new(64 << 20), Arc::new(MemoryJournal::default()));
    let events = Events::new("node-1");
    let records = events.subscribe();
    (Sessions::new(node, events), records)
}

fn begin(sessions: &Sessions, id: &str, user: &str, tenant: &str) -> (Arc<Session>, Registered) {
    let tenant: TenantName = tenant.parse().unwrap();
    sessions.begin(NewSession {
        id: id.into(),
        user: Arc::new(User {
            name: user.parse().unwrap(),
            tenant: tenant.clone(),
            enabled: true,
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
        }),
        tenant: Arc::new(Tenant {
            name: tenant,
            enabled: true,
            max_object_bytes: 1 << 30,
            fetch_ahead: true,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
        }),
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

/// An object as S3 may have answered.
fn published() -> Published {
    Published {
        key: Prefix::parse("acme/").unwrap().key("a").unwrap(),
        size: 3,
        etag: ETag("\"e\"".to_owned()),
        version: Some(VersionId("v".to_owned())),
        checksum: Some(1),
        request_id: Some("4711".to_owned()),
    }
}

/// The records since the last call, as JSON without what differs from run to run.
fn recorded(records: &mut Receiver<Arc<Record>>) -> Vec<serde_json::Value> {
    let mut all = Vec::new();
    while let Ok(record) = records.try_recv() {
        let mut json = serde_json::to_value(&*record).unwrap();
        let fields = json.as_object_mut().unwrap();
        for field in ["id", "at", "node", "source", "tenant", "duration_ms"] {
            fields.remove(field);
        }
        all.push(json);
    }
    all
}

#[tokio::test]
async fn the_registry_lists_a_session_and_its_transfers_until_they_end() {
    let (sessions, _records) = sessions();
    let (session, registered) = begin(&sessions, "5f0c", "alice", "acme");
    let tree = session.open_tree();
    tree.traffic().count_received(100);
    session.open_tree().traffic().count_sent(7);
    let upload = tree.begin_transfer(&path("/in/a"), Transfer::Upload, None);
    let download = tree.begin_transfer(&path("/b"), Transfer::Download, Some(9));
    upload.count(5);
    upload.rename("/in/c");

    let [listed] = &sessions.registry().list()[..] else { panic!("one session") };
    assert_eq!((&*listed.id, listed.user.as_str(), listed.tenant.as_str()), ("5f0c", "alice", "acme"));
    assert_eq!((listed.source.port(), listed.client.as_deref()), (4711, Some("SSH-2.0-test")));
    assert_eq!((listed.received_bytes, listed.sent_bytes), (100, 7), "of all channels");
    let transfers: Vec<_> = listed.transfers.iter().map(|t| (t.path.as_str(), t.transfer, t.bytes, t.size)).collect();
    assert_eq!(transfers, [("/in/c", Transfer::Upload, 5, None), ("/b", Transfer::Download, 0, Some(9))]);

    drop(upload);
    download.done(9, None);
    assert!(sessions.registry().list()[0].transfers.is_empty());
    drop(registered);
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
    let (sessions, mut records) = sessions();
    let (session, _registered) = begin(&sessions, "5f0c", "alice", "acme");
    let tree = session.open_tree();
    let (mkdir, directory) = (TreeChange::Mkdir(NewAttributes::default()), path("/d"));
    for expected in [true, false] {
        let change = tree.begin_change(&mkdir, &directory);
        let result = change.apply().await;
        assert_eq!(result.is_ok(), expected);
        change.finish(&result);
    }
    let upload = tree.begin_transfer(&path("/a"), Transfer::Upload, None);
    upload.count(3);
    upload.done(3, Some(&published()));
    drop(tree.begin_transfer(&path("/b"), Transfer::Download, Some(1)));
    tree.record_end(Some("why".to_owned()));

    let (session, user) = ("5f0c-1", "alice");
    assert_eq!(
        recorded(&mut records),
        [
            serde_json::json!({ "session": session, "user": user, "event": "session_started" }),
            serde_json::json!({ "session": session, "user": user, "event": "changed", "change": "mkdir", "path": "/d",
                "outcome": "done" }),
            serde_json::json!({ "session": session, "user": user, "event": "changed", "change": "mkdir", "path": "/d",
                "outcome": "refused", "error": "a file or directory of this name exists already" }),
            serde_json::json!({ "session": session, "user": user, "event": "file_opened", "path": "/a",
                "transfer": "upload" }),
            serde_json::json!({ "session": session, "user": user, "event": "file_closed", "path": "/a",
                "transfer": "upload", "bytes": 3, "size": 3, "outcome": "done", "published": { "key": "acme/a", "etag": "\"e\"",
                "version": "v", "checksum_crc64nvme": "AAAAAAAAAAE=", "request_id": "4711" } }),
            serde_json::json!({ "session": session, "user": user, "event": "file_opened", "path": "/b",
                "transfer": "download" }),
            serde_json::json!({ "session": session, "user": user, "event": "file_closed", "path": "/b",
                "transfer": "download", "bytes": 0, "outcome": "abandoned" }),
            serde_json::json!({ "session": session, "user": user, "event": "session_ended", "received_bytes": 0,
                "sent_bytes": 0, "suppressed": 0, "reason": "why" }),
        ]
    );
}

/// A client can make thousands of requests fail in a second.
#[tokio::test(start_paused = true)]
async fn failures_beyond_a_rate_have_records_and_no_log_lines() {
    let (sessions, mut records) = sessions();
    let (session, _registered) = begin(&sessions, "5f0c", "alice", "acme");
    let tree = session.open_tree();
    let error = Error::Busy;
    (0..250).for_each(|_| tree.note("STAT", &path("/a"), &error));
    tree.note("STAT", &path("/a"), &Error::NotFound);
    tree.record_end(None);
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
