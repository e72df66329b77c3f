//! Public keys as SSH's wire blobs: the algorithm's name, then its numbers (RFC 4253 §6.6, RFC 5656, RFC 8709).
//!
//! Each key has exactly one accepted blob, so comparing keys is comparing bytes. This module does no cryptography: the
//! SSH edge checks that the client possesses the private key.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::{fmt, str::FromStr, sync::Arc};

/// The accepted sizes of RSA moduli. Shorter ones are too weak. The verification library doesn't accept longer ones, so
/// it couldn't verify their signatures.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2_048..=8_192;

/// The reason why a text or a blob is no acceptable public key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPublicKey {
    /// The text is not in the format of `authorized_keys`.
    #[error("this is no public key: one line `ssh-ed25519 AAAA… comment` is wanted, as in a .pub file")]
    NotAKey,
    /// A line of `authorized_keys` that starts with options.
    #[error("options in front of a key (`{0}`) are not supported: nothing would enforce them")]
    Options(String),
    /// A private key.
    #[error("this is a private key: give the .pub file instead")]
    Private,
    /// The server doesn't accept this algorithm.
    #[error("`{0}` keys are not accepted; ssh-ed25519, ecdsa-sha2-nistp256, -nistp384, -nistp521 and ssh-rsa are")]
    Algorithm(String),
    /// An RSA key of the wrong size.
    #[error("an RSA key of {0} bits is not accepted; 2,048 to 8,192 bits are")]
    RsaBits(usize),
    /// The key is truncated, or its content doesn't fit its algorithm.
    #[error("the key is damaged: its content does not fit its algorithm")]
    Damaged,
}

/// A well-formed public key of an accepted algorithm: Ed25519, ECDSA on the NIST curves, or RSA.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PublicKey(Arc<[u8]>);

impl InvalidPublicKey {
    /// True for an oversized RSA key. No login can use it, though earlier versions accepted it from the config.
    #[must_use]
    pub(crate) fn is_of_a_key_too_long(&self) -> bool {
        matches!(self, Self::RsaBits(bits) if bits > RSA_BITS.end())
    }
}

impl PublicKey {
    /// Parses a wire blob from SSH's authentication request.
    ///
    /// # Errors
    /// The blob is not exactly one key of an accepted algorithm and strength.
    pub(crate) fn from_blob(blob: &[u8]) -> Result<Self, InvalidPublicKey> {
        let mut fields = Fields(blob);
        match fields.next()? {
            b"ssh-ed25519" => exactly(fields.next()?, 32)?,
            b"ecdsa-sha2-nistp256" => point(&mut fields, b"nistp256", 32)?,
            b"ecdsa-sha2-nistp384" => point(&mut fields, b"nistp384", 48)?,
            b"ecdsa-sha2-nistp521" => point(&mut fields, b"nistp521", 66)?,
            b"ssh-rsa" => rsa(&mut fields)?,
            other => return Err(InvalidPublicKey::Algorithm(String::from_utf8_lossy(other).into_owned())),
        }
        fields.end()?;
        Ok(Self(blob.into()))
    }

    /// Returns the algorithm's name on the wire. For RSA it is `ssh-rsa` with any hash.
    #[must_use]
    pub(crate) fn algorithm(&self) -> &str {
        Fields(&self.0).next().ok().and_then(|name| str::from_utf8(name).ok()).unwrap_or_default()
    }
}

/// Parses a line of `authorized_keys` or of a `.pub` file. Ignores the comment.
impl FromStr for PublicKey {
    type Err = InvalidPublicKey;

    fn from_str(line: &str) -> Result<Self, InvalidPublicKey> {
        if line.contains("PRIVATE KEY") {
            return Err(InvalidPublicKey::Private);
        }
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(base64)) = (words.next(), words.next()) else { return Err(InvalidPublicKey::NotAKey) };
        if line.trim_end().contains('\n') {
            return Err(InvalidPublicKey::NotAKey);
        }
        let Ok(blob) = STANDARD.decode(base64) else {
            let is_option = name.contains(['=', ',']) || ["restrict", "cert-authority"].contains(&name);
            return Err(if is_option { InvalidPublicKey::Options(name.into()) } else { InvalidPublicKey::NotAKey });
        };
        let key = Self::from_blob(&blob)?;
        if key.algorithm() == name { Ok(key) } else { Err(InvalidPublicKey::Damaged) }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.algorithm(), STANDARD.encode(&self.0))
    }
}

/// The length-prefixed fields of a blob.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn next(&mut self) -> Result<&'a [u8], InvalidPublicKey> {
        let (length, rest) = self.0.split_first_chunk::<4>().ok_or(InvalidPublicKey::Damaged)?;
        let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| InvalidPublicKey::Damaged)?;
        let (field, rest) = rest.split_at_checked(length).ok_or(InvalidPublicKey::Damaged)?;
        self.0 = rest;
        Ok(field)
    }

    /// Returns a positive number in its only valid encoding: no sign bit and no redundant leading zero.
    fn next_number(&mut self) -> Result<&'a [u8], InvalidPublicKey> {
        let field = self.next()?;
        match field {
            [0, digits @ ..] if digits.first().is_some_and(|first| *first >= 0x80) => Ok(digits),
            [1..=0x7f, ..] => Ok(field),
            _ => Err(InvalidPublicKey::Damaged),
        }
    }

    fn end(&self) -> Result<(), InvalidPublicKey> {
        if self.0.is_empty() { Ok(()) } else { Err(InvalidPublicKey::Damaged) }
    }
}

