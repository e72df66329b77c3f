//! Sessions that rename or remove one name at the same moment.

use super::*;
use crate::{
    journal::{ClaimJournal as _, Lease},
    name::{BucketId, Key, Prefix},
    testing::bucket::Moment,
};
use tokio::{join, time::Instant};

/// An operation of a session on `/a`.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Act {
    Rename(&'static str, Replace),
    Remove,
    Rmdir,
}

use Act::*;

impl Act {
    async fn run(self, session: &UserTree) -> Result<()> {
        match self {
            Rename(target, replace) => session.rename(&path("/a"), &path(target), replace).await,
            Remove => session.remove(&path("/a")).await,
            Rmdir => session.rmdir(&path("/a")).await,
        }
    }
}

/// The nodes of two sessions that meet.
#[derive(Clone, Copy, Debug, PartialEq)]
enum ClaimTopology {
    /// On one node.
    Node,
    /// On two nodes with one journal.
    Nodes,
    /// On two nodes with one journal, which is down.
    WithoutJournal,
}

const TOPOLOGIES: [ClaimTopology; 3] = [ClaimTopology::Node, ClaimTopology::Nodes, ClaimTopology::WithoutJournal];
const TO_ONE: Act = Rename("/one", Replace::No);
const TO_OTHER: Act = Rename("/other", Replace::Yes);

/// Two sessions on a bucket whose answers take a moment.
fn two(topology: ClaimTopology, raw_keys: &[&str]) -> [UserTree; 2] {
    let (bucket, journal) = (Arc::new(MemoryBucket::new()), Arc::new(MemoryJournal::shared()));
    for raw_key in raw_keys {
        let bytes = if raw_key.ends_with('/') { "" } else { raw_key };
        bucket.insert(raw_key, bytes.to_owned());
    }
    bucket.answer_after(Duration::from_millis(20));
    let one = UserTree::on_a_node(user("alice", ALL), bucket, journal, BUDGET_BYTES);
    let other = if topology == ClaimTopology::Node { one.another() } else { one.elsewhere() };
    one.journal.set_down(topology == ClaimTopology::WithoutJournal);
    [one, other]
}

/// Checks that one operation succeeded, and that only its effect was applied to `source`.
fn assert_exclusive(sessions: &[UserTree; 2], source: &[&str], acts: [Act; 2], answers: &[Result<()>; 2], what: &str) {
    let winners: Vec<Act> = acts.into_iter().zip(answers).filter(|(_, answer)| answer.is_ok()).map(|it| it.0).collect();
    let [winner] = winners[..] else { panic!("{what}: {answers:?}") };
    let lost = answers.iter().find(|answer| answer.is_err()).unwrap();
    // Without a journal REMOVE of a missing file can't know if an interrupted upload exists.
    assert!(matches!(lost, Err(Error::NotFound | Error::PartialNotFound(_))), "{what}: {lost:?}");
    let moved = |raw_key: &&str, target: &str| raw_key.replacen("acme/a", &format!("acme{target}"), 1);
    let expected: Vec<String> = match winner {
        Rename(target, _) => source.iter().map(|raw_key| moved(raw_key, target)).collect(),
        Remove | Rmdir => Vec::new(),
    };
    assert_eq!(sessions[0].bucket.keys(), expected, "{what}");
}

