//! The SSH server, from bind to the end of the last connection.

use super::{
    HostKeys, Settings,
    bind::{BindError, ListenAddress},
    connection::Stop,
    listeners::Listeners,
};
use crate::{access::Access, sftp::channel::SftpChannels};
use std::{net::SocketAddr, sync::Arc};
use tokio_util::sync::CancellationToken;

/// An SSH server that isn't listening yet.
pub struct Server {
    listeners: Listeners,
    listen: Vec<SocketAddr>,
}

impl Server {
    /// Creates a server with these `host_keys`. `access` handles its logins, and `sftp` its channels.
    #[must_use]
    pub fn new(settings: Settings, host_keys: HostKeys, access: Arc<Access>, sftp: Arc<SftpChannels>) -> Self {
        Self { listeners: Listeners::new(&settings, host_keys, access, sftp), listen: settings.listen }
    }

    /// Listens on all addresses. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The server can't listen on one of the addresses.
    pub fn bind(self) -> Result<Listening, BindError> {
        let Self { mut listeners, listen } = self;
        let mut addresses = Vec::new();
        for address in ListenAddress::all(&listen) {
            addresses.push(listeners.bind(address)?);
        }
        Ok(Listening { listeners: Arc::new(listeners), addresses })
    }
}

/// A server that listens but doesn't accept yet.
pub struct Listening {
    listeners: Arc<Listeners>,
    addresses: Vec<SocketAddr>,
}

impl Listening {
    /// Returns the addresses of the listeners, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.addresses.clone()
    }

    /// Returns the listeners, for a change of the settings while the server runs.
    #[must_use]
    pub fn listeners(&self) -> Arc<Listeners> {
        Arc::clone(&self.listeners)
    }

    /// Serves until `drain` is cancelled, then refuses new connections and lets transfers finish until `disconnect` is
    /// cancelled. Returns after the last connection has ended.
    pub async fn run(self, drain: CancellationToken, disconnect: CancellationToken) {
        self.listeners.run(Stop { drain, disconnect }).await;
    }
}
