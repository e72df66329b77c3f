//! A change of a large file costs only the changed bytes: the server doesn't send, fetch or buffer the bytes before
//! them.

use super::{
    harness::{SftpClient, Wharf},
    *,
};
use wharfinger::{
    sftp::wire::{Attrs, Handle, OpenFlags},
    testing::bucket::Verb,
};

const GIB: u64 = 1 << 30;
/// Limit on the bytes of one copy request to S3.
const COPY_BYTES: u64 = 256 << 20;

async fn sparse(sparse_bytes: u64, flags: OpenFlags) -> (Wharf, SftpClient, Handle) {
    let wharf = Wharf::with(Setup { sparse_bytes, ..Setup::default() });
    let mut client = wharf.connect().await;
    let handle = client.open("/sparse", flags).await.unwrap();
    (wharf, client, handle)
}

fn sent_bytes(wharf: &Wharf) -> u64 {
    wharf.bucket.requests().iter().map(|request| request.sent_bytes).sum()
}

/// Checks that the copies cover exactly `0..end`, in the fewest possible requests.
fn assert_copied(wharf: &Wharf, end: u64) {
    let copies = wharf.sparse.copies();
    assert_eq!((copies.first().unwrap().start, copies.last().unwrap().end), (0, end), "{copies:?}");
    assert!(copies.windows(2).all(|pair| pair[0].end == pair[1].start), "{copies:?}");
    assert_eq!(copies.len() as u64, end.div_ceil(COPY_BYTES));
}

#[tokio::test(start_paused = true)]
async fn a_byte_appended_to_a_gib_is_sent_alone() {
    for size in [GIB, GIB + 4711] {
        let (wharf, mut client, handle) = sparse(size, OpenFlags::WRITE | OpenFlags::APPEND).await;
        client.write(&handle, size, "x").await.unwrap();
        client.close(&handle).await.unwrap();
        assert_copied(&wharf, size);
        assert_eq!((wharf.sparse.gets().len(), sent_bytes(&wharf)), (0, 1));
        assert_eq!(wharf.bucket.count(Verb::UploadPart), 1);
        assert_eq!(wharf.sparse.completed().iter().sum::<u64>(), size + 1);
    }
}

// S78: Nothing before the first change is sent or fetched, where it can be copied.
#[tokio::test(start_paused = true)]
async fn the_last_hundredth_of_10_gib_is_all_that_a_resumed_upload_sends() {
    let (there, rest) = (10 * GIB - (100 << 20) + 4711, content(1, 100 * MIB));
    let (wharf, mut client, handle) = sparse(there, OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::APPEND).await;
    client.write_all(&handle, there, &rest).await.unwrap();
    client.close(&handle).await.unwrap();
    assert_copied(&wharf, there);
    assert_eq!((wharf.sparse.gets().len(), sent_bytes(&wharf)), (0, rest.len() as u64));
    assert_eq!(wharf.sparse.completed().iter().sum::<u64>(), there + rest.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn a_change_in_the_middle_of_a_gib_sends_one_part() {
    let (wharf, mut client, handle) = sparse(GIB, OpenFlags::READ | OpenFlags::WRITE).await;
    assert_eq!(client.read(&handle, GIB / 2, 4).await.unwrap(), [0; 4].as_slice());
    client.write(&handle, GIB / 2, "new").await.unwrap();
    assert_eq!(client.read(&handle, GIB / 2, 4).await.unwrap(), b"new\0".as_slice());
    let read = wharf.sparse.fetched_bytes();
    client.close(&handle).await.unwrap();
    assert!(wharf.sparse.fetched_bytes() - read < 5 << 20, "{:?}", wharf.sparse.gets());
    assert_eq!(sent_bytes(&wharf), 5 << 20);
    assert_eq!(wharf.sparse.completed().iter().sum::<u64>(), GIB);
    client.vanish();
    wharf.assert_nothing_left().await;
}

// S84: A size that is set by path is set at once, or by the upload of this session that is open; where that can't do …
#[tokio::test(start_paused = true)]
async fn a_file_is_truncated_by_its_path_without_sending_a_byte() {
    let wharf = Wharf::with(Setup { sparse_bytes: GIB, ..Setup::default() });
    let mut client = wharf.connect().await;
    let size = Some(GIB / 2 + 1);
    client.order(request::set_stat("/sparse", Attrs { size, ..Attrs::default() })).await.unwrap();
    assert_copied(&wharf, GIB / 2 + 1);
    assert_eq!((wharf.sparse.gets().len(), sent_bytes(&wharf)), (0, 0));
}

// S70: An upload whose connection is lost before its CLOSE is never published; a file that was to be changed stays as …
#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_changes_nothing() {
    let wharf = Wharf::start();
    wharf.bucket.insert("acme/a", content(1, 20 * MIB));
    let mut client = wharf.connect().await;
    let handle = client.open("/a", OpenFlags::WRITE).await.unwrap();
    client.write_all(&handle, 10 << 20, &content(2, 40 * MIB)).await.unwrap();
    client.vanish();
    wharf.assert_nothing_left().await;
    wharf.assert_stored("/a", &content(1, 20 * MIB));
}
