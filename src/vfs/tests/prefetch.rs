//! Clients that read small files in the order of their listing get them prefetched, with the right bytes and few
//! requests.

use super::*;
use tokio::time::{Instant, advance};

const FILES: usize = 1000;
/// The time until S3's first byte.
const LATENCY: Duration = Duration::from_millis(30);

/// Makes a directory of `FILES` files of 10 KiB, each with other bytes.
fn with_files() -> UserTree {
    let session = UserTree::start();
    for number in 0..FILES {
        session.bucket.insert(&format!("acme/d/{number:04}"), content(number));
    }
    session
}

fn content(number: usize) -> Vec<u8> {
    number.to_string().into_bytes().into_iter().cycle().take(10 << 10).collect()
}

/// Gets one file as OpenSSH does, and checks its bytes.
async fn check(session: &UserTree, number: usize) {
    let handle = session.open_read(&path(&format!("/d/{number:04}"))).await.unwrap();
    assert!(handle.read(0, 32768).await.unwrap().concat() == content(number), "{number}");
}

/// Returns the number of GETs that it took to list the directory and get these files.
async fn gets(session: &UserTree, numbers: impl IntoIterator<Item = usize>) -> usize {
    session.names("/d").await;
    session.bucket.forget_requests();
    for number in numbers {
        check(session, number).await;
    }
    let requested = session.requested();
    assert!(requested.iter().all(|verb| *verb == Verb::Read), "{requested:?}");
    requested.len()
}

