//! Signs with RSA host keys by aws-lc, because the rsa crate that russh uses takes several times as long.
//!
//! A client that hasn't logged in can ask for such a signature with a few hundred bytes. The signature's cost is
//! therefore the cost of a key exchange for the server.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::KeyPair,
    signature::{RSA_PKCS1_SHA256, RSA_PKCS1_SHA512, RsaEncoding},
};
use rsa::{RsaPrivateKey, pkcs1::EncodeRsaPrivateKey as _};
use russh::{
    keys::{
        Algorithm, HashAlg, PrivateKey, PublicKey,
        ssh_key::{self, Signature, private::KeypairData},
    },
    server::HostKeySigner,
};

/// Signs with the RSA keys among the host keys.
pub(crate) struct RsaSigner(Vec<(PublicKey, KeyPair)>);

impl RsaSigner {
    /// Creates a signer for the RSA keys among `keys`. russh signs with a key that aws-lc refuses.
    pub(crate) fn new(keys: &[PrivateKey]) -> Self {
        Self(keys.iter().filter_map(|key| Some((key.public_key().clone(), key_pair(key)?))).collect())
    }
}

fn key_pair(key: &PrivateKey) -> Option<KeyPair> {
    let KeypairData::Rsa(pair) = key.key_data() else { return None };
    let der = RsaPrivateKey::try_from(pair).ok()?.to_pkcs1_der().ok()?;
    KeyPair::from_der(der.as_bytes()).ok()
}

impl HostKeySigner for RsaSigner {
    fn sign(&self, key: &PrivateKey, hash: Option<HashAlg>, data: &[u8]) -> Option<Result<Signature, russh::Error>> {
        let encoding: &'static dyn RsaEncoding = match hash? {
            HashAlg::Sha256 => &RSA_PKCS1_SHA256,
            HashAlg::Sha512 => &RSA_PKCS1_SHA512,
            _ => return None,
        };
        let (_, pair) = self.0.iter().find(|(public, _)| public == key.public_key())?;
        let mut signature = vec![0; pair.public_modulus_len()];
        Some(match pair.sign(encoding, &SystemRandom::new(), data, &mut signature) {
            Ok(()) => Signature::new(Algorithm::Rsa { hash }, signature).map_err(russh::Error::from),
            Err(_) => Err(ssh_key::Error::Crypto.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::{key::safe_rng, signature::Verifier, ssh_key::private::RsaKeypair};

    #[test]
    fn a_signature_of_aws_lc_is_one_that_clients_verify() {
        let pair = RsaKeypair::random(&mut safe_rng(), 2_048).unwrap();
        let key = PrivateKey::new(KeypairData::Rsa(pair), "").unwrap();
        let signer = RsaSigner::new(std::slice::from_ref(&key));
        for hash in [HashAlg::Sha256, HashAlg::Sha512] {
            let signature = signer.sign(&key, Some(hash), b"exchange hash").unwrap().unwrap();
            assert_eq!(signature.algorithm(), Algorithm::Rsa { hash: Some(hash) });
            assert!(Verifier::verify(key.public_key(), b"exchange hash", &signature).is_ok(), "{hash}");
            assert!(Verifier::verify(key.public_key(), b"another hash", &signature).is_err(), "{hash}");
        }
    }

    #[test]
    fn other_keys_are_left_to_russh() {
        let key = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap();
        assert!(RsaSigner::new(std::slice::from_ref(&key)).sign(&key, None, b"exchange hash").is_none());
    }
}
