//! Accepts connections, within bounds, and keeps accepting after an error of `accept`.

use super::{
    HostKeys, Settings, admission::admit, bind::BACKLOG, connection::Stop, services::Services, serving::serve,
};
use crate::policy::{Arrival, ConnectionLimits, ConnectionRefusal, Connections};
use parking_lot::RwLock;
use std::{
    net::{self, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::warn;

/// The pause after an error of `accept`. Usually the process has no free file descriptor, and a connection must end
/// first.
const BACK_OFF: Duration = Duration::from_millis(100);

/// The state that all listeners of a server share.
pub(super) struct Accepting {
    /// The services of new connections.
    services: RwLock<Arc<Services>>,
    connections: Arc<Connections>,
    /// The accepted connections.
    open: TaskTracker,
}

impl Accepting {
    pub(super) fn new(services: Services, limits: ConnectionLimits) -> Self {
        let services = RwLock::new(Arc::new(services));
        Self { services, connections: Connections::new(limits), open: TaskTracker::new() }
    }

    /// Serves new connections with these settings and keys.
    pub(super) fn change(&self, settings: &Settings, host_keys: HostKeys) {
        let services = Arc::new(self.services().changed(settings, host_keys));
        *self.services.write() = services;
        self.connections.set_limits(settings.connections);
    }

    /// Waits for the end of all connections. Call it after the end of all listeners.
    pub(super) async fn connections_ended(&self) {
        self.open.close();
        self.open.wait().await;
    }

    fn services(&self) -> Arc<Services> {
        Arc::clone(&self.services.read())
    }

    /// Serves an accepted connection in a task, if there is a place for it.
    fn serve(&self, socket: TcpStream, peer: SocketAddr, stop: &Stop) {
        let services = self.services();
        if let Some(arrival) = arrive(&services, &self.connections, peer) {
            self.open.spawn(take(services, socket, peer, arrival, stop.clone()));
        }
    }
}

/// Accepts connections until the server stops, or until `close` is cancelled: then also those that the kernel has
/// queued.
pub(super) async fn listen(listener: TcpListener, accepting: Arc<Accepting>, stop: Stop, close: CancellationToken) {
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = close.cancelled() => break,
            () = stop.drain.cancelled() => return,
        };
        match accepted {
            Ok((socket, peer)) => {
                failing = false;
                accepting.serve(socket, peer, &stop);
            }
            Err(error) => {
                if !failing {
                    warn!(%error, "no connection can be accepted at the moment");
                }
                failing = true;
                sleep(BACK_OFF).await;
            }
        }
    }
    if let Ok(listener) = listener.into_std() {
        accept_queued(&listener, &accepting, &stop);
    }
}

/// Accepts the connections that the kernel has queued. tokio's listener may not have learned of them yet.
fn accept_queued(listener: &net::TcpListener, accepting: &Accepting, stop: &Stop) {
    for _ in 0..BACKLOG {
        let Ok((socket, peer)) = listener.accept() else { return };
        // A socket that can't be registered is lost to its client, as if the kernel hadn't queued it.
        if socket.set_nonblocking(true).is_ok()
            && let Ok(socket) = TcpStream::from_std(socket)
        {
            accepting.serve(socket, peer, stop);
        }
    }
}

/// Reserves a place for a new connection. A connection that gets none is recorded and closed before the server sends
/// any bytes.
fn arrive(services: &Services, connections: &Arc<Connections>, peer: SocketAddr) -> Option<Arrival> {
    let arrival = if services.proxy.trusts(peer.ip()) {
        connections.arrive().map_err(ConnectionRefusal::as_str)
    } else {
        Err("it isn't from a load balancer in `proxy_from`")
    };
    arrival.map_err(|reason| services.access.record_refused(&services.client_address(peer, None), reason)).ok()
}

/// Admits a connection and serves it to its end.
async fn take(services: Arc<Services>, socket: TcpStream, peer: SocketAddr, arrival: Arrival, stop: Stop) {
    let login_deadline = Instant::now() + services.login_timeout;
    let admitted = stop.drain.run_until_cancelled(admit(&services, socket, peer, arrival)).await;
    if let Some(admitted) = admitted.flatten() {
        serve(services, admitted, login_deadline, stop).await;
    }
}
