//! The keys that prove to clients that this is the server they know.
//!
//! Made at the first start, private to the process's user from the first moment, and never replaced: a client that
//! has seen one warns of an attack when it changes.

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

/// RSA keys are made with, and must have, at least this size.
const RSA_BITS: usize = 3_072;

/// No key file is larger.
const MAX_FILE_BYTES: u64 = 64 * 1024;

/// A kind of host key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostKeyKind {
    /// Ed25519: what every client of today prefers.
    Ed25519,
    /// RSA of 3072 bits, for older clients. It signs with SHA-2.
    Rsa,
    /// ECDSA on NIST P-256, for clients that know nothing else.
    Ecdsa,
}

impl HostKeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Ed25519, Self::Rsa, Self::Ecdsa];

    /// The word used in config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ed25519 => "ed25519",
            Self::Rsa => "rsa",
            Self::Ecdsa => "ecdsa",
        }
    }

    /// The file that the key is kept in, below the directory of the host keys: OpenSSH's name for it.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
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

    /// Whether `key` is of this kind, and strong enough.
    fn fits(self, key: &PrivateKey) -> bool {
        match (self, key.key_data()) {
            (Self::Ed25519, KeypairData::Ed25519(_)) | (Self::Ecdsa, KeypairData::Ecdsa(_)) => true,
            (Self::Rsa, KeypairData::Rsa(pair)) => usize::try_from(pair.key_size()).is_ok_and(|bits| bits >= RSA_BITS),
            _ => false,
        }
    }
}

/// A word that names no kind of host key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no kind of host key; there are ed25519, rsa and ecdsa")]
pub struct UnknownHostKeyKind(String);

impl FromStr for HostKeyKind {
    type Err = UnknownHostKeyKind;

    fn from_str(word: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word).ok_or_else(|| UnknownHostKeyKind(word.to_owned()))
    }
}

/// A host key that can't be used or made.
#[derive(Debug, thiserror::Error)]
pub enum HostKeyError {
    /// A file or directory can't be read or written.
    #[error("host key {}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Somebody else may read the file, so that anybody may have become this server.
    #[error(
        "host key {} can be read by others (mode {mode:04o}): run `chmod 600 {}`, or, if others did read it, \
         remove it so that a new one is made", path.display(), path.display()
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// Every user of the machine may write the directory, and put a key of theirs there.
    #[error("the directory of the host keys, {}, {}", .0.path().display(), .0)]
    ExposedDirectory(Exposure),
    /// The content is no private key.
    #[error("host key {} is no unencrypted private key in OpenSSH's format: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the parser said.
        error: russh::keys::ssh_key::Error,
    },
    /// The content is another kind of key, or a short one.
    #[error("host key {} is {found}, not the {} key (RSA of at least {RSA_BITS} bits) that its name says", path.display(), kind.as_str())]
    WrongKind {
        /// The file.
        path: PathBuf,
        /// What its name says.
        kind: HostKeyKind,
        /// What it holds.
        found: String,
    },
    /// The system could not make a key.
    #[error("a new {} host key could not be made: {error}", kind.as_str())]
    Generation {
        /// Its kind.
        kind: HostKeyKind,
        /// What went wrong.
        error: russh::keys::ssh_key::Error,
    },
}

/// A look at the host keys in a directory, which makes none.
#[derive(Debug, Default)]
pub struct HostKeysExamined {
    /// They keep the server from starting.
    pub errors: Vec<HostKeyError>,
    /// Directories that a group may write, or everyone by a mode that this process can't change; keys and directories of
    /// another user.
    pub exposures: Vec<Exposure>,
    /// True if there is none, so that all will be made.
    pub are_missing: bool,
}

/// The loaded host keys.
#[derive(Clone)]
pub struct HostKeys {
    keys: Vec<PrivateKey>,
    are_new: bool,
}

