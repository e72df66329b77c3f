//! Sessions that create one file with EXCL.

use super::*;
use crate::{
    journal::{Lease, LockJournal as _, LockOutcome},
    name::{BucketId, Key, Prefix},
    testing::bucket::Moment::{Answer, Request},
};
use tokio::{
    join,
    time::{Instant, sleep},
};

const EXCLUSIVE: WriteOptions = WriteOptions { exclusive: true, ..CREATE };
const TOPOLOGIES: [LockTopology; 2] = [LockTopology::Node, LockTopology::Nodes];

/// The nodes of two sessions that meet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum LockTopology {
    /// On one node.
    Node,
    /// On two nodes with one journal.
    Nodes,
}

/// Two sessions on a bucket whose answers take a moment.
fn two(topology: LockTopology) -> [UserTree; 2] {
    let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::shared()));
    bucket.answer_after(Duration::from_millis(20));
    let one = UserTree::on_a_node(user("alice", ALL), bucket, journal, BUDGET_BYTES);
    let other = if topology == LockTopology::Node { one.another() } else { one.elsewhere() };
    [one, other]
}

async fn lock(session: &UserTree) -> Result<WriteHandle> {
    session.open("/a", EXCLUSIVE).await
}

/// Checks that the OPEN is refused without a request to S3.
async fn assert_refused(session: &UserTree) {
    session.requested();
    let asked = Instant::now();
    let refused = lock(session).await;
    assert!(matches!(refused, Err(Error::AlreadyExists)), "{refused:?}");
    assert_eq!((session.requested(), asked.elapsed()), (vec![], Duration::ZERO));
}

/// Lets the tasks that keep rows run.
async fn run_background_tasks() {
    sleep(Duration::from_millis(1)).await;
}

async fn assert_no_lock_left(sessions: &[UserTree]) {
    run_background_tasks().await;
    assert_eq!(sessions[0].journal.locks(), 0);
    assert!(sessions.iter().all(|session| session.node.locks.is_empty()));
}

fn name() -> Key {
    Prefix::parse("acme/").unwrap().key("a").unwrap()
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
// S173: Until its CLOSE others don't see a file that is created with EXCL: STAT and listings don't show it, and OPEN …
#[tokio::test(start_paused = true)]
async fn a_second_exclusive_open_is_refused_at_once_until_the_close() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        let handle = lock(&one).await.unwrap();
        run_background_tasks().await;
        assert_refused(&other).await;
        assert!(matches!(other.stat(&path("/a")).await, Err(Error::NotFound)));
        assert_eq!(other.names("/").await, [""; 0]);
        for options in [CREATE, KEEP] {
            other.open("/a", options).await.unwrap().discard().await;
        }
        handle.close().await.unwrap();
        assert!(one.node.locks.is_empty(), "the name is free when the CLOSE is answered");
        assert!(matches!(lock(&other).await, Err(Error::AlreadyExists)), "the file is there");
        other.remove(&path("/a")).await.unwrap();
        lock(&other).await.unwrap().close().await.unwrap();
        assert_no_lock_left(&[one, other]).await;
    }
}

// S174: A lock ends with the CLOSE of its handle, also with one that fails, and with its connection; between nodes it …
#[tokio::test(start_paused = true)]
async fn a_lock_ends_with_its_upload_however_that_ends() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        for end in ["leave", "discard", "drop", "failed close", "busy"] {
            let handle = lock(&one).await.unwrap();
            match end {
                "leave" => handle.leave().await,
                "discard" => handle.discard().await,
                "failed close" => {
                    one.bucket.fail(Verb::Put, Request, store::Error::Forbidden { request: "no".into() });
                    handle.close().await.unwrap_err();
                }
                "busy" => {
                    drop(handle);
                    run_background_tasks().await;
                    let _all = one.node.budget.of(&one.tenant.name).charge(BUDGET_BYTES / 16 * 15).unwrap();
                    let mut handle = lock(&one).await.unwrap();
                    let busy = handle.write(0, vec![7; MIB].into()).await;
                    assert!(matches!(busy, Err(Error::Busy)), "{busy:?}");
                    handle.close().await.unwrap_err();
                }
                _ => drop(handle),
            }
            run_background_tasks().await;
            lock(&other).await.unwrap().discard().await;
        }
        // The lock of an OPEN whose client disconnected ends, too.
        let opening = tokio::time::timeout(Duration::from_millis(10), lock(&one)).await;
        assert!(opening.is_err());
        lock(&other).await.unwrap().discard().await;
        assert_no_lock_left(&[one, other]).await;
    }
}

