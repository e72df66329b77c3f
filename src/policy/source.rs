//! The party that limits count by: an address, together with the VPC endpoint that the connection came through.

use std::{
    fmt,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

/// The wider networks of an IPv6 source, each with its multiple of one source's limits. A host usually has a /64, a
/// site a /56 or a /48.
const WIDER_NETWORKS: [(u32, u32); 2] = [(56, 2), (48, 4)];

/// One peer, as far as limits can tell peers apart: an IPv4 address, or the /64 from which an IPv6 host chooses its
/// addresses.
///
/// Behind AWS PrivateLink the address belongs to the customer's own network, and customers' networks overlap. The VPC
/// endpoint is therefore part of the source, so that no customer is counted as another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Source {
    endpoint: Option<Arc<str>>,
    network: IpAddr,
}

impl Source {
    /// Returns the source of a connection from `address` through the VPC endpoint `endpoint`, if any. An IPv4-mapped
    /// IPv6 address counts as the IPv4 address.
    #[must_use]
    pub fn new(address: IpAddr, endpoint: Option<Arc<str>>) -> Self {
        let network = match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into(),
            v4 @ IpAddr::V4(_) => v4,
        };
        Self { endpoint, network }
    }

    /// Returns the networks in which limits count the source, from the narrowest on, each with its multiple of one
    /// source's limits. An IPv4 source has only its address.
    pub(super) fn networks(&self) -> impl Iterator<Item = (Network, u32)> {
        let wider = WIDER_NETWORKS.into_iter().filter_map(|(prefix_bits, factor)| {
            Some((Network { around: self.wider(prefix_bits)?, prefix_bits: Some(prefix_bits) }, factor))
        });
        std::iter::once((Network { around: self.clone(), prefix_bits: None }, 1)).chain(wider)
    }

    /// Returns the source with all but the first `prefix_bits` of its IPv6 address zeroed, or `None` for an IPv4
    /// address.
    fn wider(&self, prefix_bits: u32) -> Option<Self> {
        let IpAddr::V6(v6) = self.network else { return None };
        let host_bits = u128::MAX.checked_shr(prefix_bits).unwrap_or(0);
        let network = Ipv6Addr::from_bits(v6.to_bits() & !host_bits).into();
        Some(Self { endpoint: self.endpoint.clone(), network })
    }
}

/// A source, or a wider network around it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Network {
    around: Source,
    prefix_bits: Option<u32>,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(endpoint) = &self.endpoint {
            write!(f, "{endpoint} ")?;
        }
        match self.network {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/64"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(address: &str, endpoint: Option<&str>) -> Source {
        Source::new(address.parse().unwrap(), endpoint.map(Arc::from))
    }

    #[test]
    fn a_source_is_a_v4_address_or_a_v6_64() {
        assert_eq!(source("192.0.2.1", None).to_string(), "192.0.2.1");
        assert_eq!(source("::ffff:192.0.2.1", None).to_string(), "192.0.2.1");
        assert_eq!(source("2001:db8:1:2:3:4:5:6", None).to_string(), "2001:db8:1:2::/64");
        assert_ne!(source("2001:db8:1:2::1", None), source("2001:db8:1:3::1", None));
    }

    #[test]
    fn an_ipv6_source_lies_in_wider_networks() {
        let v6 = source("2001:db8:1:234:3:4:5:6", Some("vpce-1"));
        assert_eq!(v6.wider(56), Some(source("2001:db8:1:200::", Some("vpce-1"))));
        assert_eq!(v6.wider(48), Some(source("2001:db8:1::", Some("vpce-1"))));
        assert_eq!(source("192.0.2.1", None).wider(48), None);
    }

    #[test]
    fn one_address_at_two_vpc_endpoints_is_two_sources() {
        let [one, other, none] = [Some("vpce-1"), Some("vpce-2"), None].map(|endpoint| source("10.0.0.5", endpoint));
        assert_eq!(one, source("10.0.0.5", Some("vpce-1")));
        assert!(one != other && one != none && other != none);
        assert_eq!(one.to_string(), "vpce-1 10.0.0.5");
    }
}