impl HostKeys {
    /// Reads the keys in `directory`, and makes those of `kinds` that aren't there yet. A key that lies there is used
    /// whether `kinds` has its kind or not.
    ///
    /// Blocks: making an RSA key takes seconds.
    ///
    /// # Errors
    /// A key that others can read, that doesn't parse, that is weak or of another kind; a directory that can't be written.
    pub fn load_or_make(directory: &Path, kinds: &[HostKeyKind]) -> Result<Self, HostKeyError> {
        exposures(directory)?;
        let are_new = !HostKeyKind::ALL.iter().any(|kind| directory.join(kind.file_name()).exists());
        let mut keys = Vec::new();
        for kind in HostKeyKind::ALL {
            if kinds.contains(&kind) {
                keys.push(load_or_make(directory, kind)?);
            } else {
                keys.extend(load_if_there(directory, kind, false)?);
            }
        }
        Ok(Self { keys, are_new })
    }

    /// Finds all that [`Self::load_or_make`] would refuse, and makes nothing.
    #[must_use]
    pub fn examine(directory: &Path, kinds: &[HostKeyKind]) -> HostKeysExamined {
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

    /// True if there was none before, so that all of them were made.
    #[must_use]
    pub fn are_new(&self) -> bool {
        self.are_new
    }

    /// Keys that live in memory only, such as for a trial or a test.
    ///
    /// # Errors
    /// The system could not make one.
    pub fn ephemeral(kinds: &[HostKeyKind]) -> Result<Self, HostKeyError> {
        let keys = kinds.iter().map(|kind| make(*kind)).collect::<Result<_, _>>()?;
        Ok(Self { keys, are_new: true })
    }

    /// The keys' algorithms and SHA-256 fingerprints, for an operator to compare.
    #[must_use]
    pub fn fingerprints(&self) -> Vec<String> {
        self.keys.iter().map(|key| format!("{} {}", key.algorithm(), key.fingerprint(HashAlg::Sha256))).collect()
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

/// What other users may write without being refused: keys, and directories in which a key lies, or will.
fn exposures(directory: &Path) -> Result<Vec<Exposure>, HostKeyError> {
    let keys = HostKeyKind::ALL.map(|kind| directory.join(kind.file_name()));
    // A key that is added there is served.
    let mut exposures: Vec<Exposure> = Exposure::of_directory(directory).into_iter().collect();
    for key in &keys {
        // The mode of a key is looked at where it is loaded.
        let file = Exposure::of_file(key).filter(Exposure::is_of_its_owner);
        let directories = Exposure::of_its_directories(key).into_iter().filter(|found| found.path() != directory);
        exposures.extend(directories.chain(file));
    }
    // A directory holds several keys, or the targets of several links.
    let mut paths = BTreeSet::new();
    exposures.retain(|exposure| paths.insert(exposure.path().to_owned()));
    match exposures.iter().position(Exposure::is_refused) {
        Some(at) => Err(HostKeyError::ExposedDirectory(exposures.swap_remove(at))),
        None => Ok(exposures),
    }
}

/// `is_wanted` says that the key will be made if there is none.
fn load_if_there(directory: &Path, kind: HostKeyKind, is_wanted: bool) -> Result<Option<PrivateKey>, HostKeyError> {
    let path = directory.join(kind.file_name());
    match files::open(&path) {
        Ok(file) => load(&path, file, kind).map(Some),
        // A link that leads nowhere is there: no key can be made in its place.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !(is_wanted && path.is_symlink()) => Ok(None),
        Err(error) => Err(HostKeyError::Io { path, error }),
    }
}

fn load_or_make(directory: &Path, kind: HostKeyKind) -> Result<PrivateKey, HostKeyError> {
    if let Some(key) = load_if_there(directory, kind, true)? {
        return Ok(key);
    }
    let path = directory.join(kind.file_name());
    let key = make(kind)?;
    match store(directory, &path, &key) {
        Ok(()) => Ok(key),
        // Another process of the same deployment made it in the meantime: all must show the same key.
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

/// Writes `key` beside its place, private from the start, and links it there whole. Fails if something is there.
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
    // The draft goes in any case: it holds a private key.
    let removed = fs::remove_file(&draft);
    written.and(removed).map_err(io_error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn keys_are_made_once_and_are_private() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("deep/keys");
        let kinds = [HostKeyKind::Ed25519, HostKeyKind::Ecdsa];
        let made = HostKeys::load_or_make(&directory, &kinds).unwrap();
        let loaded = HostKeys::load_or_make(&directory, &kinds).unwrap();
        assert_eq!(made.fingerprints(), loaded.fingerprints());
        assert_eq!(mode(&directory), 0o700);
        let mut names: Vec<_> = fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["ssh_host_ecdsa_key", "ssh_host_ed25519_key"]);
        for kind in kinds {
            assert_eq!(mode(&directory.join(kind.file_name())), 0o600);
        }
    }

    /// Issue 12.3.
    #[test]
    fn a_key_that_lies_there_is_served_whatever_the_kinds_are() {
        let root = tempfile::tempdir().unwrap();
        let both = HostKeys::load_or_make(root.path(), &[HostKeyKind::Ed25519, HostKeyKind::Ecdsa]).unwrap();
        let one = HostKeys::load_or_make(root.path(), &[HostKeyKind::Ed25519]).unwrap();
        assert_eq!(one.fingerprints(), both.fingerprints());
        assert!(!root.path().join(HostKeyKind::Rsa.file_name()).exists());
    }

    #[test]
    fn an_rsa_key_is_of_3072_bits() {
        let keys = HostKeys::ephemeral(&[HostKeyKind::Rsa]).unwrap();
        assert!(HostKeyKind::Rsa.fits(&keys.keys[0]));
        assert!(!HostKeyKind::Ed25519.fits(&keys.keys[0]));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_what_to_do() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join(HostKeyKind::Ed25519.file_name());
        HostKeys::load_or_make(root.path(), &[HostKeyKind::Ed25519]).unwrap();
        for exposed in [0o640, 0o604, 0o660, 0o610] {
            fs::set_permissions(&path, fs::Permissions::from_mode(exposed)).unwrap();
            let error = HostKeys::load_or_make(root.path(), &[HostKeyKind::Ed25519]).unwrap_err().to_string();
            assert!(error.contains("can be read by others") && error.contains("chmod 600"), "{error}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(HostKeys::load_or_make(root.path(), &[HostKeyKind::Ed25519]).is_ok());
    }

    #[test]
    fn what_is_no_such_key_is_refused_and_kept() {
        let root = tempfile::tempdir().unwrap();
        HostKeys::load_or_make(root.path(), &[HostKeyKind::Ed25519]).unwrap();
        let ed25519 = root.path().join(HostKeyKind::Ed25519.file_name());
        symlink(&ed25519, root.path().join(HostKeyKind::Ecdsa.file_name())).unwrap();
        let error = HostKeys::load_or_make(root.path(), &[HostKeyKind::Ecdsa]).unwrap_err();
        assert!(matches!(error, HostKeyError::WrongKind { .. }), "{error}");

        let rsa = root.path().join(HostKeyKind::Rsa.file_name());
        fs::write(&rsa, "-----BEGIN GARBAGE-----\n").unwrap();
        fs::set_permissions(&rsa, fs::Permissions::from_mode(0o600)).unwrap();
        let error = HostKeys::load_or_make(root.path(), &[HostKeyKind::Rsa]).unwrap_err();
        assert!(matches!(error, HostKeyError::Unreadable { .. }), "{error}");
        assert_eq!(fs::read(&rsa).unwrap(), b"-----BEGIN GARBAGE-----\n", "never replaced");
    }

    /// The refusals of `examine`, of which the first must be that of `load_or_make`.
    fn refusals(directory: &Path, kinds: &[HostKeyKind]) -> Vec<String> {
        let refusals: Vec<String> =
            HostKeys::examine(directory, kinds).errors.iter().map(ToString::to_string).collect();
        let refused = HostKeys::load_or_make(directory, kinds).err().map(|error| error.to_string());
        assert_eq!(refusals.first(), refused.as_ref());
        refusals
    }

    /// Issue 15.4: `check` says of host keys what the server would, and makes none.
    #[test]
    fn keys_can_be_looked_at_without_being_made() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("deep/keys");
        let kinds = [HostKeyKind::Ed25519];
        let examined = HostKeys::examine(&directory, &kinds);
        assert!(examined.errors.is_empty() && examined.are_missing, "{examined:?}");
        assert!(!root.path().join("deep").exists());
        assert!(HostKeys::load_or_make(&directory, &kinds).unwrap().are_new());
        assert!(!HostKeys::load_or_make(&directory, &kinds).unwrap().are_new());
        assert!(!HostKeys::examine(&directory, &kinds).are_missing);

        let ed25519 = directory.join(HostKeyKind::Ed25519.file_name());
        fs::set_permissions(&ed25519, fs::Permissions::from_mode(0o644)).unwrap();
        symlink("nowhere", directory.join(HostKeyKind::Rsa.file_name())).unwrap();
        fs::create_dir(directory.join(HostKeyKind::Ecdsa.file_name())).unwrap();
        let refusals = refusals(&directory, &HostKeyKind::ALL);
        let [exposed, link, no_file] = &refusals[..] else { panic!("{refusals:?}") };
        assert!(exposed.contains("can be read by others (mode 0644)"), "{exposed}");
        assert!(link.ends_with("ssh_host_rsa_key: No such file or directory (os error 2)"), "{link}");
        assert!(no_file.ends_with("ssh_host_ecdsa_key: Is a directory (os error 21)"), "{no_file}");
    }

    /// No key is made in its place, so it may stay.
    #[test]
    fn a_link_that_leads_nowhere_is_no_key_of_a_kind_that_is_not_wanted() {
        let root = tempfile::tempdir().unwrap();
        symlink("nowhere", root.path().join(HostKeyKind::Ecdsa.file_name())).unwrap();
        let kinds = [HostKeyKind::Ed25519];
        let examined = HostKeys::examine(root.path(), &kinds);
        assert!(examined.errors.is_empty() && examined.are_missing, "{examined:?}");
        let made = HostKeys::load_or_make(root.path(), &kinds).unwrap();
        assert!(made.are_new() && made.fingerprints().len() == 1, "{made:?}");
    }

    #[test]
    fn a_directory_of_several_links_is_told_once() {
        let (root, one, other) =
            (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        HostKeys::load_or_make(one.path(), &[HostKeyKind::Ed25519, HostKeyKind::Ecdsa]).unwrap();
        HostKeys::load_or_make(other.path(), &[HostKeyKind::Rsa]).unwrap();
        for kind in HostKeyKind::ALL {
            let directory = if kind == HostKeyKind::Rsa { &other } else { &one };
            symlink(directory.path().join(kind.file_name()), root.path().join(kind.file_name())).unwrap();
        }
        for directory in [&root, &one, &other] {
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o770)).unwrap();
        }
        let exposures = HostKeys::examine(root.path(), &HostKeyKind::ALL).exposures;
        let told: Vec<&Path> = exposures.iter().map(Exposure::path).collect();
        assert_eq!(told, [root.path(), one.path(), other.path()]);
    }

    #[test]
    fn a_directory_that_is_none_takes_no_keys() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("file"), "").unwrap();
        let [refusal, ..] = &refusals(&root.path().join("file"), &HostKeyKind::ALL)[..] else { panic!() };
        assert!(refusal.ends_with("file/ssh_host_ed25519_key: Not a directory (os error 20)"), "{refusal}");
    }

    /// Issue 15.4: a user that may write the directory decides who the server is.
    #[test]
    fn a_directory_that_everyone_may_write_is_refused_and_a_groups_is_told() {
        let root = tempfile::tempdir().unwrap();
        let kinds = [HostKeyKind::Ed25519];
        let chmod = |mode| fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).unwrap();
        chmod(0o777);
        let [refusal] = &refusals(root.path(), &kinds)[..] else { panic!() };
        let directory = root.path().display();
        assert!(
            refusal.starts_with(&format!("the directory of the host keys, {directory}, can be written by others"))
                && refusal.contains(&format!("run `chmod go-w {directory}`")),
            "{refusal}"
        );
        chmod(0o1777);
        let [refusal] = &refusals(root.path(), &kinds)[..] else { panic!("a key can be added") };
        assert!(refusal.contains("can be written by others (mode 1777)"), "{refusal}");
        chmod(0o775);
        assert_eq!(refusals(root.path(), &kinds), [""; 0]);
        assert_eq!(HostKeys::examine(root.path(), &kinds).exposures.len(), 1);
    }
}