// S174: A lock ends with the CLOSE of its handle, also with one that fails, and with its connection; between nodes it …
#[tokio::test(start_paused = true)]
async fn a_remove_right_behind_an_abandoned_upload_finds_nothing_to_remove() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        for session in [&one, &other] {
            let handle = lock(session).await.unwrap();
            let at = handle.path().current();
            drop(handle);
            let removed = session.remove(&at).await;
            assert!(matches!(removed, Err(Error::NotFound)), "{removed:?}");
        }
        assert_no_lock_left(&[one, other]).await;
    }
}

// S67: OPEN with EXCL is refused at once where a file is, or a session of any node is creating one of that name with …
#[tokio::test(start_paused = true)]
async fn of_sessions_that_lock_in_a_loop_one_has_the_lock_at_a_time() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        let holders = std::sync::atomic::AtomicUsize::new(0);
        let (holders, order) = (&holders, std::sync::atomic::Ordering::SeqCst);
        let worker = |session: UserTree, pause: u64| async move {
            let (mut won, mut refused) = (0, 0);
            for round in 0..200 {
                match lock(&session).await {
                    Ok(handle) => {
                        assert_eq!(holders.fetch_add(1, order), 0, "{topology:?}");
                        sleep(Duration::from_millis(round % 7)).await;
                        handle.close().await.unwrap();
                        sleep(Duration::from_millis(round % 3)).await;
                        assert_eq!(holders.fetch_sub(1, order), 1, "{topology:?}");
                        session.remove(&path("/a")).await.unwrap();
                        won += 1;
                    }
                    Err(Error::AlreadyExists) => refused += 1,
                    Err(error) => panic!("{error}"),
                }
                sleep(Duration::from_millis(round % pause)).await;
            }
            (won, refused, session)
        };
        let (first, second) = join!(worker(one, 11), worker(other, 13));
        assert!(first.0 > 0 && second.0 > 0 && first.1 + second.1 > 0, "{first:?}", first = (first.0, first.1));
        assert_no_lock_left(&[first.2, second.2]).await;
    }
}

// S175: An OPEN with EXCL that meets another one waits until that is answered: if it finds a file, it has no lock.
#[tokio::test(start_paused = true)]
async fn an_open_that_finds_a_file_hinders_no_other_open() {
    for topology in TOPOLOGIES {
        for is_there in [true, false] {
            let [one, other] = two(topology);
            if is_there {
                one.bucket.insert("acme/a", "older");
            }
            let bucket = Arc::clone(&one.bucket);
            let hold = bucket.hold(Verb::Head, Answer);
            let first = tokio::spawn(async move { (lock(&one).await.map(drop), one) });
            bucket.arrived(Verb::Head, 1).await;
            sleep(Duration::from_millis(30)).await;
            bucket.delete("acme/a");
            let second = async {
                let opened = lock(&other).await;
                opened.map(drop)
            };
            let (second, ()) = join!(second, async {
                sleep(Duration::from_secs(1)).await;
                drop(hold);
            });
            let (first, _one) = first.await.unwrap();
            if is_there {
                assert!(matches!((first, second), (Err(Error::AlreadyExists), Ok(()))));
            } else {
                // The lock of the first ended with its handle.
                assert!(matches!((first, second), (Ok(()), _)));
            }
        }
    }
}

