//! Uploads that fail at CLOSE, seen by clients that check only OPEN's answer.

use super::{harness::CREATE, *};
use bytes::Bytes;
use std::time::Duration;
use tokio::time::{Instant, sleep};
use wharfinger::{
    sftp::wire::{OpenFlags, StatusCode},
    store::Error,
    testing::{
        bucket::{Moment::Request, Verb},
        faulty::{Aim, Fault},
    },
};

const SECRET: &str = "acme-bucket AKIA 4711";
const ABC: Bytes = Bytes::from_static(b"abc");

fn forbidden() -> Error {
    Error::Forbidden { request: SECRET.into() }
}

/// Makes every PUT fail from now on.
fn begin_outage(wharf: &Wharf) {
    wharf.faulty.meet(Aim::Every(Verb::Put), Fault::Refused(Error::Throttled { request: SECRET.into() }));
}

/// Uploads as curl does, which ignores CLOSE's answer.
async fn put_and_forget(client: &mut SftpClient, path: &str) -> SftpResult<()> {
    let handle = client.open(path, CREATE).await?;
    client.write(&handle, 0, ABC).await?;
    let _ = client.close(&handle).await;
    Ok(())
}

// S181: After an upload failed for its bucket's sake, because S3 gave no answer or an error of its own (5xx) to any …
#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_look_at_close_hears_of_it_at_its_second_file() {
    let wharf = Wharf::start();
    let (mut client, mut another) = (wharf.connect().await, wharf.connect().await);
    begin_outage(&wharf);
    put_and_forget(&mut client, "/a").await.unwrap();
    let sentence = "the storage did not take the last upload: the storage is overloaded, try again later".to_owned();
    let refused = Err(StatusError { code: StatusCode::Failure, sentence });
    for client in [&mut client, &mut another] {
        assert_eq!(put_and_forget(client, "/b").await, refused);
        // flock creates its file with CREAT alone.
        assert_eq!(client.open("/b", OpenFlags::READ | OpenFlags::CREATE).await.map(drop), refused);
        assert_eq!(client.stat("/b").await.unwrap_err().code, StatusCode::NoSuchFile);
    }
    client.vanish();
    another.vanish();
    wharf.assert_nothing_left().await;
}

// S182: After S3 denied (403) a session the uploads of two different names in a row, with nothing stored between, OPEN …
#[tokio::test(start_paused = true)]
async fn a_client_that_is_denied_in_a_loop_hears_of_it_and_the_others_continue() {
    let wharf = Wharf::start();
    let (mut client, mut another) = (wharf.connect().await, wharf.connect().await);
    let mut refusals = Vec::new();
    for round in 0..50 {
        // Only this client's PUT fails: the other client uploads after it.
        let handle = match client.open(&format!("/denied-{round}"), CREATE).await {
            Ok(handle) => handle,
            Err(refusal) => {
                refusals.push(refusal);
                another.put("/others", &ABC).await.unwrap();
                sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        wharf.bucket.fail(Verb::Put, Request, forbidden());
        client.close(&handle).await.unwrap_err();
        another.put("/others", &ABC).await.unwrap();
    }
    assert!(refusals.len() >= 45, "{}", refusals.len());
    let sentence = "the storage did not take the last uploads: it denied the server access to them".to_owned();
    assert!(
        refusals
            .iter()
            .all(|refusal| *refusal == StatusError { code: StatusCode::PermissionDenied, sentence: sentence.clone() })
    );
}

// S184: One OPEN goes through every two seconds, whatever becomes of it, so that the first that comes two seconds after …
#[tokio::test(start_paused = true)]
async fn the_first_open_after_an_outage_succeeds_within_two_seconds_also_beside_silent_ones() {
    let wharf = Wharf::start();
    let (mut client, mut silent) = (wharf.connect().await, wharf.connect().await);
    begin_outage(&wharf);
    put_and_forget(&mut client, "/a").await.unwrap();
    sleep(Duration::from_secs(2)).await;
    silent.create("/silent").await;
    sleep(Duration::from_millis(500)).await;
    wharf.faulty.restart();
    let ended = Instant::now();
    while let Err(refusal) = client.put("/a", &ABC).await {
        assert_eq!(refusal.code, StatusCode::Failure);
        sleep(Duration::from_millis(100)).await;
    }
    assert!(ended.elapsed() < Duration::from_secs(2), "{:?}", ended.elapsed());
    for path in ["/b", "/c"] {
        silent.put(path, &ABC).await.unwrap();
    }
}
