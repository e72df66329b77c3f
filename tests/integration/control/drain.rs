//! A server that stops answers its operator until the last transfer has ended, and another server may take its place.

use super::{PATIENCE, RunningServer, ServerDirectory};
use crate::support::sftp::{KeyFile, Sftp};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    time::{Duration, Instant},
};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};
use tokio::task::JoinHandle;
use wharfinger::demo::Demo;

const DRAIN: Duration = Duration::from_secs(100);

/// A server that has begun to stop and waits for an upload.
struct DrainedServer {
    site: ServerDirectory,
    server: RunningServer,
    upload: JoinHandle<()>,
    _demo: Demo,
}

impl DrainedServer {
    async fn new() -> Self {
        let key = KeyFile::new();
        let demo = Demo::start(0, None, &[]).await.unwrap();
        let site = ServerDirectory::new();
        site.server(&format!("drain_timeout = '{}s'", DRAIN.as_secs()));
        let public = fs::read_to_string(key.public()).unwrap();
        site.tenant_on("acme", &["alice"], &format!("http://{}", demo.s3().address), &public);
        let server = site.start();
        let alice = Sftp::connect(server.address, "alice", &key).await;
        let flags = OpenFlags::CREATE | OpenFlags::WRITE | OpenFlags::TRUNCATE;
        let file = alice.open("/a", flags, FileAttributes::empty()).await.unwrap().handle;
        let upload = tokio::spawn(async move {
            // A server that stops doesn't wait for a session that sends nothing for 5 s.
            for offset in 0.. {
                if alice.write(&file, offset, vec![7]).await.is_err() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        kill_process(Pid::from_child(&server.process), Signal::TERM).unwrap();
        server.line("stopping: open transfers may finish");
        Self { site, server, upload, _demo: demo }
    }

    /// Waits until the server has ended by itself.
    fn ended(mut self) -> ServerDirectory {
        let since = Instant::now();
        while self.server.process.try_wait().unwrap().is_none() {
            assert!(since.elapsed() < PATIENCE, "it is still there");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(self.server.process.wait().unwrap().success());
        self.site
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_tells_who_it_waits_for_and_ends_them() {
    let drained = DrainedServer::new().await;
    let site = &drained.site;
    let status = site.json(&["status", "--json"]);
    assert_eq!((&status["pid"], status["transfers"].as_u64()), (&drained.server.process.id().into(), Some(1)));
    let time = |field: &str| OffsetDateTime::parse(status[field].as_str().unwrap(), &Rfc3339).unwrap();
    let since_start = time("stopping_until") - time("started_at");
    assert!(since_start >= DRAIN && since_start < DRAIN + PATIENCE, "{since_start}");
    let text = site.run(&["status"]).stdout;
    assert!(text.contains("\nstopping   open transfers may finish until "), "{text}");
    assert_eq!(site.sessions(1)[0]["transfers"][0]["path"], "/a");

    let refused = site.run(&["reload"]);
    assert!(!refused.is_success && refused.stderr.contains("the server is stopping"), "{refused:?}");
    let edited = site.run(&["user", "disable", "alice"]);
    assert!(edited.is_success && edited.stdout.contains("the change holds from its next start"), "{edited:?}");
    assert!(fs::read_to_string(site.path("tenants/acme.toml")).unwrap().contains("enabled = false"));

    assert!(site.run(&["sessions", "end", "--user", "alice"]).is_success);
    let site = drained.ended();
    assert!(!site.socket().exists(), "it is removed at the end");
    assert!(site.run(&["status"]).stderr.contains("the server isn't running"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_server_takes_the_socket_of_one_that_stops() {
    let drained = DrainedServer::new().await;
    let other = drained.site.start();
    let pid = |site: &ServerDirectory| site.json(&["status", "--json"])["pid"].clone();
    assert_eq!(pid(&drained.site), other.process.id());
    assert!(drained.site.try_start().is_err(), "that one isn't stopping");
    drained.upload.abort();
    let site = drained.ended();
    assert_eq!(pid(&site), other.process.id(), "the end of the former server doesn't remove it");
    other.stop();
    assert!(!site.socket().exists());
}
