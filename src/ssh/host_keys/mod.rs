//! The keys that prove the server's identity to clients.
//!
//! The server makes them at its first start, readable only by the process's user from the first moment, and never
//! replaces them: a client warns of an attack when a known key changes.

#[cfg(test)]
mod tests;

use crate::files::{self, Exposure};
use russh::keys::{
    Algorithm, EcdsaCurve, HashAlg, PrivateKey,
    key::safe_rng,
    ssh_key::{
        LineEnding,
        private::{KeypairData, RsaKeypair},
    },
};
use std::{
    collections::BTreeSet,
    fmt, fs,
    io::{self, Read as _, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    str::FromStr,
};

/// The size of a new RSA key, and the minimum size of an existing one, in bits.
const RSA_BITS: usize = 3_072;

/// The maximum size of a key file, in bytes.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A kind of host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostKeyKind {
    /// Ed25519, which every current client prefers.
    Ed25519,
    /// RSA of 3072 bits, for older clients. It signs with SHA-2.
    Rsa,
    /// ECDSA on NIST P-256, for clients that support no other kind.
    Ecdsa,
}

impl HostKeyKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Ed25519, Self::Rsa, Self::Ecdsa];

    /// Returns the word that the config uses.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
        }
    }

    /// Returns the name of the key's file in the directory of the host keys, which is OpenSSH's name for it.
    #[must_use]
    pub(crate) const fn file_name(self) -> &'static str {
        match self {
            Self::Ed25519 => "ssh_host_ed25519_key",
            Self::Rsa => "ssh_host_rsa_key",
            Self::Ecdsa => "ssh_host_ecdsa_key",
        }
    }

    fn generate(self) -> Result<PrivateKey, russh::keys::ssh_key::Error> {
        match self {
            Self::Ed25519 => PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519),
            Self::Ecdsa => PrivateKey::random(&mut safe_rng(), Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }),
            Self::Rsa => PrivateKey::new(KeypairData::Rsa(RsaKeypair::random(&mut safe_rng(), RSA_BITS)?), ""),
        }
    }

    /// True if `key` is of this kind and strong enough.
    fn fits(self, key: &PrivateKey) -> bool {
        match (self, key.key_data()) {
            (Self::Ed25519, KeypairData::Ed25519(_)) | (Self::Ecdsa, KeypairData::Ecdsa(_)) => true,
            (Self::Rsa, KeypairData::Rsa(pair)) => usize::try_from(pair.key_size()).is_ok_and(|bits| bits >= RSA_BITS),
            _ => false,
        }
    }
}

/// An unknown name of a host key kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of host key; there are ed25519, rsa and ecdsa")]
pub struct UnknownHostKeyKind(String);

impl FromStr for HostKeyKind {
    type Err = UnknownHostKeyKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| UnknownHostKeyKind(word.to_owned()))
    }
}

/// A host key that the server can't load or make.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// The server can't read or write a file or directory.
    #[error("host key {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        error: io::Error,
    },
    /// Other users may read the file, so any of them could impersonate the server.
    #[error(
        "host key {} can be read by others (mode {mode:04o}): run `chmod 600 {}`, or, if others did read it, \
         remove it: the next start and `wharfinger reload --force` make a new one", path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Every user of the machine may write to the directory, and could put a key there.
    #[error("the directory of the host keys, {}, {}", .0.path().display(), .0)]
    ExposedDirectory(Exposure),
    /// The file holds no private key.
    #[error("host key {} is no unencrypted private key in OpenSSH's format: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The parser's error.
        error: russh::keys::ssh_key::Error,
    },
    /// The file holds a key of another kind, or a key that is too short.
    #[error("host key {} is {found}, not the {} key (RSA of at least {RSA_BITS} bits) that its name says", path.display(), kind.as_str())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// The kind that the file's name states.
        kind: HostKeyKind,
        /// A description of the key in the file.
        found: String,
    },
    /// The file of a key that the running server proves itself with is gone.
    #[error(
        "host key {} is gone: clients that know it would refuse a new one; put the file back, or run \
         `wharfinger reload --force` to make a new key", path.display()
    )]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// The system couldn't make a key.
    #[error("a new {} host key could not be made: {error}", kind.as_str())]
    Generation {
        /// The kind of the key.
        kind: HostKeyKind,
        /// The system's error.
        error: russh::keys::ssh_key::Error,
    },
}

/// The findings of an examination of the host keys. The examination makes no keys.
#[derive(Debug, Default)]
pub struct HostKeysExamined {
    /// Errors that keep the server from starting.
    pub(crate) errors: Vec<HostKeyError>,
    /// Directories that a group may write to, or that everyone may write to by a mode that this process can't change.
    /// Also keys and directories that another user owns.
    pub(crate) exposures: Vec<Exposure>,
    /// True if the directory has no host key, so that the server will make all of them.
    pub(crate) are_missing: bool,
}

/// A host key, as an operator knows it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct HostKeyFingerprint {
    /// The algorithm and the SHA-256 fingerprint.
    text: String,
    kind: Option<HostKeyKind>,
}

