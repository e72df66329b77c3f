//! One SFTP channel, request by request, on a bucket in memory: no sockets, no SSH, no real time.

mod arbitrary;
mod conversation;
mod copies;
mod counts;
mod directory_times;
mod downloads;
mod failed_uploads;
mod faults;
mod floods;
pub mod harness;
mod listings;
mod locks;
mod markers;
mod memory;
mod order;
mod origins;
mod own_uploads;
mod patches;
mod progress;
mod rates;
mod reading_back;
mod requests;
mod stalled_connections;
mod stalls;
mod updates;
mod uploads;
mod vanished;

use bytes::Bytes;
use harness::{Setup, SftpClient, SftpResult, StatusError, Wharf, content, request};
use wharfinger::testing::bucket::{Moment::Request, Verb};

const MIB: usize = 1 << 20;

/// Uploads `/a` while storage holds back its requests of this verb. The client runs `pause` before its CLOSE, then
/// sends the CLOSE and disconnects. Checks that the file is stored nevertheless.
async fn close_and_vanish(wharf: &Wharf, verb: Verb, content: &Bytes, pause: impl Future<Output = ()>) {
    let mut client = wharf.connect().await;
    let hold = wharf.bucket.hold(verb, Request);
    let handle = client.create("/a").await;
    client.send_writes(&handle, content).await;
    pause.await;
    client.send(request::close(&handle)).await;
    client.vanish();
    run_ready_tasks().await;
    drop(hold);
    wharf.assert_nothing_left().await;
    wharf.assert_stored("/a", content);
}

/// Runs all tasks that can run without further input.
async fn run_ready_tasks() {
    // A paused clock moves only when no task can run.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}
