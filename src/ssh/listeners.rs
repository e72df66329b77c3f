//! The listeners of a running server and the settings of its connections, which a reload changes.
//!
//! Invariants: a change that fails changes nothing, and no change ends a connection.

use super::{
    HostKeys, Settings,
    bind::{BindError, ListenAddress},
    connection::Stop,
    listener::Accepting,
    open_listeners::{ListenerChanges, OpenListeners},
    services::Services,
};
use crate::{access::Access, sftp::channel::SftpChannels};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::timeout};
use tracing::info;

/// The time between two tries to listen on a lost address.
const REOPEN_INTERVAL: Duration = Duration::from_secs(1);

/// The listeners of one server.
pub struct Listeners {
    accepting: Arc<Accepting>,
    open: Mutex<OpenListeners>,
}

impl Listeners {
    pub(super) fn new(settings: &Settings, host_keys: HostKeys, access: Arc<Access>, sftp: Arc<SftpChannels>) -> Self {
        let services = Services::new(settings, host_keys, access, sftp);
        Self { accepting: Arc::new(Accepting::new(services, settings.connections)), open: Mutex::default() }
    }

    /// Listens on an address. Returns it with the port that the system chose.
    ///
    /// # Errors
    /// The server can't listen on it.
    pub(super) fn bind(&mut self, address: ListenAddress) -> Result<SocketAddr, BindError> {
        self.open.get_mut().bind(address)
    }

    /// Serves until `stop`. Returns after the last connection has ended.
    pub(super) async fn run(&self, stop: Stop) {
        self.open.lock().await.accept(&self.accepting, &stop);
        while timeout(REOPEN_INTERVAL, stop.drain.cancelled()).await.is_err() {
            let mut open = self.open.lock().await;
            for address in open.reopen() {
                info!(%address, "listening");
            }
            open.accept_new(&self.accepting);
        }
        self.open.lock().await.end().await;
        self.accepting.connections_ended().await;
    }

    /// Takes over new settings: listens on their addresses, and serves new connections with them and `host_keys`. Open
    /// connections continue as they are, also those of a closed listener.
    ///
    /// # Errors
    /// The addresses that the server can't listen on. It listens as before then, and serves with the former settings. An
    /// error may also be about a former address that another process took meanwhile; the server tries again to have it.
    pub async fn change(&self, settings: &Settings, host_keys: HostKeys) -> Result<ListenerChanges, Vec<BindError>> {
        let mut open = self.open.lock().await;
        let changes = open.replace(&settings.listen).await;
        if changes.is_ok() {
            self.accepting.change(settings, host_keys);
        }
        open.accept_new(&self.accepting);
        changes
    }
}
