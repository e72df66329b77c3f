use super::*;
use crate::{
    events::{ChangeKind, ClientProgram, ConnectionPeer, Event, Events, Outcome, SessionUser, Transfer, Who},
    ledger::{Location, database::ConnectionPool},
    name::{BucketId, Prefix, TransferId},
};
use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};
use table::{ColumnType, RecordTable};
use tokio_util::sync::CancellationToken;

/// A node with a SQLite ledger.
struct Recorder {
    journal: Arc<SqlJournal>,
    settings: SpoolSettings,
    directory: tempfile::TempDir,
}

/// A process of the node.
struct RunningProcess {
    events: Events,
    spool: Arc<Spool>,
    writer: RecordWriter,
    interrupted: Vec<InterruptedProcess>,
    ended: mpsc::UnboundedReceiver<InterruptedProcess>,
}

impl Recorder {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = Arc::new(SqlJournal::new(&Location::Sqlite(directory.path().join("db/ledger.db"))));
        fs::create_dir(directory.path().join("db")).unwrap();
        let settings = SpoolSettings { directory: directory.path().join("spool"), max_bytes: 64 << 20 };
        Self { journal, settings, directory }
    }

    async fn start(&self) -> RunningProcess {
        let Records { spool, mut writer, interrupted: mut ended } =
            Records::open(&self.settings, &self.journal).unwrap();
        writer.take_over_ended().await;
        let interrupted = std::iter::from_fn(|| ended.try_recv().ok()).collect();
        let events = Events::new("node");
        events.spool_to(Arc::clone(&spool) as Arc<_>);
        RunningProcess { events, spool, writer, interrupted, ended }
    }

    async fn count(&self, table: RecordTable) -> i64 {
        let ConnectionPool::Sqlite(reads) = &self.journal.database.reads else { panic!("it is SQLite") };
        let count = format!("SELECT COUNT(*) FROM {}", table.name());
        sqlx::query_scalar(sqlx::AssertSqlSafe(count)).fetch_one(reads).await.unwrap()
    }

    async fn texts(&self, select: &'static str) -> Vec<String> {
        let ConnectionPool::Sqlite(reads) = &self.journal.database.reads else { panic!("it is SQLite") };
        sqlx::query_scalar(select).fetch_all(reads).await.unwrap()
    }

    fn directories(&self) -> Vec<PathBuf> {
        fs::read_dir(&self.settings.directory).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

impl RunningProcess {
    /// Ends in good order.
    async fn end(self) {
        let end = CancellationToken::new();
        end.cancel();
        self.writer.run_until(end).await;
    }

    fn login(&self) {
        self.events.record(
            Who::Session(alice()),
            Event::LoginAccepted { method: "password", fingerprint: None, client: ClientProgram::default() },
        );
    }

    fn open(&self, transfer: Transfer) -> TransferId {
        let transfer_id = TransferId::new();
        self.events.record(Who::Session(alice()), Event::FileOpened { transfer_id, path: "/a".into(), transfer });
        transfer_id
    }

    fn publish(&self, transfer_id: TransferId) {
        let mount = Prefix::parse("acme/").unwrap();
        let (bucket, key, token) = (BucketId::new("files", None), mount.key("a").unwrap(), "5eed".to_owned());
        let path = "/a".to_owned();
        let event = Event::UploadPublishing { transfer_id, path, bucket, mount, key, token, size: 3 };
        self.events.record_unlogged(Who::Session(alice()), event);
    }

    fn close(&self, transfer_id: TransferId, outcome: Outcome) {
        self.events.record(
            Who::Session(alice()),
            Event::FileClosed {
                transfer_id,
                path: "/a".into(),
                transfer: Transfer::Upload,
                bytes: 3,
                size: Some(3),
                duration: Duration::from_millis(7),
                outcome,
                object: None,
            },
        );
    }
}

fn alice() -> Arc<SessionUser> {
    Arc::new(SessionUser {
        session: "5f0c-1".into(),
        tenant: "acme".parse().unwrap(),
        user: "alice".parse().unwrap(),
        source: SocketAddr::from(([192, 0, 2, 1], 1234)),
        vpc_endpoint: Some("vpce-1".into()),
    })
}

/// One event for each table at least.
fn events() -> Vec<(Who, Event)> {
    let peer = ConnectionPeer { connection: Some("5f0c".into()), source: alice().source, vpc_endpoint: None };
    let (client, failed) = (ClientProgram::default(), Outcome::Failed("S3 says \0 no".into()));
    let acme = "acme".parse().unwrap();
    vec![
        (
            Who::Session(alice()),
            Event::LoginAccepted { method: "publickey", fingerprint: None, client: client.clone() },
        ),
        (
            Who::Connection(peer.clone()),
            Event::LoginRefused {
                name: "mallory".into(),
                method: "password",
                reason: "wrong".into(),
                fingerprint: None,
                client,
            },
        ),
        (Who::Connection(peer), Event::ConnectionRefused { reason: "too many" }),
        (Who::Session(alice()), Event::SessionStarted),
        (
            Who::Session(alice()),
            Event::Changed {
                change: ChangeKind::Remove,
                path: "/a".into(),
                target: None,
                duration: Duration::ZERO,
                outcome: failed.clone(),
            },
        ),
        (Who::Session(alice()), Event::RequestFailed { request: "OPEN", path: "/b".into(), outcome: failed.clone() }),
        (Who::Maintenance { tenant: acme, user: None }, Event::OpenUploadsNotListed { outcome: failed }),
        (Who::Server {}, Event::ReloadRefused { problems: vec!["p".repeat(40_000)] }),
    ]
}

/// The statements that fill the tables name each column, with its type.
#[tokio::test]
async fn the_columns_are_those_of_the_tables() {
    let recorder = Recorder::new();
    recorder.journal.make_ready().await.unwrap();
    let ConnectionPool::Sqlite(reads) = &recorder.journal.database.reads else { panic!("it is SQLite") };
    for table in RecordTable::ALL {
        let columns: Vec<(String, String)> = sqlx::query_as("SELECT name, type FROM pragma_table_info($1)")
            .bind(table.name())
            .fetch_all(reads)
            .await
            .unwrap();
        let named = table.columns().map(|column| {
            let kind = match column.kind {
                ColumnType::Text => "TEXT",
                ColumnType::Integer => "INTEGER",
            };
            (column.name.to_owned(), kind.to_owned())
        });
        assert_eq!(columns, named.collect::<Vec<_>>(), "{table:?}");
    }
}

#[tokio::test]
async fn each_event_gets_a_row_in_its_table_and_an_orderly_end_leaves_no_file() {
    let recorder = Recorder::new();
    let process = recorder.start().await;
    for (who, event) in events() {
        process.events.record(who, event);
    }
    let transfer_id = process.open(Transfer::Upload);
    process.publish(transfer_id);
    process.close(transfer_id, Outcome::Done);
    process.end().await;
    let mut counts = Vec::new();
    for table in RecordTable::ALL {
        counts.push((table.name(), recorder.count(table).await));
    }
    let expected =
        [("logins", 2), ("sessions", 1), ("transfers", 1), ("changes", 1), ("refusals", 2), ("operations", 2)];
    assert_eq!(counts, expected);
    let transfer = "SELECT id || ' ' || tenant || ' ' || user_name || ' ' || session || ' ' || source_ip || ' ' || \
                    vpc_endpoint || ' ' || size_bytes || ' ' || duration_ms || ' ' || result FROM transfers";
    assert_eq!(recorder.texts(transfer).await, [format!("{transfer_id} acme alice 5f0c-1 192.0.2.1 vpce-1 3 7 done")]);
    assert_eq!(recorder.texts("SELECT error FROM changes").await, ["S3 says \u{fffd} no"]);
    assert!(recorder.directories().is_empty(), "{:?}", recorder.directories());
}

// Promise 7 of the design: at least once, also across a crash; unique ids let it count once.
#[tokio::test]
async fn a_kill_loses_no_record_and_the_next_start_knows_the_open_transfers() {
    let recorder = Recorder::new();
    let killed = recorder.start().await;
    killed.login();
    let (download, upload, done) =
        (killed.open(Transfer::Download), killed.open(Transfer::Upload), killed.open(Transfer::Upload));
    killed.publish(upload);
    killed.publish(done);
    killed.close(done, Outcome::Done);
    drop(killed);
    for round in 1..=2 {
        let mut next = recorder.start().await;
        let [process] = &next.interrupted[..] else { panic!("{:?}", next.interrupted) };
        let mut open: Vec<_> =
            process.transfers.iter().map(|open| (open.transfer_id, open.publishing.clone())).collect();
        open.sort_by_key(|(transfer_id, _)| *transfer_id);
        assert_eq!(open[0], (download, None));
        let publishing = open[1].1.as_ref().unwrap();
        assert_eq!((open[1].0, publishing.key.as_str(), publishing.token.as_str()), (upload, "acme/a", "5eed"));
        assert_eq!(process.transfers[0].who, alice());
        let spool = Arc::clone(&next.spool);
        let resolved = next.interrupted.pop().filter(|_| round == 2);
        next.end().await;
        assert_eq!((recorder.count(RecordTable::Logins).await, recorder.count(RecordTable::Transfers).await), (1, 1));
        assert_eq!(recorder.directories().len(), 1, "it stays until its transfers are resolved");
        if let Some(process) = resolved {
            process.forget(&spool).unwrap();
        }
    }
    assert!(recorder.directories().is_empty());
}

#[tokio::test]
async fn a_running_process_is_left_alone() {
    let recorder = Recorder::new();
    let (one, other) = (recorder.start().await, recorder.start().await);
    recorder.journal.make_ready().await.unwrap();
    one.login();
    assert!(other.interrupted.is_empty());
    other.end().await;
    assert_eq!((recorder.count(RecordTable::Logins).await, recorder.directories().len()), (0, 1));
    one.end().await;
    assert_eq!((recorder.count(RecordTable::Logins).await, recorder.directories().len()), (1, 0));
}

/// While SQL is away the spool takes all records up to its bound. Those beyond it are lost and counted.
#[tokio::test]
async fn records_wait_for_sql_and_a_full_spool_counts_those_that_it_loses() {
    let mut recorder = Recorder::new();
    recorder.settings.max_bytes = 100_000;
    let database = recorder.directory.path().join("db");
    fs::remove_dir(&database).unwrap();
    let mut process = recorder.start().await;
    let mut appended = 0;
    while process.spool.status().lost == 0 {
        process.login();
        appended += 1;
    }
    for _ in 0..9 {
        process.login();
    }
    assert!(appended > 100, "{appended}");
    assert_eq!(process.spool.status().lost, 10);
    assert!(process.spool.status().bytes <= 100_000);
    assert!(!process.writer.take_all().await, "SQL is away");
    fs::create_dir(&database).unwrap();
    // The breaker in front of the database rests for a while after a failure.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    assert!(process.writer.take_all().await);
    assert_eq!(recorder.count(RecordTable::Logins).await, appended - 1);
    process.end().await;
    assert!(recorder.directories().is_empty());
}

/// What clients fail to do leaves half of the spool to others, and all rows leave room to what ends uploads.
#[tokio::test]
async fn failures_leave_room_to_others_and_others_to_the_ends_of_uploads() {
    let mut recorder = Recorder::new();
    recorder.settings.max_bytes = 200_000;
    fs::remove_dir(recorder.directory.path().join("db")).unwrap();
    let process = recorder.start().await;
    let upload = process.open(Transfer::Upload);
    let fill = |record: &dyn Fn()| {
        let lost = process.spool.status().lost;
        while process.spool.status().lost == lost {
            record();
        }
        process.spool.status().bytes
    };
    let failures = fill(&|| {
        let (who, event) = events().swap_remove(2);
        process.events.record_unlogged(who, event);
    });
    assert!((95_000..=100_000).contains(&failures), "{failures}");
    let all = fill(&|| process.login());
    assert!((185_000..=190_000).contains(&all), "{all}");
    let lost = process.spool.status().lost;
    process.publish(upload);
    process.close(upload, Outcome::Done);
    assert_eq!(process.spool.status().lost, lost);
    assert!(process.spool.status().bytes <= 200_000);
}

/// The lines about thousands of open transfers are written again for each segment, and never more than the rest.
#[tokio::test]
async fn many_open_transfers_begin_few_segments_and_keep_to_the_bound() {
    let mut recorder = Recorder::new();
    recorder.settings.max_bytes = 32 << 20;
    let mut process = recorder.start().await;
    let path = format!("/{}", "p".repeat(1_000));
    for _ in 0..6_000 {
        let (transfer_id, path) = (TransferId::new(), path.clone());
        let opened = Event::FileOpened { transfer_id, path, transfer: Transfer::Upload };
        process.events.record_unlogged(Who::Session(alice()), opened);
    }
    for _ in 0..1_000 {
        process.login();
    }
    let segments = process.spool.directory().segments().unwrap().len();
    assert!(segments <= 4, "{segments}");
    assert_eq!(process.spool.status().lost, 0);
    assert!(process.spool.status().bytes <= 32 << 20);
    assert!(process.writer.take_all().await);
    assert_eq!(recorder.count(RecordTable::Logins).await, 1_000);
}

/// A line is written when `append` returns, also if another thread writes at the same moment.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn append_returns_after_the_line_is_written() {
    let recorder = Recorder::new();
    let process = recorder.start().await;
    let threads = (0..4).map(|_| {
        let (events, spool) = (process.events.clone(), Arc::clone(&process.spool));
        std::thread::spawn(move || {
            for _ in 0..500 {
                let transfer_id = TransferId::new();
                let opened = Event::FileOpened { transfer_id, path: "/a".into(), transfer: Transfer::Upload };
                events.record_unlogged(Who::Session(alice()), opened);
                let segment = fs::read_to_string(spool.directory().segment(1)).unwrap();
                assert!(segment.contains(&transfer_id.to_string()));
            }
        })
    });
    for thread in threads.collect::<Vec<_>>() {
        thread.join().unwrap();
    }
}

