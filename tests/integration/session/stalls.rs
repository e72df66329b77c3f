//! Uploads that stall while others wait for their memory: one after the other gives way, and requests that bring no bytes
//! are no sign of life.

use super::{harness::UserConnection, *};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};
use wharfinger::sftp::wire::{Handle, OpenFlags};

const STALLED: &str = "the upload was abandoned: it made no progress while others waited for memory";

/// An upload of `tenant` that has the memory of a part, and so many bytes of it.
async fn stalled(wharf: &Wharf, tenant: &str, bytes: usize) -> (SftpClient, Handle, UserConnection) {
    let connection = wharf.log_in(tenant, tenant);
    let mut client = wharf.connect_on(&connection).await;
    let handle = client.create("/stalled").await;
    client.write_all(&handle, 0, &content(2, bytes)).await.unwrap();
    (client, handle, connection)
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn while_one_stalled_upload_stores_its_last_part_the_next_one_stays() {
    let wharf = Wharf::with(Setup { budget_bytes: 16 << 20, ..Setup::default() });
    let hold = wharf.bucket.hold(Verb::UploadPart, Request);
    // Its part is on the way to S3.
    let (mut first, first_handle, _one) = stalled(&wharf, "globex", 8 * MIB + 1).await;
    let (mut second, second_handle, _two) = stalled(&wharf, "initech", 4 * MIB).await;
    let mut other = wharf.connect().await;
    let since = Instant::now();
    let handle = other.create("/other").await;
    let released = async {
        sleep_until(since + Duration::from_secs(13)).await;
        drop(hold);
    };
    let written = async {
        other.write_all(&handle, 0, &content(1, MIB)).await.unwrap();
        since.elapsed()
    };
    let (waited, ()) = tokio::join!(written, released);
    assert!((13..=14).contains(&waited.as_secs()), "{waited:?}");
    assert_eq!(first.close(&first_handle).await.unwrap_err().sentence, STALLED);
    second.close(&second_handle).await.unwrap();
    other.close(&handle).await.unwrap();
}

// S108: An upload that takes in less than 16 KiB of new bytes in 10 seconds while others wait for its memory is cut off, …
#[tokio::test(start_paused = true)]
async fn copies_without_bytes_are_no_sign_of_life() {
    let wharf = Wharf::with(Setup { budget_bytes: 5 << 20, ..Setup::default() });
    let (mut first, target, _one) = stalled(&wharf, "globex", 4 * MIB).await;
    wharf.bucket.insert("globex/empty", "");
    let source = first.open("/empty", OpenFlags::READ).await.unwrap();
    let mut other = wharf.connect().await;
    let since = Instant::now();
    let copies = async {
        while since.elapsed() < Duration::from_secs(9) {
            let _ = first.order(request::copy((&source, 0), 0, (&target, 0))).await;
            sleep(Duration::from_secs(1)).await;
        }
    };
    let bytes = content(1, MIB);
    let (stored, ()) = tokio::join!(other.put("/other", &bytes), copies);
    stored.unwrap();
    assert!((10..=11).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
    assert_eq!(first.close(&target).await.unwrap_err().sentence, STALLED);
}
