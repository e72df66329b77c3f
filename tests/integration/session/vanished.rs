//! Clients that disconnect in the middle of operations: nothing is left half done, and requests that have arrived are
//! carried out.

use super::{harness::CREATE, *};
use wharfinger::{
    events::{Event, Outcome, Transfer},
    sftp::wire::{OpenFlags, Reply},
    testing::bucket::Moment::Answer,
};

// S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
#[tokio::test(start_paused = true)]
async fn an_upload_without_its_close_is_never_published() {
    for size in [3, 9 * MIB, 40 * MIB] {
        for held in [None, Some(Verb::CreateUpload), Some(Verb::UploadPart)] {
            let wharf = Wharf::start();
            let mut client = wharf.connect().await;
            let hold = held.map(|verb| wharf.bucket.hold(verb, Answer));
            let handle = client.create("/a").await;
            client.send_writes(&handle, &content(1, size)).await;
            run_ready_tasks().await;
            client.vanish();
            run_ready_tasks().await;
            drop(hold);
            wharf.assert_nothing_left().await;
            assert!(wharf.bucket.keys().is_empty(), "{size} {held:?}");
        }
    }
}

// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn a_close_that_has_come_is_carried_out_whoever_still_listens() {
    for (size, held) in [(3, Verb::Put), (9 * MIB, Verb::CreateUpload), (20 * MIB, Verb::UploadPart)] {
        let wharf = Wharf::start();
        close_and_vanish(&wharf, held, &content(1, size), async {}).await;
    }
}

// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn a_rename_that_has_begun_is_finished() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let hold = wharf.bucket.hold(Verb::Copy, Answer);
    client.send(request::rename("/a", "/b")).await;
    wharf.bucket.arrived(Verb::Copy, 1).await;
    run_ready_tasks().await;
    assert_eq!(wharf.bucket.keys(), ["acme/a", "acme/b"]);
    client.vanish();
    run_ready_tasks().await;
    drop(hold);
    wharf.assert_nothing_left().await;
    assert_eq!(wharf.bucket.keys(), ["acme/b"]);
}

// S71: A CLOSE that has come is carried out, and a RENAME that has begun is finished, even if the client is gone.
#[tokio::test(start_paused = true)]
async fn an_open_that_creates_an_empty_file_is_carried_out_and_on_record() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let mut records = wharf.events.subscribe();
    let hold = wharf.bucket.hold(Verb::Put, Request);
    client.send(request::open("/a", OpenFlags::READ | OpenFlags::CREATE)).await;
    wharf.bucket.arrived(Verb::Put, 1).await;
    client.vanish();
    run_ready_tasks().await;
    drop(hold);
    wharf.assert_nothing_left().await;
    assert_eq!(wharf.bucket.keys(), ["acme/a"]);
    let closed = std::iter::from_fn(|| records.try_recv().ok()).find_map(|record| match &record.event {
        Event::FileClosed { transfer: Transfer::Upload, outcome, object, .. } => {
            Some((outcome.clone(), object.is_some()))
        }
        _ => None,
    });
    assert_eq!(closed, Some((Outcome::Done, true)));
}

#[tokio::test(start_paused = true)]
async fn an_open_that_waits_for_an_earlier_close_creates_nothing_for_a_client_that_is_gone() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let hold = wharf.bucket.hold(Verb::Put, Request);
    let data = client.create("/data").await;
    client.send(request::close(&data)).await;
    wharf.bucket.arrived(Verb::Put, 1).await;
    client.send(request::open("/data.done", OpenFlags::READ | OpenFlags::CREATE)).await;
    run_ready_tasks().await;
    client.vanish();
    run_ready_tasks().await;
    drop(hold);
    wharf.assert_nothing_left().await;
    assert_eq!(wharf.bucket.keys(), ["acme/data"]);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_memory_leaves_the_line() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    let mut holding = wharf.connect().await;
    let handle = holding.create("/a").await;
    holding.write_all(&handle, 0, &content(1, 1 << 20)).await.unwrap();
    let mut waiting = wharf.connect().await;
    let other = waiting.create("/b").await;
    for offset in [0, 200_000] {
        waiting.send(request::write(&other, offset, content(1, 200_000))).await;
    }
    waiting.send(request::open("/c", CREATE)).await;
    run_ready_tasks().await;
    assert!(wharf.budget.of(&"acme".parse().unwrap()).is_pressed());
    waiting.vanish();
    run_ready_tasks().await;
    holding.close(&handle).await.unwrap();
    holding.vanish();
    wharf.assert_nothing_left().await;
    assert_eq!(wharf.bucket.keys(), ["acme/a"]);
}

#[tokio::test(start_paused = true)]
async fn downloads_and_listings_stop() {
    let wharf = Wharf::with(Setup { sparse_bytes: 1 << 30, ..Setup::default() });
    for number in 0..3000 {
        wharf.bucket.insert(&format!("acme/{number}"), "x");
    }
    let mut client = wharf.connect().await;
    let file = client.open("/sparse", OpenFlags::READ).await.unwrap();
    let id = client.send(request::open_dir("/")).await;
    let directory = client.handle(id).await.unwrap();
    for number in 0..1000 {
        client.send(request::read(&file, number * 32_768, 32_768)).await;
        client.send(request::read_dir(&directory)).await;
    }
    run_ready_tasks().await;
    assert!(wharf.budget.used() > 0);
    client.vanish();
    wharf.assert_nothing_left().await;
}

// S72: A client that only stops sending is answered to the end, but an end of input is no CLOSE.
#[tokio::test(start_paused = true)]
async fn a_client_that_only_stops_sending_is_answered_to_the_end() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", "abc");
    let mut client = wharf.connect().await;
    let file = client.open("/a", OpenFlags::READ).await.unwrap();
    let unfinished = client.create("/b").await;
    let write = client.send(request::write(&unfinished, 0, "abc")).await;
    let finished = client.create("/c").await;
    let close = client.send(request::close(&finished)).await;
    let reads: Vec<_> =
        [client.send(request::read(&file, 0, 2)).await, client.send(request::read(&file, 2, 2)).await].into();
    let stat = client.send(request::stat("/a")).await;
    let opening = client.send(request::open("/d", CREATE)).await;
    let rest = client.finish().rest().await;
    let done = |id| matches!(rest[&id], Reply::Status { code: wharfinger::sftp::wire::StatusCode::Ok, .. });
    assert!(done(close) && rest.contains_key(&write), "{rest:?}");
    assert!(reads.iter().all(|id| matches!(rest[id], Reply::Data { .. })), "{rest:?}");
    assert!(matches!(rest[&stat], Reply::Attrs { .. }));
    assert!(matches!(rest[&opening], Reply::Handle { .. }));
    wharf.assert_nothing_left().await;
    assert_eq!(wharf.bucket.keys(), ["acme/a", "acme/c"], "an end of input is no CLOSE");
}