// S176: REMOVE of that name by another session, of whatever node, ends the lock and answers OK: the holder's CLOSE then …
#[tokio::test(start_paused = true)]
async fn a_session_that_removes_the_file_ends_the_lock_of_another() {
    for topology in TOPOLOGIES {
        for size in [3, 9 * MIB] {
            let [one, other] = two(topology);
            let few = [("/", "acme/", Permissions::ALL.without(Permission::Delete))];
            let mut handle = lock(&one).await.unwrap();
            handle.write(0, vec![7; size].into()).await.unwrap();
            run_background_tasks().await;
            let denied = other.beside(&few).remove(&path("/a")).await;
            assert!(matches!(denied, Err(Error::Denied(Permission::Delete))), "{denied:?}");
            assert_refused(&other).await;
            other.remove(&path("/a")).await.unwrap();
            assert!(matches!(other.remove(&path("/a")).await, Err(Error::NotFound)), "there is nothing more");
            let third = one.another();
            let mut its_upload = lock(&third).await.unwrap();
            its_upload.write(0, "theirs".into()).await.unwrap();
            let closed = handle.close().await;
            assert!(matches!(closed, Err(Error::LockLost)), "{closed:?}");
            assert_eq!(one.bucket.keys(), [""; 0]);
            its_upload.close().await.unwrap();
            assert_eq!(one.bucket.bytes("acme/a").unwrap(), "theirs");
            assert_eq!(one.bucket.open_uploads(), 0);
            assert_no_lock_left(&[one, other]).await;
        }
    }
}

// S176: REMOVE of that name by another session, of whatever node, ends the lock and answers OK: the holder's CLOSE then …
#[tokio::test(start_paused = true)]
async fn a_file_that_is_removed_while_it_is_stored_is_gone_after_the_close() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        let handle = lock(&one).await.unwrap();
        let hold = one.bucket.hold(Verb::Put, Request);
        let closing = tokio::spawn(handle.close());
        one.bucket.arrived(Verb::Put, 1).await;
        let removing = other.remove(&path("/a")).await;
        assert!(matches!(removing, Ok(())), "{removing:?}");
        drop(hold);
        assert!(matches!(closing.await.unwrap(), Err(Error::LockLost)));
        assert_eq!(one.bucket.keys(), [""; 0]);
        assert_no_lock_left(&[one, other]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_stored_is_removed_and_a_lock_on_its_name_stays() {
    let [one, other] = two(LockTopology::Node);
    let handle = lock(&one).await.unwrap();
    one.bucket.insert("acme/a", "of another program");
    other.remove(&path("/a")).await.unwrap();
    assert_refused(&other).await;
    handle.close().await.unwrap();
    assert_eq!(one.bucket.bytes("acme/a").unwrap(), "");
}

// S130: If no file has the name but the one that the session is uploading, REMOVE and RENAME are about that one: it …
// S177: The session's own REMOVE or RENAME of the file ends its lock, and the upload continues as without one.
#[tokio::test(start_paused = true)]
async fn its_own_remove_and_rename_free_the_name() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        let handle = lock(&one).await.unwrap();
        one.remove(&path("/a")).await.unwrap();
        let its_upload = lock(&other).await.unwrap();
        handle.close().await.unwrap();
        assert_eq!(one.bucket.keys(), [""; 0]);
        its_upload.discard().await;
        let handle = lock(&one).await.unwrap();
        one.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
        let its_upload = lock(&other).await.unwrap();
        handle.close().await.unwrap();
        its_upload.close().await.unwrap();
        assert_eq!(one.bucket.keys(), ["acme/a", "acme/b"]);
        // REMOVE takes the newest of two uploads, which has no lock.
        one.remove(&path("/a")).await.unwrap();
        let (handle, newest) = (lock(&one).await.unwrap(), one.create("/a").await);
        one.remove(&path("/a")).await.unwrap();
        assert_refused(&other).await;
        drop((handle, newest));
        assert_no_lock_left(&[one, other]).await;
    }
}