// S56: Small files (at most 256 KiB) may be fetched before they are opened, when a session opens files in the order …
#[tokio::test(start_paused = true)]
async fn files_in_the_order_of_their_listing_take_a_request_each_and_hardly_a_round_trip() {
    let session = with_files();
    session.bucket.answer_after(LATENCY);
    session.names("/d").await;
    let since = Instant::now();
    for number in 0..FILES {
        check(&session, number).await;
    }
    let round_trips = since.elapsed().as_millis() / LATENCY.as_millis();
    assert_eq!(session.bucket.count(Verb::Read), FILES);
    assert!(round_trips <= FILES as u128 / 10, "{round_trips} round trips");
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn files_of_nested_directories_are_prefetched_too() {
    let session = UserTree::start();
    for name in ["a/1", "a/2", "b/1", "b/2", "c", "d", "e"] {
        session.bucket.insert(&format!("acme/d/{name}"), name.to_owned());
    }
    session.bucket.answer_after(LATENCY);
    session.names("/d").await;
    let since = Instant::now();
    for directory in ["/d/a", "/d/b"] {
        session.names(directory).await;
        for name in ["1", "2"] {
            session.open_read(&path(&format!("{directory}/{name}"))).await.unwrap();
        }
    }
    for name in ["c", "d", "e"] {
        session.open_read(&path(&format!("/d/{name}"))).await.unwrap();
    }
    assert_eq!(session.bucket.count(Verb::Read), 7);
    // Two listings, and the first file of each directory; the second file arrives with the first.
    assert_eq!(since.elapsed(), LATENCY * 5);
}

// S59: After a few wrong guesses the server stops guessing for a session.
#[tokio::test(start_paused = true)]
async fn another_order_costs_no_more_than_a_few_gets() {
    let random = (0..FILES).map(|number| number * 617 % FILES);
    assert!(gets(&with_files(), (0..FILES).rev()).await <= FILES + 4);
    assert!(gets(&with_files(), (0..FILES).step_by(2)).await <= FILES / 2 + 4);
    assert!(gets(&with_files(), random).await <= FILES + 4);
    let in_order_to_the_middle = (0..FILES / 2).chain((FILES / 2..FILES).rev());
    assert!(gets(&with_files(), in_order_to_the_middle).await <= FILES + 16);

    let session = with_files();
    let mut count = 0;
    for _ in 0..50 {
        count += gets(&session, [0]).await;
        advance(Duration::from_secs(2)).await;
    }
    assert!(count <= 50 + 4, "{count} GETs for the first file of 50 listings");
}

// S59: After a few wrong guesses the server stops guessing for a session.
#[tokio::test(start_paused = true)]
async fn guessing_stops_for_a_client_that_waits_between_files() {
    let session = with_files();
    session.names("/d").await;
    session.bucket.forget_requests();
    for number in 0..50 {
        check(&session, number).await;
        advance(Duration::from_secs(3)).await;
    }
    assert!(session.requested().len() <= 50 + 4);
}

// S59: After a few wrong guesses the server stops guessing for a session.
#[tokio::test(start_paused = true)]
async fn guessing_stops_for_files_that_cannot_be_read() {
    let session = with_files();
    for number in 0..100 {
        session.bucket.archive(&format!("acme/d/{number:04}"));
    }
    session.names("/d").await;
    session.bucket.forget_requests();
    for number in 0..100 {
        let opened = session.open_read(&path(&format!("/d/{number:04}"))).await;
        assert!(matches!(opened, Err(Error::Archived)));
    }
    // The last guess is in flight when the one before it turns out to be wrong.
    assert!(session.requested().len() <= 100 + 5);
}

// S58: Of files that are fetched before they are opened, what a session of the node changes is seen at once, what …
#[tokio::test(start_paused = true)]
async fn files_that_the_session_changes_never_show_their_old_bytes() {
    let session = with_files();
    gets(&session, 0..10).await;
    session.upload("/d/0010", "new").await;
    session.remove(&path("/d/0011")).await.unwrap();
    session.rename(&path("/d/0012"), &path("/d/0013"), Replace::Yes).await.unwrap();
    let handle = session.open_read(&path("/d/0010")).await.unwrap();
    assert_eq!(handle.read(0, 100).await.unwrap().concat(), b"new");
    for gone in ["/d/0011", "/d/0012"] {
        assert!(matches!(session.open_read(&path(gone)).await, Err(Error::NotFound)), "{gone}");
    }
    let handle = session.open_read(&path("/d/0013")).await.unwrap();
    assert!(handle.read(0, 32768).await.unwrap().concat() == content(12));
    check(&session, 14).await;
}

// S57: A file that is fetched before it is opened is of the version that was listed; one that has another version …
#[tokio::test(start_paused = true)]
async fn a_file_changed_before_its_prefetch_is_requested_again() {
    let session = with_files();
    session.names("/d").await;
    session.bucket.insert("acme/d/0001", "changed");
    check(&session, 0).await;
    let handle = session.open_read(&path("/d/0001")).await.unwrap();
    assert_eq!(handle.metadata().size, 7);
    assert_eq!(handle.read(0, 100).await.unwrap().concat(), b"changed");
}

// S58: Of files that are fetched before they are opened, what a session of the node changes is seen at once, what …
#[tokio::test(start_paused = true)]
async fn changes_of_other_programs_show_after_a_second_at_most() {
    let session = with_files();
    gets(&session, 0..10).await;
    for number in 10..100 {
        session.bucket.insert(&format!("acme/d/{number:04}"), "changed");
    }
    advance(Duration::from_millis(1001)).await;
    for number in 10..100 {
        let handle = session.open_read(&path(&format!("/d/{number:04}"))).await.unwrap();
        assert_eq!(handle.read(0, 100).await.unwrap().concat(), b"changed");
    }
}

#[tokio::test(start_paused = true)]
async fn it_needs_memory_to_spare_and_the_tenants_consent() {
    let session = with_files();
    let session = session.of(user("alice", ALL), Tenant { fetch_ahead: false, ..acme() });
    assert_eq!(gets(&session, [0]).await, 1);
    let session = with_files();
    assert_eq!(gets(&session, [0]).await, 2);
    let session = with_files();
    let _reserved = session.node.budget.of(&session.tenant.name).charge(60 * MIB as u64).unwrap();
    assert_eq!(gets(&session, [0]).await, 1);
}

#[tokio::test(start_paused = true)]
async fn the_tenants_consent_may_change_while_the_session_is_open() {
    let session = with_files();
    let with_consent = |session: &UserTree, fetch_ahead| {
        let UserTree { node, bucket, journal, .. } = session;
        let (user, tenant) = (Arc::new(user("alice", ALL)), Arc::new(Tenant { fetch_ahead, ..acme() }));
        let (node, bucket, journal) = (Arc::clone(node), Arc::clone(bucket), Arc::clone(journal));
        UserTree { vfs: session.vfs.with_account(user, tenant), node, bucket, journal }
    };
    let without = with_consent(&session, false);
    assert_eq!(gets(&without, [0]).await, 1);
    let again = with_consent(&without, true);
    assert_eq!(gets(&again, [0]).await, 2);
    let without = with_consent(&again, false);
    assert_eq!(gets(&without, [1]).await, 1, "a file that was fetched before isn't used");
}

#[tokio::test(start_paused = true)]
async fn a_prefetched_file_that_is_never_opened_releases_its_memory() {
    let session = with_files();
    gets(&session, 0..20).await;
    assert!(session.node.budget.used() > 0);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(session.node.budget.used(), 0);
}