// S140: Of several sessions that RENAME, REMOVE or RMDIR one file or directory at the same moment, on whatever node, …
#[tokio::test(start_paused = true)]
async fn one_of_two_has_the_source_and_the_other_is_told_that_there_is_none() {
    let file: (&[&str], &[Act]) = (&["acme/a"], &[TO_ONE, TO_OTHER, Remove]);
    let empty: (&[&str], &[Act]) = (&["acme/a/"], &[TO_ONE, TO_OTHER, Rmdir]);
    let full: (&[&str], &[Act]) = (&["acme/a/", "acme/a/sub/x", "acme/a/y"], &[TO_ONE, TO_OTHER]);
    for (source, acts) in [file, empty, full] {
        for topology in TOPOLOGIES {
            if topology == ClaimTopology::WithoutJournal && source.len() > 1 {
                continue;
            }
            for one in acts {
                for other in acts {
                    // The second begins at the same moment, or a request or two later.
                    for delay in [0, 10, 30, 50, 70] {
                        let sessions = two(topology, source);
                        let first = one.run(&sessions[0]);
                        let second = async {
                            tokio::time::sleep(Duration::from_millis(delay)).await;
                            other.run(&sessions[1]).await
                        };
                        let answers: [Result<()>; 2] = join!(first, second).into();
                        let what = format!("{source:?} {topology:?} {one:?} {other:?} {delay}");
                        let is_same = one == other && matches!(one, Rename(..));
                        if topology == ClaimTopology::WithoutJournal && is_same {
                            // RENAME may find the other's copy before it finds that the source is gone.
                            let won = answers.iter().filter(|answer| answer.is_ok()).count();
                            assert_eq!(won, 1, "{what}: {answers:?}");
                            continue;
                        }
                        assert_exclusive(&sessions, source, [*one, *other], &answers, &what);
                    }
                }
            }
        }
    }
}

// S141: They wait for each other before they touch anything, on one node and on nodes that share a ledger in PostgreSQL. …
#[tokio::test(start_paused = true)]
async fn the_second_waits_and_asks_again_and_is_refused_after_half_a_minute() {
    for topology in [ClaimTopology::Node, ClaimTopology::Nodes] {
        let [one, other] = two(topology, &["acme/a"]);
        let hold = one.bucket.hold(Verb::Remove, Moment::Request);
        let running = tokio::spawn(async move { (TO_ONE.run(&one).await, one) });
        other.bucket.arrived(Verb::Remove, 1).await;
        other.requested();
        let asked = Instant::now();
        let refused = Remove.run(&other).await;
        assert!(matches!(refused, Err(Error::RenameInProgress)), "{refused:?}");
        assert_eq!(asked.elapsed().as_secs(), 30);
        assert_eq!(other.requested(), [], "it touched nothing");
        let (second, ()) = join!(TO_OTHER.run(&other), async {
            tokio::time::sleep(Duration::from_secs(20)).await;
            drop(hold);
        });
        assert!(matches!(second, Err(Error::NotFound)), "{second:?}");
        assert_eq!(other.requested(), [Verb::Head, Verb::List], "{topology:?}");
        running.await.unwrap().0.unwrap();
        assert_eq!(other.bucket.keys(), ["acme/one"]);
    }
}

#[tokio::test(start_paused = true)]
async fn two_sources_to_one_target_wait_for_each_other_on_a_node() {
    let [one, other] = two(ClaimTopology::Node, &["acme/a", "acme/b"]);
    let (b, c) = (path("/b"), path("/c"));
    let (first, second) = join!(Rename("/c", Replace::No).run(&one), other.rename(&b, &c, Replace::No));
    first.unwrap();
    assert!(matches!(second, Err(Error::AlreadyExists)), "{second:?}");
    assert_eq!(one.bucket.count(Verb::Copy), 1);
    assert_eq!(one.bucket.keys(), ["acme/b", "acme/c"]);
    // Each one's source is the other's target.
    let (d, e) = (path("/d"), path("/e"));
    one.bucket.insert("acme/d", "d");
    let answers = join!(one.rename(&d, &e, Replace::Yes), other.rename(&e, &d, Replace::Yes));
    assert!(matches!(answers, (Ok(()), Ok(()))), "{answers:?}");
    assert_eq!(one.bucket.keys(), ["acme/b", "acme/c", "acme/d"]);
}

fn name() -> Key {
    Prefix::parse("acme/").unwrap().key("a").unwrap()
}

fn lease(seconds: u64) -> Lease {
    Lease { holder: "a node that was killed".to_owned(), term: Duration::from_secs(seconds) }
}

