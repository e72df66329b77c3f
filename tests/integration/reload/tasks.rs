//! The tasks of a server after reloads that end sessions.

use crate::{
    ssh::{Edge, acme, alice},
    support::sftp::Sftp,
};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use std::{sync::Arc, time::Duration};
use tokio::{
    runtime::Handle,
    time::{sleep, timeout},
};
use wharfinger::ssh::Settings;

const GRACE: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(20);
const ROUNDS: usize = 6;
/// The server starts this task with its first session, and keeps it.
const TASKS_OF_THE_FIRST_SESSION: usize = 1;

fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

/// Waits until `is_true`.
async fn until(is_true: impl Fn() -> bool) -> bool {
    let poll = async {
        while !is_true() {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, poll).await.is_ok()
}

/// Logs two clients in, one of which uploads, and ends both by the removal of their user.
async fn end_sessions(edge: &Edge) {
    edge.reload(&[acme([alice()])], GRACE);
    let (idle, uploading) = (edge.log_in().await, Arc::new(edge.log_in().await));
    let sftp = Sftp::on(Arc::clone(&uploading)).await;
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let file = sftp.open("/file", flags, FileAttributes::default()).await.unwrap();
    sftp.write(file.handle, 0, vec![1; 30_000]).await.unwrap();
    edge.reload(&[], GRACE);
    assert!(until(|| edge.sessions.list().is_empty()).await, "{:?}", edge.sessions.list());
    assert!(until(|| idle.is_closed() && uploading.is_closed()).await);
}

#[tokio::test]
async fn no_task_is_left_of_sessions_that_reloads_ended() {
    let edge = Edge::start(Settings::default());
    let most = tasks() + TASKS_OF_THE_FIRST_SESSION;
    for round in 0..ROUNDS {
        end_sessions(&edge).await;
        assert!(until(|| tasks() <= most).await, "{} tasks after round {round}, and {most} are the most", tasks());
    }
}