/// The spool of another process is taken over while this one runs, without a start.
#[tokio::test(start_paused = true)]
async fn the_spool_of_a_process_that_ends_later_is_found_within_a_minute() {
    let recorder = Recorder::new();
    let (mut one, other) = (recorder.start().await, recorder.start().await);
    other.login();
    let upload = other.open(Transfer::Upload);
    drop(other);
    one.writer.take_over_ended().await;
    assert!(one.ended.try_recv().is_err(), "the next look is in a minute");
    tokio::time::advance(Duration::from_secs(61)).await;
    one.writer.take_over_ended().await;
    assert_eq!(one.ended.try_recv().unwrap().transfers[0].transfer_id, upload);
    tokio::time::resume();
    assert!(one.writer.take_all().await);
    assert_eq!(recorder.count(RecordTable::Logins).await, 1);
}

/// A leftover that can't be read keeps no server from its start, and stays for an operator.
#[tokio::test]
async fn a_leftover_that_cannot_be_read_stays_and_stops_nobody() {
    let recorder = Recorder::new();
    let killed = recorder.start().await;
    killed.login();
    fs::create_dir(killed.spool.directory().segment(2)).unwrap();
    drop(killed);
    let next = recorder.start().await;
    assert!(next.interrupted.is_empty());
    next.login();
    next.end().await;
    assert_eq!((recorder.count(RecordTable::Logins).await, recorder.directories().len()), (1, 1));
}

