//! Checks the checksums that a client sends with a body, in headers or in the trailer.
//!
//! CRC64NVME is computed for every body, as S3 does. The others are computed only if the client sends them.

use super::error::{Error, Result};
use base64::{Engine, prelude::BASE64_STANDARD};
use crc_fast::{CrcAlgorithm, Digest};
use hyper::HeaderMap;
use s3s::{
    checksum::ChecksumHasher,
    crypto::{Checksum as _, Crc32, Crc32c, Md5, Sha1, Sha256},
};

/// Checksums that the client claims for a body, in base64.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClaimedChecksums {
    pub(crate) crc64nvme: Option<String>,
    pub(crate) crc32: Option<String>,
    pub(crate) crc32c: Option<String>,
    pub(crate) sha1: Option<String>,
    pub(crate) sha256: Option<String>,
    pub(crate) md5: Option<String>,
}

/// Takes the [`ClaimedChecksums`] out of a `PutObjectInput` or `UploadPartInput`.
macro_rules! claims {
    ($input:expr) => {
        $crate::s3::checksum::ClaimedChecksums {
            crc64nvme: $input.checksum_crc64nvme.take(),
            crc32: $input.checksum_crc32.take(),
            crc32c: $input.checksum_crc32c.take(),
            sha1: $input.checksum_sha1.take(),
            sha256: $input.checksum_sha256.take(),
            md5: $input.content_md5.take(),
        }
    };
}
pub(super) use claims;

/// Hashes a body as it arrives, then checks the claims.
pub(crate) struct ChecksumVerifier {
    claims: ClaimedChecksums,
    crc64: Digest,
    others: ChecksumHasher,
    md5: Option<Md5>,
}

impl ChecksumVerifier {
    /// Hashes for the checksums in `claims`, and for those that `headers` announce for the trailer.
    pub(crate) fn new(claims: ClaimedChecksums, headers: &HeaderMap) -> Self {
        let announced = headers.get("x-amz-trailer").and_then(|names| names.to_str().ok()).unwrap_or_default();
        let asked = |claim: &Option<String>, name: &str| {
            claim.is_some() || announced.split(',').any(|other| other.trim().eq_ignore_ascii_case(name))
        };
        let others = ChecksumHasher {
            crc32: asked(&claims.crc32, "x-amz-checksum-crc32").then(Crc32::new),
            crc32c: asked(&claims.crc32c, "x-amz-checksum-crc32c").then(Crc32c::new),
            sha1: asked(&claims.sha1, "x-amz-checksum-sha1").then(Sha1::new),
            sha256: asked(&claims.sha256, "x-amz-checksum-sha256").then(Sha256::new),
            crc64nvme: None,
        };
        let md5 = claims.md5.is_some().then(Md5::new);
        Self { claims, crc64: Digest::new(CrcAlgorithm::Crc64Nvme), others, md5 }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        self.others.update(bytes);
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    /// Returns the CRC64NVME if every claim is right, including those of the trailer.
    pub(crate) fn finish(mut self, trailer: Option<&HeaderMap>) -> Result<u64> {
        let claims = &mut self.claims;
        for (name, value) in trailer.into_iter().flatten() {
            let claim = match name.as_str() {
                "x-amz-checksum-crc64nvme" => &mut claims.crc64nvme,
                "x-amz-checksum-crc32" => &mut claims.crc32,
                "x-amz-checksum-crc32c" => &mut claims.crc32c,
                "x-amz-checksum-sha1" => &mut claims.sha1,
                "x-amz-checksum-sha256" => &mut claims.sha256,
                _ => continue,
            };
            *claim = Some(value.to_str().unwrap_or_default().to_owned());
        }
        let crc64 = self.crc64.finalize();
        let others = self.others.finalize();
        judge("CRC64NVME", claims.crc64nvme.as_deref(), Some(&encode(crc64)))?;
        judge("CRC32", claims.crc32.as_deref(), others.checksum_crc32.as_deref())?;
        judge("CRC32C", claims.crc32c.as_deref(), others.checksum_crc32c.as_deref())?;
        judge("SHA1", claims.sha1.as_deref(), others.checksum_sha1.as_deref())?;
        judge("SHA256", claims.sha256.as_deref(), others.checksum_sha256.as_deref())?;
        let md5 = self.md5.map(|md5| BASE64_STANDARD.encode(md5.finalize()));
        judge("Content-MD5", claims.md5.as_deref(), md5.as_deref())?;
        Ok(crc64)
    }
}

/// Compares a claimed checksum with the computed one. The error says which header is wrong and how.
pub(crate) fn judge(name: &'static str, claim: Option<&str>, truth: Option<&str>) -> Result<()> {
    let Some(claim) = claim else { return Ok(()) };
    let Some(truth) = truth else {
        return Err(Error::InvalidRequest(format!("{name} was not announced in x-amz-trailer.")));
    };
    if claim == truth {
        return Ok(());
    }
    // Padded base64 of values of the same size has the same length.
    if BASE64_STANDARD.decode(claim).is_err() || claim.len() != truth.len() {
        return Err(Error::InvalidRequest(format!("Value for the {name} header is invalid.")));
    }
    Err(Error::BadDigest(name))
}

/// A CRC64NVME in S3's encoding.
pub(crate) fn encode(crc64: u64) -> String {
    BASE64_STANDARD.encode(crc64.to_be_bytes())
}

/// Returns the CRC64NVME of `size` zero bytes. It doubles them, because there may be many.
pub(crate) fn of_zeros(size: u64) -> u64 {
    let join = |one, other, bytes| crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, one, other, bytes);
    let (mut whole, mut piece, mut piece_bytes, mut left) = (0, crc_of(&[0]), 1_u64, size);
    while left > 0 {
        if left % 2 == 1 {
            whole = join(whole, piece, piece_bytes);
        }
        left /= 2;
        if left > 0 {
            piece = join(piece, piece, piece_bytes);
            piece_bytes *= 2;
        }
    }
    whole
}

