//! Connections that the server holds up because storage takes no data. An upload that waits behind another does not
//! stall itself, and a CLOSE that arrived must be carried out.

use super::{harness::WRITE_BYTES, *};
use std::time::Duration;
use tokio::time::Instant;

#[tokio::test(start_paused = true)]
async fn a_close_behind_a_write_that_waits_for_memory_is_carried_out_when_its_client_is_gone() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    close_and_vanish(&wharf, Verb::CreateUpload, &content(1, 28 * WRITE_BYTES), run_ready_tasks()).await;
}

#[tokio::test(start_paused = true)]
async fn an_upload_does_not_stall_while_another_stalls_its_connection() {
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

// S109: A WRITE that finds no memory for `upload_wait` (40 s by default) is told that the server is busy, and the file …
#[tokio::test(start_paused = true)]
async fn a_connection_whose_uploads_find_no_memory_waits_for_it_once() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    let mut busy = wharf.connect().await;
    let handle = busy.create("/busy").await;
    busy.write_all(&handle, 0, &content(2, MIB)).await.unwrap();
    let others = async {
        let connection = wharf.log_in("0123456789abcdef", "acme");
        let (mut files, mut writes) = (Vec::new(), Vec::new());
        for channel in 0..5 {
            let mut client = wharf.connect_on(&connection).await;
            let mut handles = Vec::new();
            for file in 0..4 {
                handles.push(client.create(&format!("/{channel}-{file}")).await);
            }
            files.push((client, handles));
        }
        let since = Instant::now();
        for (channel, (client, handles)) in files.iter_mut().enumerate() {
            for index in 0..4 {
                for handle in &*handles {
                    let write = request::write(handle, index * 200_000, content(1, 200_000));
                    writes.push((channel, client.send(write).await));
                }
            }
        }
        for (channel, write) in writes {
            // Small files have memory of their own, and so the first WRITE of one may succeed.
            let _ = files[channel].0.status(write).await;
        }
        since.elapsed()
    };
    let moves = async {
        for piece in 0.. {
            busy.write(&handle, MIB as u64 + piece * (32 << 10), content(3, 32 << 10)).await.unwrap();
            tokio::time::sleep(Duration::from_secs(8)).await;
        }
    };
    let waited = tokio::select! {
        waited = others => waited,
        () = moves => unreachable!("it moves without end"),
    };
    assert_eq!(waited.as_secs(), 40);
    busy.close(&handle).await.unwrap();
    assert_eq!(wharf.bucket.keys(), ["acme/busy"]);
    wharf.connect().await.put("/later", &content(1, MIB)).await.unwrap();
}
