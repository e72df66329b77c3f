//! Host keys in directories: the keys that the server makes, serves, refuses and warns of.

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
fn another_file_is_refused_and_stays() {
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

/// Returns the refusals of `examine`. Checks that `load_or_make` fails with the first one.
fn refusals(directory: &Path, kinds: &[HostKeyKind]) -> Vec<String> {
    let refusals: Vec<String> = HostKeys::examine(directory, kinds).errors.iter().map(ToString::to_string).collect();
    let refused = HostKeys::load_or_make(directory, kinds).err().map(|error| error.to_string());
    assert_eq!(refusals.first(), refused.as_ref());
    refusals
}

/// Issue 15.4: `check` reports the same problems with host keys as the server, and makes no keys.
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

/// The server makes no key in its place, so the link may stay.
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
    let (root, one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
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

/// Issue 15.4: a user who may write to the directory controls the server's identity.
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

/// Issue 17.1.
#[test]
fn keys_of_a_running_server_that_are_gone_are_found() {
    use HostKeyKind::{Ecdsa, Ed25519};
    let root = tempfile::tempdir().unwrap();
    let served = HostKeys::load_or_make(root.path(), &[Ed25519, Ecdsa]).unwrap();
    assert_eq!(served.made().0.len(), 2);
    let gone = |kinds: &[HostKeyKind]| {
        let errors = HostKeys::find_gone(root.path(), kinds, &served.fingerprints());
        errors.into_iter().map(|error| error.to_string()).collect::<Vec<_>>()
    };
    assert!(gone(&[Ed25519, Ecdsa, HostKeyKind::Rsa]).is_empty(), "a new kind is none that is gone");
    fs::remove_file(root.path().join(Ecdsa.file_name())).unwrap();
    assert!(gone(&[Ed25519]).is_empty(), "its kind was taken out of the list");
    let errors = gone(&[Ed25519, Ecdsa]);
    assert!(errors.len() == 1 && errors[0].contains("ssh_host_ecdsa_key is gone"), "{errors:?}");
    served.made().remove();
    assert_eq!(gone(&[HostKeyKind::Rsa]).len(), 2, "an empty directory");
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
}