impl fmt::Display for HostKeyFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HostKeyFingerprint {
    fn is(&self, kind: HostKeyKind) -> bool {
        self.kind == Some(kind)
    }
}

/// The files of new host keys.
#[derive(Debug)]
pub(crate) struct MadeHostKeys(Vec<PathBuf>);

impl MadeHostKeys {
    /// Removes the files: no client has seen their keys. A file that can't be removed stays, and is served from the next
    /// reload on.
    pub(crate) fn remove(self) {
        for path in self.0 {
            let _ = fs::remove_file(path);
        }
    }
}

/// The loaded host keys.
#[derive(Clone)]
pub struct HostKeys {
    keys: Vec<PrivateKey>,
    are_new: bool,
    /// The files that this process made.
    made: Vec<PathBuf>,
}

impl HostKeys {
    /// Reads the keys in `directory`, and makes the missing ones of `kinds`. Also serves existing keys of other kinds.
    ///
    /// Blocks: making an RSA key takes seconds.
    ///
    /// # Errors
    /// Other users can read a key, a key doesn't parse, is weak or of another kind, or the server can't write to the
    /// directory.
    pub(crate) fn load_or_make(directory: &Path, kinds: &[HostKeyKind]) -> Result<Self, HostKeyError> {
        exposures(directory)?;
        let are_new = !HostKeyKind::ALL.iter().any(|kind| directory.join(kind.file_name()).exists());
        let (mut keys, mut made) = (Vec::new(), Vec::new());
        for kind in HostKeyKind::ALL {
            if kinds.contains(&kind) {
                keys.push(load_or_make(directory, kind, &mut made)?);
            } else {
                keys.extend(load_if_there(directory, kind, false)?);
            }
        }
        Ok(Self { keys, are_new, made })
    }

    /// Returns an error for each key of `kinds` among the `served` keys of a running server whose file is gone: the
    /// directory may be a mount that isn't there. If the files of all served keys are gone, each is an error.
    #[must_use]
    pub(crate) fn find_gone(
        directory: &Path,
        kinds: &[HostKeyKind],
        served: &[HostKeyFingerprint],
    ) -> Vec<HostKeyError> {
        let served: Vec<_> =
            HostKeyKind::ALL.into_iter().filter(|kind| served.iter().any(|key| key.is(*kind))).collect();
        let is_gone = |kind: &&HostKeyKind| {
            let path = directory.join(kind.file_name());
            path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
        };
        let are_all_gone = served.iter().all(|kind| is_gone(&kind));
        let gone = served.iter().filter(is_gone).filter(|kind| are_all_gone || kinds.contains(kind));
        gone.map(|kind| HostKeyError::Gone { path: directory.join(kind.file_name()) }).collect()
    }

    /// Returns the files that this process made for the keys.
    #[must_use]
    pub(crate) fn made(&self) -> MadeHostKeys {
        MadeHostKeys(self.made.clone())
    }

    /// Returns all problems that [`Self::load_or_make`] would fail on. Makes no keys.
    #[must_use]
    pub(crate) fn examine(directory: &Path, kinds: &[HostKeyKind]) -> HostKeysExamined {
        let mut examined = HostKeysExamined { are_missing: true, ..HostKeysExamined::default() };
        match exposures(directory) {
            Ok(exposures) => examined.exposures = exposures,
            Err(error) => examined.errors.push(error),
        }
        let mut first_missing = None;
        for kind in HostKeyKind::ALL {
            match load_if_there(directory, kind, kinds.contains(&kind)) {
                Ok(None) if kinds.contains(&kind) => _ = first_missing.get_or_insert(kind),
                Ok(None) => {}
                Ok(Some(_)) => examined.are_missing = false,
                Err(error) => {
                    examined.are_missing = false;
                    examined.errors.push(error);
                }
            }
        }
        if let Some(kind) = first_missing
            && let Err(error) = files::require_makeable_directory(directory)
        {
            examined.errors.push(HostKeyError::Io { path: directory.join(kind.file_name()), error });
        }
        examined
    }

    /// True if the directory had no host key, so that the server made all of them.
    #[must_use]
    pub(crate) fn are_new(&self) -> bool {
        self.are_new
    }

    /// Makes keys that exist in memory only, for a trial or a test.
    ///
    /// # Errors
    /// The system couldn't make a key.
    pub fn ephemeral(kinds: &[HostKeyKind]) -> Result<Self, HostKeyError> {
        let keys = kinds.iter().map(|kind| make(*kind)).collect::<Result<_, _>>()?;
        Ok(Self { keys, are_new: true, made: Vec::new() })
    }

    /// Returns the keys' fingerprints, for an operator to compare.
    #[must_use]
    pub(crate) fn fingerprints(&self) -> Vec<HostKeyFingerprint> {
        let fingerprint = |key: &PrivateKey| HostKeyFingerprint {
            text: format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256)),
            kind: HostKeyKind::ALL.into_iter().find(|kind| kind.fits(key)),
        };
        self.keys.iter().map(fingerprint).collect()
    }

    pub(super) fn into_keys(self) -> Vec<PrivateKey> {
        self.keys
    }
}

