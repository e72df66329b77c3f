//! The results of valid configs.

use super::{Files, KEY, STORAGE};
use crate::account::{Permission, Permissions};
use std::{fs, time::Duration};

#[test]
fn an_empty_server_file_is_all_defaults() {
    let files = Files::new("");
    let loaded = files.load().unwrap();
    let server = loaded.config.server;
    assert_eq!(server.max_buffer_bytes, 256 << 20);
    assert_eq!(server.drain_timeout, Duration::from_secs(30));
    assert_eq!(server.ssh.host_key_directory, files.path("keys"), "beside the file");
    assert_eq!(server.ledger.to_string(), format!("sqlite:{}", files.path("ledger.db").display()), "beside the file");
    assert!(!files.path("ledger.db").exists(), "it is the server that makes it");
    assert_eq!(
        files.warnings(),
        ["wharfinger.toml:1: tenants_directory: `tenants` holds no tenant, `*.toml`: no user can log in"]
    );
}

#[test]
fn a_quarter_of_the_memory_that_has_no_room_for_a_password_check_is_a_warning() {
    let of = |server: &str, memory_kib: u32| {
        let hash =
            format!("$argon2id$v=19$m={memory_kib},t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c");
        let text = format!("name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'\npassword_hash = '{hash}'");
        let warnings = Files::new(server).with_acme(&text).warnings();
        warnings.into_iter().filter(|warning| warning.contains("max_buffer_bytes")).collect::<Vec<_>>()
    };
    assert_eq!(of("", 64 << 10), [""; 0]);
    assert_eq!(of("max_buffer_bytes = '64MiB'", 16 << 10), [""; 0]);
    let warning = "wharfinger.toml: max_buffer_bytes: a quarter of it is 64MiB, and a password check takes 128MiB: one runs \
                   at a time, and takes more than this setting says; 512MiB has room for it";
    assert_eq!(of("", 128 << 10), [warning]);
}

#[test]
fn a_user_without_mounts_sees_the_whole_prefix() {
    let text = format!(
        "name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'\npublic_keys = ['{KEY}']\npermissions = ['read', 'list']"
    );
    let config = Files::new("").with_acme(&text).load().unwrap().config;
    let [tenant] = &config.tenants[..] else { panic!("{config:?}") };
    assert_eq!((tenant.tenant.enabled, tenant.tenant.max_object_bytes), (true, 512 << 30));
    let user = &tenant.users[0].user;
    assert_eq!((user.tenant.as_str(), user.mounts.landing().as_str()), ("acme", "/"));
    let [mount] = &user.mounts.iter().collect::<Vec<_>>()[..] else { panic!("{user:?}") };
    assert_eq!((mount.entry.as_str(), mount.prefix.as_str()), ("/", "acme/"));
    assert_eq!(mount.permissions, [Permission::Read, Permission::List].into_iter().collect());
}

#[test]
fn mounts_lie_below_the_tenant_and_may_have_their_own_permissions() {
    let text = format!(
        "name = 'acme'\n{STORAGE}[[users]]\nname = 'alice'\npublic_keys = ['{KEY}']\nlanding = '/in/today'\n\
         permissions = ['read']\n[[users.mounts]]\nentry = '/in'\nprefix = 'inbox/'\n[[users.mounts]]\nentry = '/all'\n\
         prefix = ''\npermissions = []"
    );
    let config = Files::new("").with_acme(&text).load().unwrap().config;
    let user = &config.tenants[0].users[0].user;
    assert_eq!(user.mounts.landing().as_str(), "/in/today");
    let mount = |entry: &str| user.mounts.iter().find(|mount| mount.entry.as_str() == entry).unwrap();
    assert_eq!(mount("/in").prefix.as_str(), "acme/inbox/");
    assert_eq!(mount("/in").permissions, Permissions::NONE.with(Permission::Read));
    assert_eq!((mount("/all").prefix.as_str(), mount("/all").permissions), ("acme/", Permissions::NONE));
}

#[test]
fn hidden_and_other_files_are_no_tenants() {
    let files = Files::new("").with("tenants/.#acme.toml", "no TOML").with("tenants/README.md", "no TOML");
    assert!(files.load().unwrap().config.tenants.is_empty());
}

#[test]
fn files_are_read_as_editors_leave_them() {
    let text = format!("\u{feff}name = 'acme'\n{STORAGE}").replace('\n', "\r\n");
    let files = Files::new("\u{feff}").with_acme(&text);
    for copy in ["acme.toml~", ".acme.toml.swp", "#acme.toml#", "acme.toml.orig"] {
        fs::write(files.path("tenants").join(copy), "no TOML").unwrap();
    }
    assert_eq!(files.load().unwrap().config.tenants.len(), 1);
    let wrong = text.replace("region = 'eu-central-1'", "region = 7");
    assert_eq!(
        files.with_acme(&wrong).problems(),
        ["tenants/acme.toml:5: storage.region: is an integer; it takes a region such as \"eu-central-1\""]
    );
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let files = Files::new("").with_acme(&format!("name = 'acme'\n{STORAGE}"));
    fs::write(files.path("tenants/latin.toml"), b"# \xe4\nname = 'latin'\n").unwrap();
    fs::create_dir(files.path("tenants/directory.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere", files.path("tenants/link.toml")).unwrap();
    assert_eq!(
        files.problems(),
        [
            "tenants/directory.toml: can't be read: Is a directory (os error 21)",
            "tenants/latin.toml: can't be read: stream did not contain valid UTF-8",
            "tenants/link.toml: can't be read: No such file or directory (os error 2)",
        ]
    );
}
