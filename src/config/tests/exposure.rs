//! Issue 15.4: files that control who can log in, with modes that let others write to them; and paths that are no
//! files.

use super::{Files, KEY};
use crate::config::{LogFormat, log_format};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{fs, os::unix::fs::symlink};

/// Returns a tenant without warnings whose user has keys in a file.
fn files() -> Files {
    let text = "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = 'acme/'\nregion = 'eu-central-1'\n\
         expected_bucket_owner = '111122223333'\n[storage.assume_role]\n\
         role_arn = 'arn:aws:iam::111122223333:role/wharfinger'\nexternal_id = 'wh-4b6f'\n\
         [[users]]\nname = 'alice'\npublic_keys_file = '../keys/alice'\n";
    let files = Files::new("").with_acme(text);
    fs::create_dir(files.path("keys")).unwrap();
    files.chmod("keys", 0o755);
    files.with("keys/alice", KEY)
}

/// The files and directories that control who can log in, and their names in a report.
const EXPOSED: [(&str, &str); 6] = [
    ("wharfinger.toml", "wharfinger.toml: "),
    ("tenants/acme.toml", "tenants/acme.toml: "),
    ("keys/alice", "tenants/acme.toml:12: users.public_keys_file: the file "),
    ("tenants", "tenants: "),
    ("keys", "tenants/../keys: "),
    ("", ": "),
];

#[test]
fn what_everyone_may_write_is_refused() {
    assert_eq!(files().warnings(), [""; 0]);
    for (path, named) in EXPOSED {
        let files = files();
        files.chmod(path, 0o777);
        let problems = files.problems();
        let [problem] = &problems[..] else { panic!("{path}: {problems:?}") };
        let named = if path.is_empty() { files.0.path().display().to_string() + named } else { named.to_owned() };
        assert!(problem.starts_with(&format!("{named}can be written by others (mode 0777)")), "{problem}");
        assert!(problem.contains("run `chmod go-w") && problem.contains("or mount it read-only"), "{problem}");
    }
}

#[test]
fn what_a_group_may_write_is_warned_about() {
    for (path, named) in EXPOSED {
        let files = files();
        files.chmod(path, 0o775);
        let warnings = files.warnings();
        let [warning] = &warnings[..] else { panic!("{path}: {warnings:?}") };
        let named = if path.is_empty() { files.0.path().display().to_string() + named } else { named.to_owned() };
        assert!(warning.starts_with(&format!("{named}can be written by its group (mode 0775)")), "{warning}");
        assert!(warning.contains("run `chmod g-w"), "{warning}");
    }
}

/// In a directory with the sticky bit others can't replace a file. They can add one, which would be a tenant.
#[test]
fn the_sticky_bit_protects_files_but_not_from_new_tenants() {
    let files = files();
    files.chmod("keys", 0o1777);
    files.chmod("", 0o1777);
    assert_eq!(files.warnings(), [""; 0]);
    files.chmod("tenants", 0o1777);
    assert!(files.problems()[0].starts_with("tenants: can be written by others (mode 1777)"));
}

/// ConfigReading a FIFO would wait for another program.
#[test]
fn a_fifo_is_no_file() {
    let fifo = |files: &Files, name: &str| {
        let path = files.path(name);
        drop(fs::remove_file(&path));
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    let files = files();
    fifo(&files, "tenants/pipe.toml");
    symlink("pipe.toml", files.path("tenants/link.toml")).unwrap();
    fifo(&files, "keys/alice");
    assert_eq!(
        files.problems(),
        [
            "tenants/acme.toml:12: users.public_keys_file: the file can't be read (it is a FIFO, not a file); it takes the \
             name of a text file, relative to the directory of this one",
            "tenants/link.toml: can't be read: it is a FIFO, not a file",
            "tenants/pipe.toml: can't be read: it is a FIFO, not a file",
        ]
    );
    fifo(&files, "wharfinger.toml");
    assert_eq!(files.problems(), ["wharfinger.toml: can't be read: it is a FIFO, not a file"]);
    assert_eq!(log_format(&files.path("wharfinger.toml")), LogFormat::Human);
}
