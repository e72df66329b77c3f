//! A reload changes listeners, host keys and limits of the SSH edge. Connections that are open continue.

use super::server::ReloadedServer;
use crate::support::{
    ports::{free_port, free_ports},
    sftp::Sftp,
};
use parking_lot::Mutex;
use russh::{
    Preferred, client,
    keys::{Algorithm, EcdsaCurve, HashAlg, PrivateKey, PublicKeyOrCertificate, key::safe_rng, ssh_key::LineEnding},
};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use std::{
    fs,
    net::{SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt as _,
    sync::Arc,
    time::Duration,
};
use tokio::net::TcpStream;

/// An upload that is open while the server changes.
struct EdgeUpload {
    client: Sftp,
    handle: String,
    size: u64,
}

impl EdgeUpload {
    async fn begin(client: Sftp, path: &str) -> Self {
        let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let handle = client.open(path, flags, FileAttributes::empty()).await.unwrap().handle;
        Self { client, handle, size: 0 }
    }

    async fn write(&mut self) {
        self.client.write(self.handle.clone(), self.size, vec![7; 1_000]).await.unwrap();
        self.size += 1_000;
    }
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

async fn listens(port: u16) -> bool {
    TcpStream::connect(at(port)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_come_and_go_and_open_connections_continue() {
    let [first, second] = free_ports(2)[..] else { panic!("two ports") };
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.write_server("", &format!("'127.0.0.1:{first}'"), "'ed25519'");
    site.start();
    let mut upload = EdgeUpload::begin(site.login("alice").await, "/a").await;
    upload.write().await;

    site.write_server("", &format!("'127.0.0.1:{first}', '127.0.0.1:{second}'"), "'ed25519'");
    let line = site.reload(1);
    assert!(line.contains(&format!("listeners_added=\"127.0.0.1:{second}\"")), "{line}");
    assert!(!line.contains("listeners_removed") && !line.contains("needs_restart"), "{line}");
    let mut other = EdgeUpload::begin(site.login_at(at(second), "alice").await, "/b").await;

    site.write_server("", &format!("'127.0.0.1:{second}'"), "'ed25519'");
    let (is_done, said) = site.command(&["reload"]);
    assert!(is_done && said.contains(&format!("listeners removed (1): 127.0.0.1:{first}\n")), "{said}");
    assert!(!listens(first).await && listens(second).await);
    for upload in [&mut upload, &mut other] {
        upload.write().await;
    }
    // A listener of all addresses takes the place of one that excludes it.
    site.write_server("", &format!("'0.0.0.0:{second}'"), "'ed25519'");
    let line = site.reload(3);
    assert!(line.contains(&format!("listeners_added=\"0.0.0.0:{second}\"")), "{line}");
    assert!(line.contains(&format!("listeners_removed=\"127.0.0.1:{second}\"")), "{line}");
    drop(site.login_at(([127, 0, 0, 3], second).into(), "alice").await);
    for mut upload in [upload, other] {
        upload.write().await;
        upload.client.close(upload.handle).await.unwrap();
    }
    let again = site.login_at(at(second), "alice").await;
    assert_eq!(again.stat("/a").await.unwrap().attrs.size, Some(3_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_changes_nothing() {
    let [first, second] = free_ports(2)[..] else { panic!("two ports") };
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.write_server("", &format!("'127.0.0.1:{first}', '127.0.0.1:{second}'"), "'ed25519'");
    site.start();
    let mut upload = EdgeUpload::begin(site.login("alice").await, "/a").await;
    let others = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let in_use = others.local_addr().unwrap();
    // Another process has one of the addresses that 0.0.0.0 stands for. The server learns it after it has closed its own.
    let excludes_all = TcpListener::bind(("127.0.0.2", first)).unwrap();
    site.write_tenant("acme", &["alice", "bob"]);
    for (count, (listen, refused)) in
        [(format!("'127.0.0.1:{first}', '{in_use}'"), in_use), (format!("'0.0.0.0:{first}'"), ([0; 4], first).into())]
            .into_iter()
            .enumerate()
    {
        site.write_server("", &listen, "'ed25519', 'ecdsa'");
        let line = site.refused_reload(count + 1);
        assert!(line.contains(&format!("ssh.listen: cannot listen on {refused}: ")), "{line}");
        assert!(!site.path("keys/ssh_host_ecdsa_key").exists());
        drop((site.login_at(at(first), "alice").await, site.login_at(at(second), "alice").await));
        assert!(!site.is_let_in("bob").await, "a refused reload changes nothing");
        upload.write().await;
    }
    drop(excludes_all);
    site.write_server("", &format!("'0.0.0.0:{first}'"), "'ed25519'");
    let line = site.reload(1);
    assert!(line.contains("users_added=\"bob\""), "{line}");
    assert!(listens(first).await && !listens(second).await);
    upload.client.close(upload.handle).await.unwrap();
}

/// `reload --force` accepts every loss: an operator must know them all.
#[tokio::test(flavor = "multi_thread")]
async fn lost_host_keys_are_told_beside_lost_tenants() {
    let mut site = ReloadedServer::new("").await;
    for number in 0..10 {
        site.write_tenant(&format!("t{number}"), &[&format!("user{number}")]);
    }
    site.start();
    for name in ["tenants", "keys"] {
        fs::rename(site.path(name), site.path(&format!("former-{name}"))).unwrap();
        fs::create_dir(site.path(name)).unwrap();
        fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let (is_done, said) = site.command(&["reload"]);
    assert!(!is_done && said.contains("10 of 10 tenants have no file any more"), "{said}");
    assert!(said.contains("keys/ssh_host_ed25519_key is gone"), "{said}");
    drop(site.login("user3").await);
}

/// Polls compare with the files that the last reload of any kind has read.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_reverted_after_a_reload_by_hand_is_noticed() {
    let mut site = ReloadedServer::new("watch_config = true").await;
    site.write_tenant("acme", &["alice"]);
    site.start();
    // Two polls agree on the first files.
    tokio::time::sleep(Duration::from_secs(5)).await;
    site.write_tenant("acme", &["alice", "bob"]);
    let line = site.reload(1);
    assert!(line.contains("users_added=\"bob\""), "{line}");
    site.write_tenant("acme", &["alice"]);
    let line = site.config_reloaded(2);
    assert!(line.contains("users_removed=\"bob\""), "{line}");
    site.write_server("watch_config = true\nreload_grace = '7s'", "'127.0.0.1:0'", "'ed25519'");
    let line = site.config_reloaded(3);
    assert!(line.contains("settings_changed=\"reload_grace\""), "{line}");
}

/// Notes the host key of a server.
struct HostKeyProbe(Arc<Mutex<String>>);

impl client::Handler for HostKeyProbe {
    type Error = russh::Error;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        *self.0.lock() = key.fingerprint(HashAlg::Sha256).to_string();
        Ok(true)
    }
}

/// Returns the fingerprint of the server's host key with this algorithm, or `None` if it has none.
async fn host_key(address: SocketAddr, algorithm: Algorithm) -> Option<String> {
    let preferred = Preferred { key: vec![algorithm].into(), ..Preferred::default() };
    let config = Arc::new(client::Config { preferred, ..client::Config::default() });
    let seen = Arc::default();
    client::connect(config, address, HostKeyProbe(Arc::clone(&seen))).await.ok()?;
    let fingerprint = seen.lock().clone();
    Some(fingerprint)
}

#[tokio::test(flavor = "multi_thread")]
async fn host_keys_are_added_and_rotated() {
    const ECDSA: Algorithm = Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 };
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.start();
    let mut upload = EdgeUpload::begin(site.login("alice").await, "/a").await;
    let first = host_key(site.address(), Algorithm::Ed25519).await.unwrap();
    assert_eq!(host_key(site.address(), ECDSA).await, None);

    site.write_server("", "'127.0.0.1:0'", "'ed25519', 'ecdsa'");
    let line = site.reload(1);
    let ecdsa = host_key(site.address(), ECDSA).await.unwrap();
    assert!(line.contains("host_keys_added=\"ecdsa-sha2-nistp256 SHA256:") && line.contains(&ecdsa), "{line}");
    assert!(!line.contains("host_keys_removed") && !line.contains("listeners_"), "{line}");

    // An operator puts a new key in the place of an old one.
    let file = site.path("keys/ssh_host_ed25519_key");
    let new = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
    site.write("keys/ssh_host_ed25519_key", &new.to_openssh(LineEnding::LF).unwrap());
    let line = site.reload(2);
    let second = host_key(site.address(), Algorithm::Ed25519).await.unwrap();
    assert_ne!(first, second);
    assert!(line.contains(&format!("host_keys_removed=\"ssh-ed25519 {first}\"")), "{line}");
    assert!(line.contains(&format!("host_keys_added=\"ssh-ed25519 {second}\"")), "{line}");

    // A key that is gone isn't replaced unasked.
    fs::remove_file(&file).unwrap();
    site.write_tenant("acme", &["alice", "bob"]);
    let line = site.refused_reload(1);
    assert!(line.contains("ssh.host_keys.directory: host key ") && line.contains("is gone: clients that"), "{line}");
    assert!(!file.exists() && !site.is_let_in("bob").await);
    assert_eq!(host_key(site.address(), Algorithm::Ed25519).await, Some(second.clone()));
    let (is_done, said) = site.command(&["reload", "--force"]);
    let third = host_key(site.address(), Algorithm::Ed25519).await.unwrap();
    assert!(is_done && said.contains(&format!("host keys added (1): ssh-ed25519 {third}\n")), "{said}");
    assert!(said.contains(&format!("host keys removed (1): ssh-ed25519 {second}\n")), "{said}");

    // A broken one changes nothing.
    site.write("keys/ssh_host_ed25519_key", "not a key");
    let line = site.refused_reload(2);
    assert!(line.contains("is no unencrypted private key"), "{line}");
    assert_eq!(host_key(site.address(), Algorithm::Ed25519).await, Some(third));
    upload.write().await;
    upload.client.close(upload.handle).await.unwrap();
}
