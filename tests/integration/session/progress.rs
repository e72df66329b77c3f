//! The progress of open files, as the registry of sessions shows it to an operator, and the records of their ends.

use super::{harness::Wharf, *};
use std::sync::Arc;
use tokio::sync::broadcast::Receiver;
use wharfinger::{
    events::{Event, Record},
    session::OpenTransferInfo,
    sftp::wire::{Attrs, OpenFlags},
};

/// Flags with which clients resume an upload.
const RESUME: OpenFlags = OpenFlags::from_bits(0x02 | 0x08);

/// Returns the only open file.
fn transfer(wharf: &Wharf) -> OpenTransferInfo {
    let [transfer] = <[_; 1]>::try_from(wharf.transfers()).unwrap();
    transfer
}

/// Returns the path and the transferred bytes of each file that ended since the last call.
fn ended(records: &mut Receiver<Arc<Record>>) -> Vec<(String, u64)> {
    let all = std::iter::from_fn(|| records.try_recv().ok());
    let ended = all.filter_map(|record| match &record.event {
        Event::FileClosed { path, bytes, .. } => Some((path.clone(), *bytes)),
        _ => None,
    });
    ended.collect()
}

#[tokio::test(start_paused = true)]
async fn a_renamed_upload_has_its_new_path_at_once() {
    let wharf = Wharf::start();
    let mut records = wharf.events.subscribe();
    let mut client = wharf.connect().await;
    for is_closed in [true, false] {
        let handle = client.create("/a.part").await;
        client.write(&handle, 0, "123").await.unwrap();
        assert_eq!((transfer(&wharf).path, transfer(&wharf).bytes), ("/a.part".to_owned(), 3));
        client.order(request::posix_rename("/a.part", "/a")).await.unwrap();
        assert_eq!((transfer(&wharf).path, transfer(&wharf).bytes), ("/a".to_owned(), 3));
        if is_closed {
            client.close(&handle).await.unwrap();
            assert_eq!(wharf.transfers(), []);
            assert_eq!(ended(&mut records), [("/a".to_owned(), 3)]);
        }
    }
    client.vanish();
    run_ready_tasks().await;
    assert_eq!(ended(&mut records), [("/a".to_owned(), 3)], "the path of an abandoned upload is no other");
}

/// The bytes of a copy are progress. The record of the end counts the client's bytes alone.
#[tokio::test(start_paused = true)]
async fn copied_bytes_are_progress() {
    let wharf = Wharf::start();
    let mut records = wharf.events.subscribe();
    wharf.bucket.insert("acme/source", content(1, 20 * MIB));
    let mut client = wharf.connect().await;
    let source = client.open("/source", OpenFlags::READ).await.unwrap();
    let target = client.create("/a").await;
    client.order(request::copy((&source, 0), 0, (&target, 0))).await.unwrap();
    client.write(&target, 20 << 20, "12345").await.unwrap();
    let upload = wharf.transfers().pop().unwrap();
    assert_eq!((&*upload.path, upload.bytes, upload.resumed_bytes), ("/a", (20 << 20) + 5, None));
    client.close(&target).await.unwrap();
    assert_eq!(ended(&mut records), [("/a".to_owned(), 5)]);
}

/// An operator sees how much of the file an earlier session had uploaded, until the client starts the file over.
#[tokio::test(start_paused = true)]
async fn the_stored_part_of_a_resumed_upload_stands_beside_the_transferred_bytes() {
    for starts_over in [false, true] {
        let wharf = Wharf::start();
        let mut client = wharf.connect().await;
        let handle = client.create("/a").await;
        client.write_all(&handle, 0, &content(1, 20 * MIB)).await.unwrap();
        assert_eq!(transfer(&wharf).resumed_bytes, None);
        client.vanish();
        run_ready_tasks().await;

        let mut records = wharf.events.subscribe();
        let mut client = wharf.connect().await;
        let stored = client.stat("/a").await.unwrap().size.unwrap();
        assert!(stored > 0);
        let handle = client.open("/a", RESUME).await.unwrap();
        run_ready_tasks().await;
        assert_eq!((transfer(&wharf).bytes, transfer(&wharf).resumed_bytes), (0, Some(stored)));
        let (offset, resumed_bytes) = if starts_over { (0, None) } else { (stored, Some(stored)) };
        client.write(&handle, offset, "12345").await.unwrap();
        assert_eq!((transfer(&wharf).bytes, transfer(&wharf).resumed_bytes), (5, resumed_bytes));
        client.close(&handle).await.unwrap();
        assert_eq!(ended(&mut records), [("/a".to_owned(), 5)]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_that_is_set_to_no_bytes_resumes_none() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    let handle = client.create("/a").await;
    client.write_all(&handle, 0, &content(1, 20 * MIB)).await.unwrap();
    client.vanish();
    run_ready_tasks().await;
    let mut client = wharf.connect().await;
    client.stat("/a").await.unwrap();
    let handle = client.open("/a", RESUME).await.unwrap();
    let empty = Attrs { size: Some(0), ..Attrs::default() };
    client.order(request::fset_stat(&handle, empty)).await.unwrap();
    assert_eq!(transfer(&wharf).resumed_bytes, None);
}
