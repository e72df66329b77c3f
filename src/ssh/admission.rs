//! Takes an accepted socket to the point before its key exchange: the server knows the client's address, and policy has
//! admitted it. The server sends the client nothing here.

use super::{
    buffered::Buffered,
    proxy::{ProxyHeader, ProxyProtocol},
    services::Services,
};
use crate::{
    access::ClientAddress,
    policy::{Arrival, Unauthenticated},
};
use std::net::SocketAddr;
use tokio::net::TcpStream;

/// A connection that policy admitted.
pub(crate) struct Admitted {
    /// The stream, from the first byte behind the PROXY header.
    pub(crate) stream: Buffered<TcpStream>,
    pub(crate) client: ClientAddress,
    pub(crate) place: Unauthenticated,
}

/// Admits the connection from `peer`, or records the refusal and closes the connection.
pub(crate) async fn admit(
    services: &Services,
    socket: TcpStream,
    peer: SocketAddr,
    arrival: Arrival,
) -> Option<Admitted> {
    // Without TCP_NODELAY each small reply waits for the client's delayed ACK. The call fails only on a socket that the
    // client already closed.
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

/// Returns the client's address: the peer's own, or the address in the PROXY header that a load balancer sent.
async fn identify(services: &Services, stream: &mut Buffered<TcpStream>, peer: SocketAddr) -> Option<ClientAddress> {
    let peer = services.client_address(peer, None);
    if services.proxy == ProxyProtocol::Off {
        return Some(peer);
    }
    match ProxyHeader::read(stream).await {
        Ok(Some(ProxyHeader::Local)) => Some(peer),
        Ok(Some(ProxyHeader::Client { address, vpc_endpoint })) => Some(services.client_address(address, vpc_endpoint)),
        // The load balancer's health check only looks whether the port is open.
        Ok(None) => None,
        Err(error) => {
            services.access.record_refused(&peer, error.as_str());
            None
        }
    }
}
