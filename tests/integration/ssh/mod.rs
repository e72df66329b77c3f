//! The SSH edge against russh's client: logins, services, and limits on strangers.

mod key_exchanges;
mod lifetime;
pub mod log;
mod login;
mod passwords;
mod proxy;
mod services;
mod sessions;
mod strangers;

use crate::support::{
    scope,
    sftp::{KeyFile, TrustingClient},
    tree::node,
};
use russh::client;
use std::{fs, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpSocket, TcpStream},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};
use wharfinger::{
    access::Access,
    account::{Credentials, Mounts, Permissions, User},
    events::Events,
    identity::{Provider, StaticProvider, hash_password},
    journal::MemoryJournal,
    memory::Budget,
    name::Prefix,
    policy::PasswordChecks,
    session::{Registry, Sessions},
    sftp::channel::{self, SftpChannels},
    ssh::{HostKeyKind, HostKeys, Server, Settings},
    tenants::{TenantSetup, Tenants, UserSetup},
    testing::MemoryBucket,
};

/// A server with the user `alice`, who has the password `right`.
pub(crate) struct Edge {
    pub(crate) address: SocketAddr,
    pub(crate) drain: CancellationToken,
    pub(crate) running: JoinHandle<()>,
    pub(crate) sessions: Arc<Registry>,
    pub(crate) bucket: Arc<MemoryBucket>,
    tenants: Arc<Tenants>,
    all_sessions: Arc<Sessions>,
    _disconnect: DropGuard,
}

impl Edge {
    pub(crate) fn start(settings: Settings) -> Self {
        Self::start_with(settings, [alice()])
    }

    pub(crate) fn start_with(settings: Settings, users: impl IntoIterator<Item = (User, Credentials)>) -> Self {
        let known = static_provider(&settings, users);
        Self::start_with_users(settings, known)
    }

    fn start_with_provider(settings: Settings, provider: Arc<dyn Provider>) -> Self {
        Self::start_with_users(settings, (provider, Arc::new(Tenants::new(&[]))))
    }

    fn start_with_users(settings: Settings, known: KnownUsers) -> Self {
        let settings = Settings { listen: vec![([127, 0, 0, 1], 0).into()], ..settings };
        let tenants = Arc::clone(&known.1);
        let bucket = Arc::new(MemoryBucket::new());
        let (server, all_sessions) = server_on(Arc::clone(&bucket), settings, known);
        let sessions = Arc::clone(all_sessions.registry());
        let listening = server.bind().unwrap();
        let address = listening.addresses()[0];
        let (drain, disconnect) = (CancellationToken::new(), CancellationToken::new());
        let running = tokio::spawn(listening.run(drain.clone(), disconnect.clone()));
        Self { address, drain, running, sessions, bucket, tenants, all_sessions, _disconnect: disconnect.drop_guard() }
    }

    /// Replaces all tenants. Sessions that lose their rights have `grace` for their transfers.
    pub(crate) fn reload(&self, setups: &[TenantSetup], grace: Duration) {
        self.tenants.swap(setups);
        self.all_sessions.follow(&self.tenants, grace);
    }

    /// Connects a client from the loopback address `127.0.0.{host}`, without a login.
    async fn connect_from(&self, host: u8) -> Result<client::Handle<TrustingClient>, russh::Error> {
        greet(self.socket_from(host).await).await
    }

    /// Connects a client without a login, behind a load balancer that sends `header` first.
    pub(crate) async fn connect_behind(&self, header: &[u8]) -> Result<client::Handle<TrustingClient>, russh::Error> {
        let mut stream = self.silent().await;
        stream.write_all(header).await?;
        greet(stream).await
    }

    /// Opens a connection from the loopback address `127.0.0.{host}` and sends nothing.
    pub(crate) async fn socket_from(&self, host: u8) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, host], 0).into()).unwrap();
        socket.connect(self.address).await.unwrap()
    }

    async fn connect(&self) -> client::Handle<TrustingClient> {
        self.connect_from(1).await.unwrap()
    }

    pub(crate) async fn log_in(&self) -> client::Handle<TrustingClient> {
        let mut client = self.connect().await;
        assert!(client.authenticate_password("alice", "right").await.unwrap().success());
        client
    }

    /// Opens a connection and sends nothing.
    pub(crate) async fn silent(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }
}

async fn greet(stream: TcpStream) -> Result<client::Handle<TrustingClient>, russh::Error> {
    let config = client::Config { inactivity_timeout: Some(Duration::from_secs(30)), ..client::Config::default() };
    client::connect_stream(Arc::new(config), stream, TrustingClient).await
}

/// A provider, and the directory that confirms its decisions.
type KnownUsers = (Arc<dyn Provider>, Arc<Tenants>);

fn static_provider(settings: &Settings, users: impl IntoIterator<Item = (User, Credentials)>) -> KnownUsers {
    let (tenants, logins) = Tenants::with_logins(&[acme(users)]);
    (Arc::new(StaticProvider::new(logins, settings.password_checks).unwrap()), tenants)
}

/// The tenant acme with these users.
pub(crate) fn acme(users: impl IntoIterator<Item = (User, Credentials)>) -> TenantSetup {
    let setup = |(user, credentials)| UserSetup { user: Arc::new(user), credentials: Arc::new(credentials) };
    let users = users.into_iter().map(setup).collect();
    let acme = scope::setup("acme", scope::storage("vendor", "http://127.0.0.1:1", "nobody", "secret"));
    TenantSetup { users, ..acme }
}

fn server(settings: Settings, known: KnownUsers) -> (Server, Arc<Sessions>) {
    server_on(Arc::new(MemoryBucket::new()), settings, known)
}

fn server_on(
    bucket: Arc<MemoryBucket>,
    settings: Settings,
    (provider, tenants): KnownUsers,
) -> (Server, Arc<Sessions>) {
    let (budget, journal) = (Budget::new(64 << 20), Arc::new(MemoryJournal::default()));
    let events = Events::new("node");
    let sessions = Arc::new(Sessions::new(node(bucket, &budget, journal), events.clone()));
    let password_checks = PasswordChecks::new(settings.password_checks);
    let access =
        Access::new(provider, tenants, password_checks, Arc::clone(&sessions), events, settings.max_login_tries);
    let sftp = SftpChannels::new(budget, channel::ChannelSettings::default());
    let host_keys = HostKeys::ephemeral(&[HostKeyKind::Ed25519]).unwrap();
    (Server::new(settings, host_keys, Arc::new(access), Arc::new(sftp)), sessions)
}

/// alice, who may log in with the password `right`.
pub(crate) fn alice() -> (User, Credentials) {
    let password_hash = Some(hash_password("right").unwrap().parse().unwrap());
    (user_alice(), Credentials { password_hash, public_keys: Vec::new() })
}

/// alice, who may log in with `key`.
pub(crate) fn alice_with_key(key: &KeyFile) -> (User, Credentials) {
    let public_key = fs::read_to_string(key.public()).unwrap().parse().unwrap();
    (user_alice(), Credentials { password_hash: None, public_keys: vec![public_key] })
}

fn user_alice() -> User {
    User {
        name: "alice".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        enabled: true,
        mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
    }
}

/// True if the server closes `connection` within `limit`. Discards its output meanwhile.
async fn is_closed_within(mut connection: TcpStream, limit: Duration) -> bool {
    let mut sink = tokio::io::sink();
    tokio::time::timeout(limit, tokio::io::copy(&mut connection, &mut sink)).await.is_ok()
}
