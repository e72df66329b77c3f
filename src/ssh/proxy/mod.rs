//! The PROXY protocol, versions 1 and 2: the header in which a load balancer names its client.
//!
//! <https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>. This module reads the header from the network, bounds
//! it and checks it; the crate `proxy-header` decodes the addresses. The module reads no byte behind the header.

#[cfg(test)]
mod tests;
mod tlv;

use ipnet::IpNet;
use proxy_header::{ParseConfig, Protocol, ProxiedAddress};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    time::timeout,
};

/// The maximum size of a header, in bytes. The protocol allows 64 KiB; load balancers send a few hundred bytes.
const MAX_HEADER_BYTES: usize = 4 * 1024;

/// The maximum size of a version 1 header (its §2.1).
const MAX_V1_BYTES: usize = 107;

/// The time for a load balancer to send the header.
const HEADER_TIMEOUT: Duration = Duration::from_secs(5);

const V1_SIGNATURE: &[u8] = b"PROXY ";
const V2_SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The signature, the command, the family, and the length of the rest.
const V2_FIXED_BYTES: usize = 16;

/// A listener's use of the PROXY protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyProtocol {
    /// Connections have no header: clients connect directly, or through a proxy that doesn't name its client.
    Off,
    /// Each connection comes from one of these networks and begins with a header.
    Require(Vec<IpNet>),
}

impl ProxyProtocol {
    /// True if the listener accepts the word of `address` about its client, or expects no header.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        match self {
            Self::Off => true,
            Self::Require(from) => from.iter().any(|net| net.contains(&address.to_canonical())),
        }
    }
}

/// A PROXY header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// The load balancer opened the connection for itself, or doesn't name its client.
    Local,
    /// The load balancer forwards a client.
    Client {
        /// The client's address.
        address: SocketAddr,
        /// The id of the client's VPC endpoint, as AWS sends it.
        vpc_endpoint: Option<Arc<str>>,
    },
}

/// The reason why a connection has no valid header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.as_str())]
pub enum ProxyHeaderError {
    /// The connection began with other bytes.
    Missing,
    /// The header didn't arrive in time.
    Timeout,
    /// The connection ended inside the header.
    BrokenOff,
    /// The header is too large.
    TooLarge,
    /// The header violates the protocol.
    Malformed,
    /// The header's checksum is wrong.
    Checksum,
}

impl ProxyHeaderError {
    /// Returns the sentence for the log.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "it began without a PROXY header",
            Self::Timeout => "no PROXY header came within 5 s",
            Self::BrokenOff => "its PROXY header broke off",
            Self::TooLarge => "its PROXY header is too large",
            Self::Malformed => "its PROXY header is malformed",
            Self::Checksum => "the checksum of its PROXY header is wrong",
        }
    }
}

impl ProxyHeader {
    /// Reads the header at the start of `stream` and no byte behind it. Returns `None` if the stream ends before its
    /// first byte.
    ///
    /// # Errors
    /// The header is missing, incomplete, late or invalid.
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, ProxyHeaderError> {
        timeout(HEADER_TIMEOUT, Self::read_for_ever(stream)).await.unwrap_or(Err(ProxyHeaderError::Timeout))
    }

    async fn read_for_ever(stream: &mut (impl AsyncRead + Unpin)) -> Result<Option<Self>, ProxyHeaderError> {
        let mut bytes = Vec::new();
        // Reads byte by byte from the buffered stream, because only the bytes themselves tell where the header ends.
        while !is_whole(&bytes)? {
            match stream.read_u8().await {
                Ok(byte) => bytes.push(byte),
                Err(_) if bytes.is_empty() => return Ok(None),
                Err(_) => return Err(ProxyHeaderError::BrokenOff),
            }
        }
        Self::parse(&bytes).map(Some)
    }

    /// Parses `bytes` as one whole header.
    ///
    /// # Errors
    /// `bytes` are not a whole, valid header.
    pub fn parse(bytes: &[u8]) -> Result<Self, ProxyHeaderError> {
        if !is_whole(bytes)? {
            return Err(ProxyHeaderError::BrokenOff);
        }
        if bytes.starts_with(V1_SIGNATURE) { Self::parse_v1(bytes) } else { Self::parse_v2(bytes) }
    }

    fn parse_v1(bytes: &[u8]) -> Result<Self, ProxyHeaderError> {
        Ok(proxied(bytes)?.map_or(Self::Local, |proxied| client(&proxied, None)))
    }

    fn parse_v2(bytes: &[u8]) -> Result<Self, ProxyHeaderError> {
        let Some(([.., command, family, _, _], rest)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else {
            return Err(ProxyHeaderError::BrokenOff);
        };
        match command {
            // §2.2: the load balancer opened the connection for itself, and the receiver discards the rest of the
            // header.
            0x20 => return Ok(Self::Local),
            0x21 => {}
            _ => return Err(ProxyHeaderError::Malformed),
        }
        let tlvs_at = address_bytes(*family).filter(|length| *length <= rest.len());
        let tlvs_at = tlvs_at.ok_or(ProxyHeaderError::Malformed)? + V2_FIXED_BYTES;
        let vpc_endpoint = tlv::check(bytes, tlvs_at)?;
        match proxied(bytes)? {
            None => Ok(Self::Local),
            Some(ProxiedAddress { protocol: Protocol::Datagram, .. }) => Err(ProxyHeaderError::Malformed),
            Some(proxied) => Ok(client(&proxied, vpc_endpoint)),
        }
    }
}

/// True if `bytes`, the first of a connection, are a whole header; `false` if they may become one.
fn is_whole(bytes: &[u8]) -> Result<bool, ProxyHeaderError> {
    let begins = |signature: &[u8]| bytes.starts_with(signature) || signature.starts_with(bytes);
    if begins(V1_SIGNATURE) {
        let ended = bytes.len() > V1_SIGNATURE.len() && bytes.ends_with(b"\n");
        return if ended || bytes.len() < MAX_V1_BYTES { Ok(ended) } else { Err(ProxyHeaderError::TooLarge) };
    }
    if !begins(V2_SIGNATURE) {
        return Err(ProxyHeaderError::Missing);
    }
    let Some(([.., high, low], _)) = bytes.split_first_chunk::<V2_FIXED_BYTES>() else { return Ok(false) };
    let length = V2_FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low]));
    if length > MAX_HEADER_BYTES { Err(ProxyHeaderError::TooLarge) } else { Ok(bytes.len() >= length) }
}

/// Returns the length of the addresses of a version 2 family and protocol, or `None` if TCP connections don't use it.
const fn address_bytes(family: u8) -> Option<usize> {
    match family {
        0x00 => Some(0),
        0x11 => Some(12),
        0x21 => Some(36),
        0x31 => Some(216),
        _ => None,
    }
}

/// Returns the addresses of a header, or `None` if it has none of a known family.
fn proxied(bytes: &[u8]) -> Result<Option<ProxiedAddress>, ProxyHeaderError> {
    let config = ParseConfig { include_tlvs: false, ..ParseConfig::default() };
    match proxy_header::ProxyHeader::parse(bytes, config) {
        Ok((header, length)) if length == bytes.len() => Ok(header.proxied_address().cloned()),
        _ => Err(ProxyHeaderError::Malformed),
    }
}

fn client(proxied: &ProxiedAddress, vpc_endpoint: Option<Arc<str>>) -> ProxyHeader {
    ProxyHeader::Client { address: proxied.source, vpc_endpoint }
}
