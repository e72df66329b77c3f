//! The SSH settings in the config.

use super::{Algorithms, HostKeyKind, ProxyProtocol};
use crate::policy::ConnectionLimits;
use ipnet::IpNet;
use std::{
    net::{Ipv4Addr, SocketAddr},
    num::NonZeroUsize,
    path::PathBuf,
    time::Duration,
};

/// The settings of the SSH listeners and their connections. The defaults are those of the reference config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The addresses to listen on, at least one. Port 0 selects a free port.
    pub listen: Vec<SocketAddr>,
    /// The use of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// The NATs and load balancers whose addresses stand for many clients. No per-source limit applies to them.
    pub shared_sources: Vec<IpNet>,
    /// The directory of the host keys. The first start creates it and the missing keys.
    pub host_key_directory: PathBuf,
    /// The kinds of host key that the server makes if they are missing, each in its own file.
    pub host_key_kinds: Vec<HostKeyKind>,
    /// Key exchanges, ciphers and MACs.
    pub algorithms: Algorithms,
    /// Offers only AES-GCM to clients that know it. OpenSSH before 10 would pick AES-CTR with a MAC, at twice the CPU
    /// time for each byte.
    pub prefer_gcm: bool,
    /// The maximum time from a connection's first byte to its login.
    pub login_timeout: Duration,
    /// The maximum time for which a logged-in connection may send no request and transfer nothing.
    pub idle_timeout: Duration,
    /// The silence after which the server sends a keepalive request. At least `login_timeout`, so that no request goes
    /// out before the login.
    pub keepalive_interval: Duration,
    /// The number of unanswered keepalive requests after which the server ends the connection.
    pub keepalive_max: usize,
    /// The limits on open connections.
    pub connections: ConnectionLimits,
    /// The number of passwords and signatures that a connection may try before the server ends it.
    pub max_login_tries: u32,
    /// The number of passwords that the server checks at a time, over all connections.
    pub password_checks: NonZeroUsize,
}

/// This many concurrent checks take 76 MiB with the hashes of `hash-password`.
const PASSWORD_CHECKS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

impl Settings {
    /// Returns these settings for a server that started with `running`: those that hold only after a restart are that
    /// server's.
    #[must_use]
    pub(crate) fn beside(&self, running: &Self) -> Self {
        Self {
            idle_timeout: running.idle_timeout,
            max_login_tries: running.max_login_tries,
            password_checks: running.password_checks,
            ..self.clone()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            listen: vec![(Ipv4Addr::UNSPECIFIED, 2222).into()],
            proxy_protocol: ProxyProtocol::Off,
            shared_sources: Vec::new(),
            host_key_directory: "keys".into(),
            host_key_kinds: vec![HostKeyKind::Ed25519, HostKeyKind::Rsa],
            algorithms: Algorithms::default(),
            prefer_gcm: true,
            login_timeout: Duration::from_mins(1),
            idle_timeout: Duration::from_mins(30),
            keepalive_interval: Duration::from_mins(1),
            keepalive_max: 3,
            connections: ConnectionLimits::default(),
            max_login_tries: 6,
            password_checks: PASSWORD_CHECKS,
        }
    }
}
