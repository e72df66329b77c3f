//! An SFTP session over SSH on loopback, and the key that its user logs in with.

use russh::{
    client,
    keys::{Algorithm, PrivateKey, PrivateKeyWithHashAlg, PublicKeyOrCertificate, key::safe_rng},
};
use russh_sftp::client::RawSftpSession;
use std::{fs, net::SocketAddr, ops::Deref, path::PathBuf, sync::Arc};
use tempfile::TempDir;

/// A test's key, with its public half in a file.
pub struct KeyFile {
    private: Arc<PrivateKey>,
    directory: TempDir,
}

impl KeyFile {
    pub fn new() -> Self {
        let private = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let key = Self { private: Arc::new(private), directory };
        fs::write(key.public(), key.private.public_key().to_openssh().unwrap()).unwrap();
        key
    }

    /// File with the public half.
    pub fn public(&self) -> PathBuf {
        self.directory.path().join("key.pub")
    }
}

/// A channel of the subsystem sftp on its own connection. It derefs to russh-sftp's session.
pub struct Sftp {
    raw: RawSftpSession,
    connection: Arc<client::Handle<TrustingClient>>,
}

impl Sftp {
    /// Logs `user` in.
    pub async fn connect(address: SocketAddr, user: &str, key: &KeyFile) -> Self {
        Self::try_connect(address, user, key).await.unwrap_or_else(|| panic!("{user} is let in"))
    }

    /// Logs `user` in. Returns `None` if the server refuses the key.
    pub async fn try_connect(address: SocketAddr, user: &str, key: &KeyFile) -> Option<Self> {
        let mut connection =
            client::connect(Arc::new(client::Config::default()), address, TrustingClient).await.expect("an SSH server");
        let key = PrivateKeyWithHashAlg::new(Arc::clone(&key.private), None);
        let is_let_in = connection.authenticate_publickey(user, key).await.unwrap().success();
        if is_let_in { Some(Self::on(Arc::new(connection)).await) } else { None }
    }

    /// Sends a request of SSH's own, and waits for its reply.
    pub async fn ping(&self) {
        self.connection.send_ping().await.unwrap();
    }

    /// Opens another session on the same connection.
    pub async fn another(&self) -> Self {
        Self::on(Arc::clone(&self.connection)).await
    }

    /// Opens a session on `connection`, which is logged in.
    pub async fn on(connection: Arc<client::Handle<TrustingClient>>) -> Self {
        let channel = connection.channel_open_session().await.unwrap();
        channel.request_subsystem(true, "sftp").await.unwrap();
        let raw = RawSftpSession::new(channel.into_stream());
        raw.set_timeout(120);
        raw.init().await.unwrap();
        Self { raw, connection }
    }
}

impl Deref for Sftp {
    type Target = RawSftpSession;

    fn deref(&self) -> &RawSftpSession {
        &self.raw
    }
}

/// A client that trusts any server.
#[derive(Debug)]
pub struct TrustingClient;

impl client::Handler for TrustingClient {
    type Error = russh::Error;

    async fn check_server_key(&mut self, _: &PublicKeyOrCertificate) -> Result<bool, russh::Error> {
        Ok(true)
    }
}
