//! The SSH server: its listeners, from bind to the end of the last connection.

use super::{
    Algorithms, HostKeys, Settings,
    connection::{Configs, Services, Stop},
    greeting::IDENTIFICATION,
    handler::login_methods,
    host_key_signer::RsaSigner,
    listener::listen,
    refusals::Refusals,
};
use crate::{events::Events, identity::Provider, policy::Connections, session::Sessions};
use russh::{
    Limits, SshId,
    keys::PrivateKey,
    server::{self, HostKeySigner},
};
use socket2::{Domain, Protocol, Socket, Type};
use std::{io, net::SocketAddr, sync::Arc, thread, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore, task::JoinSet};
use tokio_util::sync::CancellationToken;

/// Connections that the kernel may keep waiting for us.
const BACKLOG: i32 = 1_024;

/// Measured: larger windows and packets gain nothing. It bounds no memory, since russh opens the window on receipt.
const WINDOW_BYTES: u32 = 8 << 20;
const MAX_PACKET_BYTES: u32 = 64 << 10;

/// Refused keys, and everything else that russh refuses by itself, within one login.
const MAX_KEY_OFFERS: usize = 20;

/// Refusals of keys take this long, whatever the reason.
const REFUSAL_TIME: Duration = Duration::from_millis(250);

/// A client that takes nothing of what was sent for this long is gone, even if we can't ask it for a sign of life
/// meanwhile. Well above the minute that a session may hold its connection up.
const MIN_WRITE_TIMEOUT: Duration = Duration::from_mins(3);

/// An SSH server that isn't listening yet.
pub struct Server {
    services: Arc<Services>,
    connections: Arc<Connections>,
    listen: Vec<SocketAddr>,
}

impl Server {
    /// A server that shows `host_keys`, lets in whom `provider` knows, and opens their sessions at `sessions`.
    #[must_use]
    pub fn new(
        settings: Settings,
        host_keys: HostKeys,
        provider: Arc<dyn Provider>,
        sessions: Arc<Sessions>,
        events: Events,
    ) -> Self {
        let services = Services {
            provider,
            sessions,
            refusals: Refusals::new(events.clone()),
            events,
            configs: configs(&settings, host_keys),
            arithmetic: Arc::new(Semaphore::new(thread::available_parallelism().map_or(1, usize::from))),
            proxy: settings.proxy_protocol,
            shared_sources: settings.shared_sources,
            login_timeout: settings.login_timeout,
            idle_timeout: settings.idle_timeout,
            max_login_tries: settings.max_login_tries,
        };
        Self {
            services: Arc::new(services),
            connections: Connections::new(settings.connections),
            listen: settings.listen,
        }
    }

    /// Listens on all addresses.
    ///
    /// # Errors
    /// One of them can't be had. Must be called within a tokio runtime.
    pub fn bind(self) -> Result<Listening, BindError> {
        let bind = |address| bind(address, &self.listen).map_err(|error| BindError { address, error });
        let listeners = self.listen.iter().copied().map(bind).collect::<Result<Vec<_>, _>>()?;
        Ok(Listening { services: self.services, connections: self.connections, listeners })
    }
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}")]
pub struct BindError {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    #[source]
    pub error: io::Error,
}

impl BindError {
    /// Whether another process, or another listener, has the address.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.error.kind() == io::ErrorKind::AddrInUse
    }
}

/// A server that listens but doesn't accept yet.
pub struct Listening {
    services: Arc<Services>,
    connections: Arc<Connections>,
    listeners: Vec<(SocketAddr, TcpListener)>,
}

impl Listening {
    /// The addresses listened on, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address).collect()
    }

    /// Serves until `drain` is cancelled, then takes nobody new and lets transfers finish until `cut` is. Returns when
    /// the last connection has ended.
    pub async fn run(self, drain: CancellationToken, cut: CancellationToken) {
        let stop = Stop { drain, cut };
        let mut listeners = JoinSet::new();
        for (_, listener) in self.listeners {
            let (services, connections) = (Arc::clone(&self.services), Arc::clone(&self.connections));
            listeners.spawn(listen(listener, services, connections, stop.clone()));
        }
        listeners.join_all().await;
    }
}

fn bind(address: SocketAddr, all: &[SocketAddr]) -> io::Result<(SocketAddr, TcpListener)> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        // `[::]` takes IPv4 too, unless that has a listener of its own.
        socket.set_only_v6(all.iter().any(|other| other.is_ipv4() && other.port() == address.port()))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    let listener = TcpListener::from_std(socket.into())?;
    Ok((listener.local_addr()?, listener))
}

fn configs(settings: &Settings, host_keys: HostKeys) -> Configs {
    let keys = host_keys.into_keys();
    let signer: Arc<dyn HostKeySigner> = Arc::new(RsaSigner::new(&keys));
    let config =
        |algorithms: &Algorithms| Arc::new(russh_config(settings, algorithms, keys.clone(), Arc::clone(&signer)));
    let gcm = settings.algorithms.with_gcm_alone().filter(|_| settings.prefer_gcm);
    Configs { all: config(&settings.algorithms), gcm: gcm.as_ref().map(config) }
}

fn russh_config(
    settings: &Settings,
    algorithms: &Algorithms,
    keys: Vec<PrivateKey>,
    signer: Arc<dyn HostKeySigner>,
) -> server::Config {
    // russh would ask for signs of life during a login too, which some clients (PuTTY) take for an attack.
    let keepalive_interval = settings.keepalive_interval.max(settings.login_timeout);
    let max_unanswered = u32::try_from(settings.keepalive_max).unwrap_or(u32::MAX);
    let until_dead = keepalive_interval.saturating_mul(max_unanswered.saturating_add(2));
    server::Config {
        server_id: SshId::Standard(IDENTIFICATION.into()),
        methods: login_methods(),
        auth_rejection_time: REFUSAL_TIME,
        // OpenSSH begins with `none`, to ask for the methods.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        host_key_signer: Some(signer),
        limits: Limits::default(),
        window_size: WINDOW_BYTES,
        maximum_packet_size: MAX_PACKET_BYTES,
        // Unused: nobody reads from russh's channels, the bytes are taken as they come.
        channel_buffer_size: 1,
        event_buffer_size: 64,
        preferred: algorithms.preferred(),
        max_auth_attempts: MAX_KEY_OFFERS.saturating_add(usize::try_from(settings.max_login_tries).unwrap_or(0)),
        inactivity_timeout: Some(until_dead.max(MIN_WRITE_TIMEOUT)),
        keepalive_interval: Some(keepalive_interval),
        keepalive_max: settings.keepalive_max,
        ..server::Config::default()
    }
}
