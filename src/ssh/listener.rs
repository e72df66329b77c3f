//! Accepts connections, within bounds, and keeps accepting after an error of `accept`.

use super::{
    admission::admit,
    connection::{Services, Stop, serve},
};
use crate::policy::{Arrival, ConnectionRefusal, Connections};
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep},
};
use tracing::warn;

/// The pause after an error of `accept`. Usually the process has no free file descriptor, and a connection must end
/// first.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `listener` until the server stops, then waits for the accepted connections to end.
pub(crate) async fn listen(listener: TcpListener, services: Arc<Services>, connections: Arc<Connections>, stop: Stop) {
    let mut open = JoinSet::new();
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = stop.drain.cancelled() => break,
        };
        match accepted {
            Ok((socket, peer)) => {
                failing = false;
                if let Some(arrival) = arrive(&services, &connections, peer) {
                    open.spawn(take(Arc::clone(&services), socket, peer, arrival, stop.clone()));
                }
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
    drop(listener);
    while open.join_next().await.is_some() {}
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