fn crc_of(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_have_the_checksum_of_their_bytes() {
        for size in [0, 1, 2, 3, 1000, 1 << 20, (5 << 20) + 7] {
            assert_eq!(of_zeros(size as u64), crc_of(&vec![0; size]), "{size}");
        }
    }

    fn check(
        claims: ClaimedChecksums,
        announced: &'static str,
        trailer: &[(&'static str, &'static str)],
    ) -> Result<u64> {
        let mut headers = HeaderMap::new();
        headers.insert("x-amz-trailer", announced.parse().unwrap());
        let mut checker = ChecksumVerifier::new(claims, &headers);
        checker.update(b"1234");
        checker.update(b"56789");
        let trailer = trailer.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
        checker.finish(Some(&trailer))
    }

    #[test]
    fn right_claims_pass_and_wrong_ones_are_named() {
        let crc64 = check(ClaimedChecksums::default(), "", &[]).unwrap();
        assert_eq!(crc64, 0xae8b_1486_0a79_9888, "the check value of CRC-64/NVME");
        let claim =
            |crc64nvme: &str| ClaimedChecksums { crc64nvme: Some(crc64nvme.to_owned()), ..ClaimedChecksums::default() };
        assert!(check(claim(&encode(crc64)), "", &[]).is_ok());
        assert!(matches!(check(claim(&encode(crc64 ^ 1)), "", &[]), Err(Error::BadDigest("CRC64NVME"))));
        assert!(matches!(check(claim("nonsense"), "", &[]), Err(Error::InvalidRequest(_))));
        let md5 = ClaimedChecksums { md5: Some("JfnnlDI7RTiF9RgfG2JNCw==".to_owned()), ..ClaimedChecksums::default() };
        assert!(check(md5, "", &[]).is_ok());
    }

    #[test]
    fn trailers_count_as_headers_do() {
        let name = "x-amz-checksum-crc32";
        assert!(check(ClaimedChecksums::default(), name, &[(name, "y/Q5Jg==")]).is_ok());
        assert!(matches!(
            check(ClaimedChecksums::default(), name, &[(name, "y/Q5Jh==")]),
            Err(Error::InvalidRequest(_))
        ));
        assert!(matches!(
            check(ClaimedChecksums::default(), name, &[(name, "AAAAAA==")]),
            Err(Error::BadDigest("CRC32"))
        ));
        assert!(matches!(check(ClaimedChecksums::default(), "", &[(name, "y/Q5Jg==")]), Err(Error::InvalidRequest(_))));
    }
}