// S142: A claim of another node lasts until its operation ends, or for at most 30 seconds after that node was killed.
#[tokio::test(start_paused = true)]
async fn a_claim_ends_with_its_lease_and_a_working_node_renews_its_own() {
    let [one, other] = two(ClaimTopology::Nodes, &["acme/a"]);
    let bucket: &BucketId = one.bucket.id();
    assert!(one.journal.claim(bucket, &name(), &lease(10)).await.unwrap());
    let hold = one.bucket.hold(Verb::Copy, Moment::Request);
    let asked = Instant::now();
    let running = tokio::spawn(async move { (TO_ONE.run(&one).await, one) });
    other.bucket.arrived(Verb::Copy, 1).await;
    assert_eq!(asked.elapsed().as_secs(), 10);
    for _ in 0..4 {
        assert!(matches!(Remove.run(&other).await, Err(Error::RenameInProgress)));
        assert_eq!(other.journal.claims(), 2, "one for each name of the rename");
    }
    drop(hold);
    let (renamed, one) = running.await.unwrap();
    renamed.unwrap();
    assert!(matches!(Remove.run(&other).await, Err(Error::NotFound)));
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(one.journal.claims(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_operation_that_is_dropped_or_stops_waiting_leaves_no_claim() {
    for topology in [ClaimTopology::Node, ClaimTopology::Nodes] {
        let [one, other] = two(topology, &["acme/a"]);
        let hold = one.bucket.hold(Verb::Copy, Moment::Request);
        let session = one.another();
        let first = tokio::spawn(async move { TO_ONE.run(&session).await });
        other.bucket.arrived(Verb::Copy, 1).await;
        let session = other.another();
        let second = tokio::spawn(async move { Remove.run(&session).await });
        tokio::time::sleep(Duration::from_secs(1)).await;
        second.abort();
        first.abort();
        assert!(first.await.is_err() && second.await.is_err());
        drop(hold);
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(one.journal.claims(), 0);
        assert!(one.node.claims.is_empty() && other.node.claims.is_empty());
        let asked = Instant::now();
        Remove.run(&other).await.unwrap();
        assert!(asked.elapsed().as_secs() < 1);
    }
}

// S142: A claim of another node lasts until its operation ends, or for at most 30 seconds after that node was killed.
#[tokio::test(start_paused = true)]
async fn a_journal_that_goes_away_during_an_operation_holds_up_none_and_loses_its_row_later() {
    let [one, other] = two(ClaimTopology::Nodes, &["acme/a"]);
    let hold = one.bucket.hold(Verb::Copy, Moment::Request);
    let session = one.another();
    let renaming = tokio::spawn(async move { TO_ONE.run(&session).await });
    one.bucket.arrived(Verb::Copy, 1).await;
    one.journal.set_down(true);
    drop(hold);
    renaming.await.unwrap().unwrap();
    let asked = Instant::now();
    for session in [&one, &other] {
        session.bucket.insert("acme/a", "a later file of this name");
        Remove.run(session).await.unwrap();
    }
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    one.journal.set_down(false);
    assert_eq!(one.journal.claims(), 2, "those of the rename");
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(one.journal.claims(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_claim_takes_two_questions_to_a_shared_journal_and_none_to_another() {
    let [one, _] = two(ClaimTopology::Nodes, &["acme/a"]);
    one.journal.asked();
    Remove.run(&one).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let asked = one.journal.asked();
    assert_eq!((asked.first(), asked.last()), (Some(&"claim"), Some(&"end_claim")));
    let alone = UserTree::start();
    alone.bucket.insert("acme/a", "x");
    Remove.run(&alone).await.unwrap();
    assert!(alone.journal.asked().iter().all(|question| !question.contains("claim")));
}

// S143: On a store that deletes whatever the condition says, sessions of one node still exclude each other, and so do …
#[tokio::test(start_paused = true)]
async fn a_store_without_conditions_is_made_up_for() {
    for topology in [ClaimTopology::Node, ClaimTopology::Nodes] {
        for source in [&["acme/a"][..], &["acme/a/"]] {
            let removal = if source == ["acme/a"] { Remove } else { Rmdir };
            for acts in [[TO_ONE, TO_OTHER], [TO_ONE, removal], [removal, removal]] {
                let sessions = two(topology, source);
                sessions[0].bucket.ignore_removal_conditions();
                let answers = join!(acts[0].run(&sessions[0]), acts[1].run(&sessions[1])).into();
                assert_exclusive(&sessions, source, acts, &answers, &format!("{topology:?} {source:?} {acts:?}"));
            }
        }
    }
}