// S174: A lock ends with the CLOSE of its handle, also with one that fails, and with its connection; between nodes it …
#[tokio::test(start_paused = true)]
async fn a_lock_ends_with_its_lease_and_a_working_node_renews_its_own() {
    let [one, other] = two(LockTopology::Nodes);
    let bucket: &BucketId = one.bucket.id();
    let killed = Lease { holder: "a node that was killed".to_owned(), term: Duration::from_secs(30) };
    assert_eq!(one.journal.lock(bucket, &name(), &killed).await, Ok(LockOutcome::Ours));
    assert_eq!(one.journal.hold_lock(bucket, &name(), &killed).await, Ok(true));
    sleep(Duration::from_secs(29)).await;
    assert_refused(&one).await;
    sleep(Duration::from_secs(1)).await;
    let handle = lock(&one).await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_secs(15)).await;
        assert_refused(&other).await;
    }
    handle.close().await.unwrap();
    assert_no_lock_left(&[one, other]).await;
}

// S178: Without a ledger in PostgreSQL, or while it is away, the sessions of one node exclude each other and those of …
#[tokio::test(start_paused = true)]
async fn without_a_journal_the_locks_of_a_node_hold_and_nothing_fails() {
    let [one, other] = two(LockTopology::Nodes);
    one.journal.set_down(true);
    let handle = lock(&one).await.unwrap();
    assert_refused(&one.another()).await;
    let its_upload = lock(&other).await.unwrap();
    its_upload.close().await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::AlreadyExists)), "S3 decides");
    one.bucket.delete("acme/a");
    // Another session of the node removes the file.
    let handle = lock(&one).await.unwrap();
    one.another().remove(&path("/a")).await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::LockLost)));
    assert!(one.bucket.keys().is_empty());
    // A row that could not be written is written when the journal answers.
    let handle = lock(&one).await.unwrap();
    run_background_tasks().await;
    one.journal.set_down(false);
    sleep(Duration::from_secs(10)).await;
    assert_refused(&other).await;
    // The journal goes down again, for longer than the lease.
    one.journal.set_down(true);
    sleep(Duration::from_mins(1)).await;
    handle.close().await.unwrap();
    one.journal.set_down(false);
    sleep(Duration::from_secs(2)).await;
    one.bucket.delete("acme/a");
    // A lock is lost if another node took the name meanwhile.
    let handle = lock(&one).await.unwrap();
    run_background_tasks().await;
    one.journal.set_down(true);
    // The row isn't renewed now.
    sleep(Duration::from_secs(55)).await;
    one.journal.set_down(false);
    let its_upload = lock(&other).await.unwrap();
    run_background_tasks().await;
    assert!(matches!(handle.close().await, Err(Error::LockLost)));
    its_upload.close().await.unwrap();
    assert_no_lock_left(&[one, other]).await;
}

// S179: A holder that stored nothing, and sent nothing on the handle for `idle_timeout`, loses the lock. Its CLOSE takes …
#[tokio::test(start_paused = true)]
async fn a_lapsed_lock_is_acquired_again_at_the_close_unless_another_session_has_it() {
    for topology in TOPOLOGIES {
        let [one, other] = two(topology);
        let handle = lock(&one).await.unwrap();
        handle.let_lock_lapse();
        run_background_tasks().await;
        handle.close().await.unwrap();
        one.remove(&path("/a")).await.unwrap();
        let handle = lock(&one).await.unwrap();
        handle.let_lock_lapse();
        let its_upload = lock(&other).await.unwrap();
        run_background_tasks().await;
        assert!(matches!(handle.close().await, Err(Error::LockLost)));
        its_upload.close().await.unwrap();
        one.remove(&path("/a")).await.unwrap();
        let handle = lock(&one).await.unwrap();
        handle.let_lock_lapse();
        lock(&other).await.unwrap().close().await.unwrap();
        assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
        one.remove(&path("/a")).await.unwrap();
        // Under another name the file needs no lock.
        let handle = lock(&one).await.unwrap();
        handle.let_lock_lapse();
        one.rename(&path("/a"), &path("/b"), Replace::No).await.unwrap();
        let its_upload = lock(&other).await.unwrap();
        handle.close().await.unwrap();
        its_upload.discard().await;
        // A lock stays if a part of its upload is in flight.
        let mut handle = lock(&one).await.unwrap();
        handle.write(0, vec![7; 9 * MIB].into()).await.unwrap();
        assert!(!handle.has_idle_lock());
        handle.let_lock_lapse();
        run_background_tasks().await;
        assert_refused(&other).await;
        handle.discard().await;
        assert_no_lock_left(&[one, other]).await;
    }
}

