//! A running server with limits: clients over SSH, a reload, and restarts on the same ledger.

use crate::{reload::server::ReloadedServer, support::sftp::Sftp};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use std::fs;

const UPLOAD: OpenFlags = OpenFlags::WRITE.union(OpenFlags::CREATE).union(OpenFlags::TRUNCATE);

/// Limits the bytes that acme's users write in a day.
fn write_limit(site: &ReloadedServer, bytes: u64) {
    site.write_tenant("acme", &["alice"]);
    let file = fs::read_to_string(site.path("tenants/acme.toml")).unwrap();
    site.write("tenants/acme.toml", &format!("{file}\n[daily_limits]\nbytes_written = {bytes}\n"));
}

/// Uploads a file of `bytes` bytes. Returns the server's sentence if the WRITE fails; the CLOSE fails then too.
async fn put(session: &Sftp, path: &str, bytes: usize) -> Result<(), String> {
    let open = session.open(path, UPLOAD, FileAttributes::empty()).await.unwrap().handle;
    let written = session.write(open.clone(), 0, vec![7; bytes]).await;
    let closed = session.close(open).await;
    assert_eq!(written.is_ok(), closed.is_ok());
    written.map(drop).map_err(|error| error.to_string())
}

// S194: A tenant's limits per day, from 00:00 to 00:00 UTC, count its own use alone. Each request is charged before it …
#[tokio::test(flavor = "multi_thread")]
async fn a_limit_holds_at_once_after_a_reload_and_outlasts_restarts() {
    let mut site = ReloadedServer::new("").await;
    write_limit(&site, 10);
    site.start();
    let alice = site.login("alice").await;
    put(&alice, "/a", 10).await.unwrap();
    let said = put(&alice, "/b", 1).await.unwrap_err();
    assert!(said.contains("the daily limit on bytes written is reached; it ends at 00:00 UTC"), "{said}");
    write_limit(&site, 15);
    site.reload(1);
    put(&alice, "/b", 1).await.unwrap();
    drop(alice);
    site.stop();
    site.start();
    let alice = site.login("alice").await;
    put(&alice, "/c", 5).await.unwrap_err();
    put(&alice, "/c", 4).await.unwrap();
    assert!(alice.stat("/b").await.is_ok());
}