/// A power cut can leave the beginning of a line, and a damaged disk anything.
#[tokio::test]
async fn a_damaged_line_takes_no_other_with_it() {
    let recorder = Recorder::new();
    let killed = recorder.start().await;
    killed.login();
    killed.login();
    let segment = killed.spool.directory().segment(1);
    drop(killed);
    let text = fs::read_to_string(&segment).unwrap();
    let (first, second) = text.split_once('\n').unwrap();
    let damaged = [first.as_bytes(), b"\n17 {\"row\":{\"tab\nnonsense\n\xff\n", second.as_bytes(), b"18 {\"row\":{\"i"];
    fs::write(segment, damaged.concat()).unwrap();
    let mut next = recorder.start().await;
    assert!(next.writer.take_all().await);
    assert_eq!((recorder.count(RecordTable::Logins).await, next.spool.status().lost), (2, 3));
}

/// A new segment begins with the lines about open transfers, and old ones are deleted.
#[tokio::test]
async fn segments_follow_each_other_and_the_last_one_knows_the_open_transfers() {
    let recorder = Recorder::new();
    let mut killed = recorder.start().await;
    let upload = killed.open(Transfer::Upload);
    killed.publish(upload);
    let numbers = |process: &RunningProcess| process.spool.directory().segments().unwrap();
    let mut logins = 0;
    while numbers(&killed).len() < 3 {
        killed.login();
        logins += 1;
    }
    assert!(killed.writer.take_all().await);
    assert_eq!(numbers(&killed), [3]);
    assert!(killed.spool.status().bytes < 5 << 20);
    assert_eq!(recorder.count(RecordTable::Logins).await, logins);
    let last = "SELECT CAST(MAX(number) AS TEXT) FROM logins";
    assert_eq!(recorder.texts(last).await, [logins.to_string()], "the rows of a table are numbered without a gap");
    drop(killed);
    let next = recorder.start().await;
    let [open] = &next.interrupted[0].transfers[..] else { panic!("{:?}", next.interrupted) };
    assert!(open.transfer_id == upload && open.publishing.is_some());
}

/// A row that SQL refuses takes no other with it.
#[tokio::test]
async fn a_refused_row_is_lost_alone() {
    let recorder = Recorder::new();
    let mut process = recorder.start().await;
    recorder.journal.make_ready().await.unwrap();
    let ConnectionPool::Sqlite(writes) = &recorder.journal.database.writes else { panic!("it is SQLite") };
    let refuse =
        "CREATE TRIGGER refuse BEFORE INSERT ON logins WHEN NEW.number = 2 BEGIN SELECT RAISE(ABORT, 'no'); END";
    sqlx::query(refuse).execute(writes).await.unwrap();
    for _ in 0..3 {
        process.login();
    }
    assert!(process.writer.take_all().await);
    assert_eq!((recorder.count(RecordTable::Logins).await, process.spool.status().lost), (2, 1));
}
