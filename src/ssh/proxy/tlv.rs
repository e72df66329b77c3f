//! The fields behind the addresses of a header of version 2: type, length, value.

use super::ProxyHeaderError;
use crc_fast::{CrcAlgorithm, Digest};
use std::sync::Arc;

/// PP2_TYPE_CRC32C (§2.2.3): the checksum of the whole header, computed with zeros in its own place.
const CRC32C: u8 = 0x03;

/// PP2_TYPE_AWS and its PP2_SUBTYPE_AWS_VPCE_ID: the id of the VPC endpoint, in ASCII.
/// <https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#custom-tlv>
const AWS: u8 = 0xea;
const AWS_VPC_ENDPOINT: u8 = 0x01;

/// The maximum size of an id, in bytes. AWS's ids have 22.
const MAX_VPC_ENDPOINT_BYTES: usize = 64;

/// Checks the fields of `header` from `tlvs_at` on, and its checksum if it has one. Returns the VPC endpoint, if the
/// header names one.
///
/// # Errors
/// The fields don't fill the header, a field is malformed or repeated, or the checksum is wrong.
pub(super) fn check(header: &[u8], tlvs_at: usize) -> Result<Option<Arc<str>>, ProxyHeaderError> {
    let (mut vpc_endpoint, mut has_checksum) = (None, false);
    let mut rest = header.get(tlvs_at..).unwrap_or_default();
    while !rest.is_empty() {
        let (kind, value, behind) = split_first(rest).ok_or(ProxyHeaderError::Malformed)?;
        match (kind, value) {
            (CRC32C, value) if !has_checksum => {
                has_checksum = true;
                check_checksum(header, header.len() - behind.len() - value.len(), value)?;
            }
            (AWS, [AWS_VPC_ENDPOINT, id @ ..]) if vpc_endpoint.is_none() => vpc_endpoint = Some(endpoint(id)?),
            (CRC32C, _) | (AWS, [AWS_VPC_ENDPOINT, ..]) => return Err(ProxyHeaderError::Malformed),
            _ => {}
        }
        rest = behind;
    }
    Ok(vpc_endpoint)
}

/// Splits the first field off. Returns its type, its value and the bytes behind it.
fn split_first(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let ([kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, behind) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
    Some((*kind, value, behind))
}

fn check_checksum(header: &[u8], at: usize, value: &[u8]) -> Result<(), ProxyHeaderError> {
    let malformed = || ProxyHeaderError::Malformed;
    let said = u32::from_be_bytes(value.try_into().map_err(|_| malformed())?);
    let (before, rest) = header.split_at_checked(at).ok_or_else(malformed)?;
    let (_, behind) = rest.split_at_checked(value.len()).ok_or_else(malformed)?;
    let mut digest = Digest::new(CrcAlgorithm::Crc32Iscsi);
    for part in [before, &[0; 4], behind] {
        digest.update(part);
    }
    if digest.finalize() == u64::from(said) { Ok(()) } else { Err(ProxyHeaderError::Checksum) }
}

fn endpoint(id: &[u8]) -> Result<Arc<str>, ProxyHeaderError> {
    let is_plain = id.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'-');
    let id = str::from_utf8(id).ok().filter(|_| is_plain && (1..=MAX_VPC_ENDPOINT_BYTES).contains(&id.len()));
    id.map(Arc::from).ok_or(ProxyHeaderError::Malformed)
}
