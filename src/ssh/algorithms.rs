//! The SSH algorithms that the server offers by default, and those that the config can add by name.
//!
//! The default prefers post-quantum key exchange, then AES-GCM over AES-CTR, then encrypt-then-MAC over
//! encrypt-and-MAC. curl, dropbear and net-ssh of today's distributions still need AES-CTR and encrypt-and-MAC. The
//! default leaves ChaCha20 out because OpenSSH would pick it, at 2.5 times the CPU time. It leaves finite-field
//! Diffie-Hellman out because a group of 4096 bits costs 57 ms of CPU before a login. The config can't choose broken
//! algorithms at all: SHA-1, CBC, group 1 and group exchange.

use russh::{
    Names, Preferred, cipher, compression, kex,
    keys::{Algorithm, EcdsaCurve, HashAlg},
    mac,
};
use std::{fmt, str::FromStr, sync::Arc};

/// A name that isn't among the algorithms of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{name}` is no {kind} that can be chosen; there are {available}")]
pub(crate) struct UnknownAlgorithm {
    name: String,
    kind: &'static str,
    available: String,
}

macro_rules! algorithm {
    ($(#[$doc:meta])* $type:ident($name:ty), $kind:literal, [$($algorithm:expr),+ $(,)?]) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq)]
        pub(crate) struct $type($name);

        impl $type {
            /// All algorithms that the config can choose, the best first.
            pub(crate) const ALL: &'static [Self] = &[$(Self($algorithm)),+];

            /// The name on the wire.
            #[must_use]
            pub(crate) fn as_str(&self) -> &str {
                self.0.as_ref()
            }
        }

        impl FromStr for $type {
            type Err = UnknownAlgorithm;

            fn from_str(name: &str) -> Result<Self, UnknownAlgorithm> {
                Self::ALL.iter().find(|a| a.as_str() == name).copied().ok_or_else(|| UnknownAlgorithm {
                    name: name.to_owned(),
                    kind: $kind,
                    available: Self::ALL.iter().map(Self::as_str).collect::<Vec<_>>().join(", "),
                })
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

algorithm!(
    KeyExchange(kex::Name),
    "key exchange",
    [
        kex::MLKEM768X25519_SHA256,
        kex::CURVE25519,
        kex::CURVE25519_PRE_RFC_8731,
        kex::ECDH_SHA2_NISTP256,
        kex::ECDH_SHA2_NISTP384,
        kex::ECDH_SHA2_NISTP521,
        kex::DH_G16_SHA512,
        kex::DH_G14_SHA256,
    ]
);
algorithm!(
    Cipher(cipher::Name),
    "cipher",
    [
        cipher::AES_256_GCM,
        cipher::AES_128_GCM,
        cipher::AES_256_CTR,
        cipher::AES_192_CTR,
        cipher::AES_128_CTR,
        cipher::CHACHA20_POLY1305,
    ]
);
algorithm!(
    /// A message authentication code, for ciphers that don't authenticate by themselves.
    Mac(mac::Name),
    "MAC",
    [mac::HMAC_SHA256_ETM, mac::HMAC_SHA512_ETM, mac::HMAC_SHA256, mac::HMAC_SHA512]
);

/// The algorithms that the server offers to clients. The client's order decides, within these lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Algorithms {
    pub(crate) key_exchanges: Vec<KeyExchange>,
    pub(crate) ciphers: Vec<Cipher>,
    pub(crate) macs: Vec<Mac>,
}

impl Default for Algorithms {
    fn default() -> Self {
        Self {
            key_exchanges: [kex::MLKEM768X25519_SHA256, kex::CURVE25519, kex::CURVE25519_PRE_RFC_8731]
                .map(KeyExchange)
                .into(),
            ciphers: [cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::AES_256_CTR, cipher::AES_128_CTR]
                .map(Cipher)
                .into(),
            macs: Mac::ALL.into(),
        }
    }
}

impl Algorithms {
    /// Returns the same algorithms with AES-GCM as the only ciphers, or `None` if the list has no AES-GCM.
    pub(super) fn with_gcm_alone(&self) -> Option<Self> {
        let is_gcm = |cipher: &&Cipher| [cipher::AES_256_GCM, cipher::AES_128_GCM].contains(&cipher.0);
        let ciphers: Vec<_> = self.ciphers.iter().filter(is_gcm).copied().collect();
        (!ciphers.is_empty()).then(|| Self { ciphers, ..self.clone() })
    }

    /// Returns the lists in russh's type.
    pub(super) fn preferred(&self) -> Preferred {
        // These are markers, not algorithms. Without them older clients get no rsa-sha2, and no client is protected
        // against Terrapin.
        let markers = [kex::EXTENSION_SUPPORT_AS_SERVER, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_SERVER];
        Preferred {
            kex: self.key_exchanges.iter().map(|k| k.0).chain(markers).collect(),
            key: SIGNATURES.into(),
            cipher: self.ciphers.iter().map(|c| c.0).collect(),
            mac: self.macs.iter().map(|m| m.0).collect(),
            compression: [compression::NONE].as_slice().into(),
            ..Preferred::default()
        }
    }
}

/// True if `cipher` needs a MAC. The others authenticate by themselves.
fn needs_mac(cipher: &cipher::Name) -> bool {
    ![cipher::AES_256_GCM, cipher::AES_128_GCM, cipher::CHACHA20_POLY1305].contains(cipher)
}

/// Returns the names of the algorithms that a connection uses: key exchange, host key, cipher, and the MAC if the
/// cipher needs one.
pub(super) fn algorithms_in_use(names: &Names) -> Arc<str> {
    let mac = Some(names.client_mac.as_ref()).filter(|_| needs_mac(&names.cipher));
    let words = [names.kex.as_ref(), names.key.as_str(), names.cipher.as_ref()].into_iter().chain(mac);
    words.collect::<Vec<_>>().join(" ").into()
}

/// Signatures that the server makes with host keys and accepts from users: all but RSA with SHA-1.
const SIGNATURES: &[Algorithm] = &[
    Algorithm::Ed25519,
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
    Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
    Algorithm::Rsa { hash: Some(HashAlg::Sha512) },
    Algorithm::Rsa { hash: Some(HashAlg::Sha256) },
];

/// True if the server accepts a user's signature made with `algorithm`.
pub(super) fn accepts_signature(algorithm: &Algorithm) -> bool {
    SIGNATURES.contains(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_is_the_documented_list() {
        let preferred = Algorithms::default().preferred();
        let names = |names: &[&str]| names.join(",");
        let kex: Vec<&str> = preferred.kex.iter().map(AsRef::as_ref).collect();
        let cipher: Vec<&str> = preferred.cipher.iter().map(AsRef::as_ref).collect();
        let mac: Vec<&str> = preferred.mac.iter().map(AsRef::as_ref).collect();
        assert_eq!(
            names(&kex),
            "mlkem768x25519-sha256,curve25519-sha256,curve25519-sha256@libssh.org,ext-info-s,kex-strict-s-v00@openssh.com"
        );
        assert_eq!(names(&cipher), "aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes128-ctr");
        assert_eq!(
            names(&mac),
            "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
        );
        assert_eq!(preferred.compression.len(), 1);
    }

    #[test]
    fn others_can_be_chosen_by_name_but_not_the_broken_ones() {
        assert!("chacha20-poly1305@openssh.com".parse::<Cipher>().is_ok());
        assert!("diffie-hellman-group14-sha256".parse::<KeyExchange>().is_ok());
        for broken in ["diffie-hellman-group1-sha1", "none", "ext-info-s", ""] {
            assert!(broken.parse::<KeyExchange>().is_err(), "{broken}");
        }
        for broken in ["none", "clear", "3des-cbc", "aes256-cbc"] {
            assert!(broken.parse::<Cipher>().is_err(), "{broken}");
        }
        assert_eq!(
            "hmac-md5".parse::<Mac>().unwrap_err().to_string(),
            "`hmac-md5` is no MAC that can be chosen; there are hmac-sha2-256-etm@openssh.com, \
             hmac-sha2-512-etm@openssh.com, hmac-sha2-256, hmac-sha2-512"
        );
        assert!(!accepts_signature(&Algorithm::Rsa { hash: None }));
    }
}
