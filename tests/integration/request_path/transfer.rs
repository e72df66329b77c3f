//! The transfer that callgrind watches. Functions that do nothing are called between its requests: callgrind ends a part
//! of its output at each.

use crate::{
    ssh::{Edge, alice_with_key},
    support::sftp::{KeyFile, Sftp},
};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use wharfinger::ssh::Settings;

/// The name of the test below, for a run of it alone.
pub const TEST: &str = "request_path::transfer::a_file_is_written_and_another_one_read";

/// The length of the WRITE and of the READ.
const REQUEST_BYTES: u32 = 32 * 1024;
/// The place of the READ. The OPEN fetches less.
const READ_OFFSET: u32 = 16 << 20;

/// It has one thread, so that nothing else runs during a request.
#[tokio::test]
async fn a_file_is_written_and_another_one_read() {
    let (key, content) = (KeyFile::new(), vec![7; REQUEST_BYTES as usize]);
    let edge = Edge::start_with(Settings::default(), [alice_with_key(&key)]);
    edge.bucket.insert("acme/stored", [vec![0; READ_OFFSET as usize], content.clone()].concat());
    let sftp = Sftp::connect(edge.address, "alice", &key).await;
    // The listeners look at their sockets every second.
    edge.running.abort();
    let create = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let new = sftp.open("/new", create, FileAttributes::empty()).await.unwrap().handle;

    ping_begins();
    sftp.ping().await;
    write_begins();
    sftp.write(&new, 0, content.clone()).await.unwrap();
    close_begins();
    sftp.close(new).await.unwrap();
    let stored = sftp.open("/stored", OpenFlags::READ, FileAttributes::empty()).await.unwrap().handle;
    read_begins();
    let data = sftp.read(&stored, READ_OFFSET.into(), REQUEST_BYTES).await.unwrap().data;
    check_begins();
    assert_eq!(data, content);
    assert_eq!(edge.bucket.bytes("acme/new").unwrap(), content);
}

#[inline(never)]
fn ping_begins() {}

#[inline(never)]
fn write_begins() {}

#[inline(never)]
fn close_begins() {}

#[inline(never)]
fn read_begins() {}

#[inline(never)]
fn check_begins() {}