fn exactly(field: &[u8], length: usize) -> Result<(), InvalidPublicKey> {
    if field.len() == length { Ok(()) } else { Err(InvalidPublicKey::Damaged) }
}

/// Checks a curve's name and an uncompressed point on it: `0x04 x y`.
fn point(fields: &mut Fields<'_>, curve: &[u8], coordinate_bytes: usize) -> Result<(), InvalidPublicKey> {
    if fields.next()? != curve {
        return Err(InvalidPublicKey::Damaged);
    }
    let point = fields.next()?;
    if point.first() != Some(&4) {
        return Err(InvalidPublicKey::Damaged);
    }
    exactly(point, 1 + 2 * coordinate_bytes)
}

/// Checks the exponent, then the modulus.
fn rsa(fields: &mut Fields<'_>) -> Result<(), InvalidPublicKey> {
    let exponent = fields.next_number()?;
    let modulus = fields.next_number()?;
    let unused = modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = modulus.len() * 8 - unused;
    if !RSA_BITS.contains(&bits) {
        return Err(InvalidPublicKey::RsaBits(bits));
    }
    // Common keys use 65537; a huge exponent would only slow each check down.
    if exponent.len() > 8 || exponent.last().is_none_or(|byte| byte % 2 == 0) {
        return Err(InvalidPublicKey::Damaged);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(fields: &[&[u8]]) -> Vec<u8> {
        fields.iter().flat_map(|f| [&u32::try_from(f.len()).unwrap().to_be_bytes()[..], f].concat()).collect()
    }

    fn rsa_blob(bits: usize) -> Vec<u8> {
        let mut modulus = vec![0xff; bits / 8];
        modulus.insert(0, 0);
        blob(&[b"ssh-rsa", &[1, 0, 1], &modulus])
    }

    #[test]
    fn a_line_of_a_pub_file_is_the_key_on_the_wire() {
        let line = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice@laptop\n";
        let key: PublicKey = line.parse().unwrap();
        assert_eq!(key.algorithm(), "ssh-ed25519");
        assert_eq!(PublicKey::from_blob(&key.0).unwrap(), key);
    }

    #[test]
    fn accepted_algorithms() {
        for (name, curve, length) in [
            ("ecdsa-sha2-nistp256", "nistp256", 65),
            ("ecdsa-sha2-nistp384", "nistp384", 97),
            ("ecdsa-sha2-nistp521", "nistp521", 133),
        ] {
            let point = [&[4][..], &vec![7; length - 1]].concat();
            let whole = blob(&[name.as_bytes(), curve.as_bytes(), &point]);
            assert_eq!(PublicKey::from_blob(&whole).unwrap().algorithm(), name);
            let other_curve = blob(&[name.as_bytes(), b"nistp999", &point]);
            assert_eq!(PublicKey::from_blob(&other_curve), Err(InvalidPublicKey::Damaged));
        }
        assert!(PublicKey::from_blob(&rsa_blob(2_048)).is_ok());
        assert_eq!(PublicKey::from_blob(&rsa_blob(1_024)), Err(InvalidPublicKey::RsaBits(1_024)));
        assert!(PublicKey::from_blob(&rsa_blob(8_192)).is_ok());
        assert_eq!(PublicKey::from_blob(&rsa_blob(8_200)), Err(InvalidPublicKey::RsaBits(8_200)));
        assert_eq!(PublicKey::from_blob(&blob(&[b"ssh-dss"])), Err(InvalidPublicKey::Algorithm("ssh-dss".into())));
    }

    #[test]
    fn a_key_has_one_blob_and_a_damaged_one_is_none() {
        let whole = blob(&[b"ssh-ed25519", &[7; 32]]);
        for length in 0..whole.len() {
            assert!(PublicKey::from_blob(&whole[..length]).is_err(), "{length}");
        }
        let trailing = [&whole[..], &[0]].concat();
        let short = blob(&[b"ssh-ed25519", &[7; 31]]);
        let padded_exponent = blob(&[b"ssh-rsa", &[0, 1, 0, 1], &[&[0][..], &[0xff; 256]].concat()]);
        let negative_modulus = blob(&[b"ssh-rsa", &[1, 0, 1], &[0xff; 256]]);
        for bad in [trailing, short, padded_exponent, negative_modulus, vec![0xff; 8]] {
            assert_eq!(PublicKey::from_blob(&bad), Err(InvalidPublicKey::Damaged));
        }
    }

    #[test]
    fn errors_say_what_was_given_instead() {
        let error = |line: &str| line.parse::<PublicKey>().unwrap_err();
        assert_eq!(error(""), InvalidPublicKey::NotAKey);
        assert_eq!(error("ssh-ed25519"), InvalidPublicKey::NotAKey);
        assert_eq!(error("ssh-ed25519 !!!"), InvalidPublicKey::NotAKey);
        assert_eq!(error("-----BEGIN OPENSSH PRIVATE KEY-----"), InvalidPublicKey::Private);
        assert_eq!(error("from=\"10.0.0.1\" ssh-ed25519 AAAA"), InvalidPublicKey::Options("from=\"10.0.0.1\"".into()));
        assert_eq!(
            error("ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ"),
            InvalidPublicKey::Damaged
        );
    }
}