// S180: CREAT with EXCL and without WRITE is refused as well while another session creates the file with EXCL.
#[tokio::test(start_paused = true)]
async fn making_an_empty_file_respects_a_lock_if_it_is_exclusive() {
    let [one, other] = two(LockTopology::Nodes);
    let handle = lock(&one).await.unwrap();
    run_background_tasks().await;
    let refused = other.open_create(&path("/a"), true, NewAttributes::default()).await;
    assert!(matches!(refused, Err(Error::AlreadyExists)), "{refused:?}");
    let opened = other.open_create(&path("/a"), false, NewAttributes::default()).await.unwrap();
    let CreateOutcome::Missing(pending) = opened else { panic!("there is nothing") };
    pending.create_empty(PATIENCE).await.unwrap();
    assert!(matches!(handle.close().await, Err(Error::AlreadyExists)));
    other.remove(&path("/a")).await.unwrap();
    let opened = other.open_create(&path("/a"), true, NewAttributes::default()).await.unwrap();
    let CreateOutcome::Missing(pending) = opened else { panic!("there is nothing") };
    run_background_tasks().await;
    assert_refused(&one).await;
    pending.create_empty(PATIENCE).await.unwrap();
    assert_no_lock_left(&[one, other]).await;
}

#[tokio::test(start_paused = true)]
async fn a_lock_takes_one_question_at_open_and_two_at_close_of_a_shared_journal_alone() {
    let locks = |session: &UserTree| {
        let asked = session.journal.asked().into_iter();
        asked.filter(|question| question.contains("lock")).collect::<Vec<_>>()
    };
    let [one, other] = two(LockTopology::Nodes);
    let handle = lock(&one).await.unwrap();
    assert_eq!(locks(&one), ["lock"]);
    run_background_tasks().await;
    assert_eq!(locks(&one), ["hold_lock"], "the file is open, as other nodes see behind the answer");
    for refused in [&one.another(), &other] {
        assert_refused(refused).await;
    }
    assert_eq!(locks(&one), ["has_lock", "lock"], "who is refused writes nothing");
    handle.close().await.unwrap();
    assert_eq!(locks(&one), ["hold_lock", "end_lock"]);
    other.remove(&path("/a")).await.unwrap();
    assert_eq!(locks(&one), [""; 0]);
    assert!(matches!(other.remove(&path("/a")).await, Err(Error::NotFound)));
    assert_eq!(locks(&one), ["break_lock"]);
    one.upload("/a", "x").await;
    assert_eq!(locks(&one), [""; 0]);
    one.remove(&path("/a")).await.unwrap();
    one.journal.set_down(true);
    let handle = lock(&one).await.unwrap();
    run_background_tasks().await;
    assert_eq!(locks(&one), ["lock", "hold_lock"]);
    one.journal.set_down(false);
    assert_refused(&one.another()).await;
    assert_eq!(locks(&one), [""; 0], "nor does it take a row that isn't known to be there");
    handle.discard().await;
    assert_eq!(locks(&one), ["end_lock"]);
    let alone = UserTree::start();
    lock(&alone).await.unwrap().close().await.unwrap();
    alone.remove(&path("/a")).await.unwrap();
    assert!(matches!(alone.remove(&path("/a")).await, Err(Error::NotFound)));
    assert_eq!(locks(&alone), [""; 0]);
}
