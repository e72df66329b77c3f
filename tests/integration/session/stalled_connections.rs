//! Connections that the server holds up because storage takes no data. An upload that waits behind another must not be
//! ended as silent, and a CLOSE that arrived must be carried out.

use super::{harness::Wharf, *};
use std::time::Duration;
use wharfinger::store::memory::{Moment::Request, Verb};

const WRITE_BYTES: usize = 200_000;

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_write_that_waits_for_memory_is_carried_out_when_its_client_is_gone() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    let mut client = wharf.connect().await;
    let hold = wharf.bucket.hold(Verb::CreateUpload, Request);
    let handle = client.create("/a").await;
    let content = content(1, 28 * WRITE_BYTES);
    for start in (0..content.len()).step_by(WRITE_BYTES) {
        let data = content.slice(start..start + WRITE_BYTES);
        client.send(request::write(&handle, start as u64, data)).await;
    }
    run_ready_tasks().await;
    client.send(request::close(&handle)).await;
    client.vanish();
    run_ready_tasks().await;
    drop(hold);
    wharf.assert_nothing_left().await;
    wharf.assert_stored("/a", &content);
}

#[tokio::test(start_paused = true)]
async fn an_upload_is_not_silent_while_another_stalls_its_connection() {
    let wharf = Wharf::with(Setup { budget_bytes: 10 << 20, ..Setup::default() });
    let mut client = wharf.connect().await;
    let hold = wharf.bucket.hold(Verb::CreateUpload, Request);
    let waiting = client.create("/waiting").await;
    let busy = client.create("/busy").await;
    let content = content(1, 40 * WRITE_BYTES);
    let release = async {
        tokio::time::sleep(Duration::from_secs(45)).await;
        drop(hold);
    };
    let (put, ()) = tokio::join!(client.write_all(&busy, 0, &content), release);
    put.unwrap();
    client.write(&waiting, 0, "abc").await.unwrap();
    client.close(&waiting).await.unwrap();
    client.close(&busy).await.unwrap();
    wharf.assert_stored("/waiting", b"abc");
    wharf.assert_stored("/busy", &content);
}
