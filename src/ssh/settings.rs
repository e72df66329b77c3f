//! What an operator may set about the SSH side.

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
    /// The addresses to listen on; at least one. Port 0 takes a free one.
    pub listen: Vec<SocketAddr>,
    /// The use of the PROXY protocol.
    pub proxy_protocol: ProxyProtocol,
    /// The NATs and load balancers whose addresses stand for many clients: no limit per source holds for them.
    pub shared_sources: Vec<IpNet>,
    /// The directory of the host keys; made, with the keys that are missing, at the first start.
    pub host_key_directory: PathBuf,
    /// The kinds of host key that are made where they are missing, each in its own file.
    pub host_key_kinds: Vec<HostKeyKind>,
    /// Key exchanges, ciphers and MACs.
    pub algorithms: Algorithms,
    /// Offers clients that know AES-GCM nothing else. OpenSSH before 10 would pick AES-CTR with a MAC, at twice
    /// the CPU time for each byte.
    pub prefer_gcm: bool,
    /// How long a connection may take to log in, from its first byte.
    pub login_timeout: Duration,
    /// How long a logged-in connection may transfer nothing and ask for nothing.
    pub idle_timeout: Duration,
    /// How long nothing comes from a peer until it is asked for a sign of life. Nobody is asked before login, so this
    /// is never less than `login_timeout`.
    pub keepalive_interval: Duration,
    /// How many such questions may stay unanswered before the peer counts as dead.
    pub keepalive_max: usize,
    /// How many connections may be open.
    pub connections: ConnectionLimits,
    /// Passwords and signatures that a connection may try before it is ended.
    pub max_login_tries: u32,
    /// Passwords that are checked at a time, in all.
    pub password_checks: NonZeroUsize,
}

/// As many password checks as take 76 MiB with the hashes of `hash-password`.
const PASSWORD_CHECKS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(3);

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