impl fmt::Debug for HostKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fingerprints()).finish()
    }
}

/// Returns the keys and the directories of present or future keys that other users may write to. Fails on a directory
/// that the server refuses.
fn exposures(directory: &Path) -> Result<Vec<Exposure>, HostKeyError> {
    let keys = HostKeyKind::ALL.map(|kind| directory.join(kind.file_name()));
    // Any key that another user adds there becomes a host key.
    let mut exposures: Vec<Exposure> = Exposure::of_directory(directory).into_iter().collect();
    for key in &keys {
        // `load` checks the mode of a key.
        let file = Exposure::of_file(key).filter(Exposure::is_of_its_owner);
        let directories = Exposure::of_its_directories(key).into_iter().filter(|found| found.path() != directory);
        exposures.extend(directories.chain(file));
    }
    // The directories repeat, because a directory can hold several keys or the targets of several links.
    let mut paths = BTreeSet::new();
    exposures.retain(|exposure| paths.insert(exposure.path().to_owned()));
    match exposures.iter().position(Exposure::is_refused) {
        Some(at) => Err(HostKeyError::ExposedDirectory(exposures.swap_remove(at))),
        None => Ok(exposures),
    }
}

/// Loads a key if it exists. `is_wanted` tells that the server will make a missing key.
fn load_if_there(directory: &Path, kind: HostKeyKind, is_wanted: bool) -> Result<Option<PrivateKey>, HostKeyError> {
    let path = directory.join(kind.file_name());
    match files::open(&path) {
        Ok(file) => load(&path, file, kind).map(Some),
        // A dangling link counts as existing: the server can't make a key in its place.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !(is_wanted && path.is_symlink()) => Ok(None),
        Err(error) => Err(HostKeyError::Io { path, error }),
    }
}

/// Adds the file of a new key to `made`.
fn load_or_make(directory: &Path, kind: HostKeyKind, made: &mut Vec<PathBuf>) -> Result<PrivateKey, HostKeyError> {
    if let Some(key) = load_if_there(directory, kind, true)? {
        return Ok(key);
    }
    let path = directory.join(kind.file_name());
    let key = make(kind)?;
    match store(directory, &path, &key) {
        Ok(()) => {
            made.push(path);
            Ok(key)
        }
        // Another process of the same deployment made the key meanwhile. All processes must show the same key.
        Err(HostKeyError::Io { error, .. }) if error.kind() == io::ErrorKind::AlreadyExists => {
            let file = files::open(&path).map_err(|error| HostKeyError::Io { path: path.clone(), error })?;
            load(&path, file, kind)
        }
        Err(error) => Err(error),
    }
}

fn make(kind: HostKeyKind) -> Result<PrivateKey, HostKeyError> {
    kind.generate().map_err(|error| HostKeyError::Generation { kind, error })
}

fn load(path: &Path, file: fs::File, kind: HostKeyKind) -> Result<PrivateKey, HostKeyError> {
    let io_error = |error| HostKeyError::Io { path: path.to_owned(), error };
    let mode = file.metadata().map_err(io_error)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(HostKeyError::Exposed { path: path.to_owned(), mode });
    }
    let mut pem = zeroize::Zeroizing::new(Vec::new());
    file.take(MAX_FILE_BYTES).read_to_end(&mut pem).map_err(io_error)?;
    let unreadable = |error| HostKeyError::Unreadable { path: path.to_owned(), error };
    let key = PrivateKey::from_openssh(pem.as_slice()).map_err(unreadable)?;
    if key.is_encrypted() {
        return Err(unreadable(russh::keys::ssh_key::Error::Encrypted));
    }
    if !kind.fits(&key) {
        let found = match key.key_data() {
            KeypairData::Rsa(pair) => format!("RSA of {} bits", pair.key_size()),
            _ => key.algorithm().to_string(),
        };
        return Err(HostKeyError::WrongKind { path: path.to_owned(), kind, found });
    }
    Ok(key)
}

/// Writes `key` to a private draft file, then links it to its name. Fails if the name exists.
fn store(directory: &Path, path: &Path, key: &PrivateKey) -> Result<(), HostKeyError> {
    let io_error = |error| HostKeyError::Io { path: path.to_owned(), error };
    let pem =
        key.to_openssh(LineEnding::LF).map_err(|error| HostKeyError::Unreadable { path: path.to_owned(), error })?;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(io_error)?;
    let number = getrandom::u64().map_err(|error| io_error(error.into()))?;
    let draft = path.with_extension(format!("{number:016x}.new"));
    let written = (|| {
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
        file.write_all(pem.as_bytes())?;
        file.sync_all()?;
        fs::hard_link(&draft, path)
    })();
    // The draft holds a private key, so it is always removed.
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(io_error)
}
