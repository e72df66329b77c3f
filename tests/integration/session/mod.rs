//! One SFTP channel, request by request, on a bucket in memory: no sockets, no SSH, no real time.

mod arbitrary;
mod conversation;
mod copies;
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
mod own_uploads;
mod patches;
mod progress;
mod reading_back;
mod requests;
mod stalled_connections;
mod updates;
mod uploads;
mod vanished;

use harness::{Setup, SftpClient, SftpResult, StatusError, Wharf, content, request};

const MIB: usize = 1 << 20;

/// Runs all tasks that can run without further input.
async fn run_ready_tasks() {
    // A paused clock moves only when no task can run.
    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
}
