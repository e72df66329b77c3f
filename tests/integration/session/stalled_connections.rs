//! Connections that the server holds up because storage takes no data. An upload that waits behind another must not be
//! ended as silent, and a CLOSE that arrived must be carried out.

use super::{harness::WRITE_BYTES, *};
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_write_that_waits_for_memory_is_carried_out_when_its_client_is_gone() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    close_and_vanish(&wharf, Verb::CreateUpload, &content(1, 28 * WRITE_BYTES), run_ready_tasks()).await;
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
