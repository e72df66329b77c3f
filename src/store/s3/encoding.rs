//! Names and checksums as S3's headers and listings write them.

use crate::{name::Key, store::Part};
use aws_sdk_s3::primitives::{DateTime, DateTimeFormat};
use base64::{Engine, prelude::BASE64_STANDARD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// All but RFC 3986's unreserved characters and the slash. S3 reads a `+` in a copy source as a space.
const COPY_SOURCE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The header `x-amz-copy-source`: bucket and key, or for an access point its ARN, the word `object` and the key.
pub(super) fn copy_source(bucket: &str, key: &Key) -> String {
    let between = if bucket.starts_with("arn:") { "/object/" } else { "/" };
    utf8_percent_encode(&format!("{bucket}{between}{}", key.as_str()), COPY_SOURCE).to_string()
}

/// A name of a listing with `encoding-type=url`, which is form encoding: a space is a `+`.
pub(super) fn decoded(listed: &str) -> String {
    percent_decode_str(&listed.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// A date as the header `Expires` has it; `None` if another program wrote a text that is no date.
pub(super) fn date(said: &str) -> Option<DateTime> {
    DateTime::from_str(said, DateTimeFormat::HttpDate).ok()
}

/// The header `x-amz-checksum-crc64nvme`: base64 of the big-endian bytes.
pub(super) fn checksum(crc64: u64) -> String {
    BASE64_STANDARD.encode(crc64.to_be_bytes())
}

/// The checksum in such a header.
pub(super) fn read_checksum(said: &str) -> Option<u64> {
    Some(u64::from_be_bytes(BASE64_STANDARD.decode(said).ok()?.try_into().ok()?))
}

/// The CRC-64/NVME of the parts in their order, as if they were one. `None` if that of a part is unknown.
pub(super) fn combined_crc64(parts: &[Part]) -> Option<u64> {
    parts.iter().try_fold(0, |crc64, part| Some(times(crc64, behind(part.size)) ^ part.crc64?))
}

/// The factor by which a CRC is multiplied when `bytes` more bytes follow: x to the power of their bits.
///
/// crc_fast combines too, by squaring matrices: a third of a millisecond a part, and an object may have 10,000.
fn behind(mut bytes: u64) -> u64 {
    /// x to the power of 8.
    const ONE_BYTE: u64 = ONE >> 8;
    let (mut power, mut square) = (ONE, ONE_BYTE);
    while bytes > 0 {
        if bytes & 1 == 1 {
            power = times(power, square);
        }
        square = times(square, square);
        bytes >>= 1;
    }
    power
}

/// The product of two polynomials, the powers of x counting down from the top bit, modulo that of CRC-64/NVME.
fn times(a: u64, mut b: u64) -> u64 {
    /// The polynomial without x to the power of 64.
    const MODULUS: u64 = 0x9a6c_9329_ac4b_c9b5;
    let mut product = 0;
    for power in 0..u64::BITS {
        product ^= b & ((a << power) >> (u64::BITS - 1)).wrapping_neg();
        b = (b >> 1) ^ (MODULUS & (b & 1).wrapping_neg());
    }
    product
}

/// The polynomial 1.
const ONE: u64 = 1 << (u64::BITS - 1);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::Prefix, store::ETag};
    use crc_fast::CrcAlgorithm;
    use proptest::prelude::*;

    fn part(number: u32, bytes: &[u8]) -> Part {
        let crc64 = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, bytes);
        Part { number, etag: ETag(String::new()), size: bytes.len() as u64, crc64: Some(crc64) }
    }

    #[test]
    fn a_copy_source_escapes_all_that_a_url_would_read() {
        let key = Prefix::parse("acme/").unwrap().key("a b?c#d%2e+é\\.txt").unwrap();
        assert_eq!(copy_source("vendor", &key), "vendor/acme/a%20b%3Fc%23d%252e%2B%C3%A9%5C.txt");
        let arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/acme";
        let encoded = "arn%3Aaws%3As3%3Aeu-west-1%3A111122223333%3Aaccesspoint/acme/object/acme/";
        assert!(copy_source(arn, &key).starts_with(encoded));
    }

    #[test]
    fn listed_names_are_form_encoded() {
        assert_eq!(decoded("a+b%2Bc%01%25%C3%A9/d"), "a b+c\u{1}%é/d");
    }

    #[test]
    fn a_checksum_is_base64_of_big_endian_bytes() {
        // The check value of CRC-64/NVME.
        let crc64 = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, b"123456789");
        assert_eq!(crc64, 0xae8b_1486_0a79_9888);
        assert_eq!(checksum(crc64), "rosUhgp5mIg=");
        assert_eq!(read_checksum("rosUhgp5mIg="), Some(crc64));
        for wrong in ["", "rosUhgp5mA==", "?"] {
            assert_eq!(read_checksum(wrong), None, "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn parts_combine_to_the_whole(a: Vec<u8>, b: Vec<u8>, c: Vec<u8>) {
            let whole = crc_fast::checksum(CrcAlgorithm::Crc64Nvme, &[a.clone(), b.clone(), c.clone()].concat());
            let (first, last) = (part(1, &a), part(3, &c));
            prop_assert_eq!(combined_crc64(&[first.clone(), part(2, &b), last.clone()]), Some(whole));
            prop_assert_eq!(combined_crc64(&[first, Part { crc64: None, ..part(2, &b) }, last]), None);
        }

        #[test]
        fn long_parts_combine_as_crc_fast_has_it(first: u64, second: u64, size in 0..=5_u64 << 30) {
            let part = |size, crc64| Part { size, crc64: Some(crc64), ..part(1, b"") };
            let whole = crc_fast::checksum_combine(CrcAlgorithm::Crc64Nvme, first, second, size);
            prop_assert_eq!(combined_crc64(&[part(0, first), part(size, second)]), Some(whole));
        }
    }
}
