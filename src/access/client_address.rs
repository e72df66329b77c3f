//! The address of a client: its own, or the address that the load balancer in front of it sent.

use crate::{
    events::ConnectionPeer,
    policy::{Parties, Source},
};
use ipnet::IpNet;
use std::{net::SocketAddr, sync::Arc};

/// The address of a connection's client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAddress {
    /// The address and port. An IPv4-mapped IPv6 address is the IPv4 address.
    pub(crate) socket: SocketAddr,
    /// The VPC endpoint that the connection came through, `vpce-…`. It tells the overlapping networks of customers
    /// apart.
    pub(crate) vpc_endpoint: Option<Arc<str>>,
    /// The number of parties behind the address. If there are many, no per-source limit applies.
    pub(crate) parties: Parties,
}

impl ClientAddress {
    /// Returns the address of `socket` behind `vpc_endpoint`. `shared` lists the NATs and load balancers of this
    /// server's network; an address behind a VPC endpoint belongs to another network.
    #[must_use]
    pub fn new(socket: SocketAddr, vpc_endpoint: Option<Arc<str>>, shared: &[IpNet]) -> Self {
        let ip = socket.ip().to_canonical();
        let is_shared = vpc_endpoint.is_none() && shared.iter().any(|net| net.contains(&ip));
        let parties = if is_shared { Parties::Many } else { Parties::One };
        Self { socket: SocketAddr::new(ip, socket.port()), vpc_endpoint, parties }
    }

    /// Returns the source by which limits count the connection.
    #[must_use]
    pub(crate) fn source(&self) -> Source {
        Source::new(self.socket.ip(), self.vpc_endpoint.clone())
    }

    /// Returns the party for events about a connection from this address.
    pub(super) fn who(&self, connection: Option<Arc<str>>) -> ConnectionPeer {
        ConnectionPeer { connection, source: self.socket, vpc_endpoint: self.vpc_endpoint.clone() }
    }

    /// Returns the source whose password checks take turns. If the address stands for many parties, each connection is
    /// a source of its own.
    pub(super) fn checks_source(&self, connection: &Arc<str>) -> Source {
        match self.parties {
            Parties::One => self.source(),
            Parties::Many => Source::new(self.socket.ip(), Some(Arc::clone(connection))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parties(address: &str, vpc_endpoint: Option<&str>) -> Parties {
        let shared = ["10.0.0.0/8", "2001:db8::/32"].map(|net| net.parse().unwrap());
        let socket = SocketAddr::new(address.parse().unwrap(), 22);
        ClientAddress::new(socket, vpc_endpoint.map(Arc::from), &shared).parties
    }

    #[test]
    fn issue_12_4_shared_sources_stand_for_many() {
        for address in ["10.1.2.3", "::ffff:10.1.2.3", "2001:db8:7::1"] {
            assert_eq!(parties(address, None), Parties::Many, "{address}");
        }
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db9::1"] {
            assert_eq!(parties(address, None), Parties::One, "{address}");
        }
        assert_eq!(parties("10.1.2.3", Some("vpce-1")), Parties::One, "it is another network's 10.1.2.3");
    }

    #[test]
    fn issue_12_6_the_checks_of_a_shared_address_take_turns_by_connection() {
        let socket = SocketAddr::from(([10, 1, 2, 3], 22));
        let connections = [Arc::from("1"), Arc::from("2")];
        let sources = |shared: &[IpNet]| {
            let address = ClientAddress::new(socket, None, shared);
            connections.each_ref().map(|connection| address.checks_source(connection))
        };
        let [one, other] = sources(&["10.0.0.0/8".parse().unwrap()]);
        assert_ne!(one, other);
        let [one, other] = sources(&[]);
        assert_eq!(one, other);
    }
}
