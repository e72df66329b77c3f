//! From an accepted socket to a connection that may begin its key exchange: its address is known, and policy has a place
//! for it. Nothing is sent to the client here.

use super::{
    buffered::Buffered,
    connection::Services,
    proxy::{ProxyHeader, ProxyProtocol},
};
use crate::{
    access::ClientAddress,
    policy::{Arrival, Unauthenticated},
};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A connection that was admitted.
pub struct Admitted {
    /// The bytes behind the PROXY header.
    pub stream: Buffered<TcpStream>,
    pub client: ClientAddress,
    pub place: Unauthenticated,
}

/// Admits the connection from `peer`, which has arrived. One that isn't admitted is recorded, and closed.
pub async fn admit(services: &Services, socket: TcpStream, peer: SocketAddr, arrival: Arrival) -> Option<Admitted> {
    // Without it each small reply waits for the client's delayed ACK. Fails only on a socket that is gone already.
    let _ = socket.set_nodelay(true);
    let mut stream = Buffered::new(socket);
    let client = identify(services, &mut stream, peer).await?;
    match arrival.admit(&client.source(), client.parties).await {
        Ok(place) => Some(Admitted { stream, client, place }),
        Err(refusal) => {
            services.access.record_refused(&client, refusal.as_str());
            None
        }
    }
}

/// Finds the client's address: the peer's own, or the one that the peer, a load balancer, says.
async fn identify(services: &Services, stream: &mut Buffered<TcpStream>, peer: SocketAddr) -> Option<ClientAddress> {
    let peer = services.client_address(peer, None);
    if services.proxy == ProxyProtocol::Off {
        return Some(peer);
    }
    match ProxyHeader::read(stream).await {
        Ok(Some(ProxyHeader::Local)) => Some(peer),
        Ok(Some(ProxyHeader::Client { address, vpc_endpoint })) => Some(services.client_address(address, vpc_endpoint)),
        // A health check: the load balancer looked whether the port is open.
        Ok(None) => None,
        Err(error) => {
            services.access.record_refused(&peer, error.as_str());
            None
        }
    }
}
