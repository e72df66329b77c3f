//! Secrets come from files and the environment, and appear nowhere else.

use super::{Files, KEY};
use crate::account::BaseCredentials;
use crate::account::PublicKey;
use std::{fs, os::unix::fs::PermissionsExt as _};

const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";
const PASSWORD: &str = "correct-horse-battery";
const OTHER_KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";

const HASH: &str = "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";

/// Returns a tenant with these credentials (from line 6 on) and this login.
fn tenant(credentials: &str, login: &str) -> Files {
    let text = format!(
        "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = ''\nregion = 'us-east-1'\n[storage.credentials]\n\
         {credentials}\n[[users]]\nname = 'alice'\n{login}\n"
    );
    Files::new("").with_acme(&text)
}

fn with_credentials(credentials: &str) -> Files {
    tenant(credentials, &format!("public_keys = ['{KEY}']"))
}

fn secret_of(files: &Files) -> String {
    let loaded = files.load().unwrap();
    assert!(!format!("{loaded:?} {loaded:#?}").contains(SECRET), "in Debug");
    match &loaded.config.tenants[0].storage.credentials.base {
        BaseCredentials::Static { secret_access_key, .. } => secret_access_key.expose().to_owned(),
        BaseCredentials::DefaultChain => panic!("no access key"),
    }
}

#[test]
fn from_a_file_or_a_variable() {
    let file = with_credentials("access_key_id = 'AK'\nsecret_access_key_file = 'secret'");
    let file = file.with("tenants/secret", &format!("{SECRET}\n"));
    assert_eq!(secret_of(&file), SECRET);
    let variable = with_credentials("access_key_id = 'AK'\nsecret_access_key_env = 'CARGO_PKG_NAME'");
    assert_eq!(secret_of(&variable), "wharfinger");
}

#[test]
fn a_secret_in_the_wrong_place_is_never_repeated() {
    for credentials in [
        format!("access_key_id = 'AK'\nsecret_access_key = '{SECRET}'"),
        format!("access_key_id = 'AK'\nsecret_access_key_file = '{SECRET}'"),
        format!("access_key_id = 'AK'\nsecret_access_key_env = '{SECRET}'"),
        format!("access_key_id = 'AK'\nsecret_access_key = '{SECRET}"),
        format!("access_key_id = 'AK'\nsecret_access_key = {SECRET}"),
        format!("access_key_id = 'AK'\nsecret_access_key_env = ['{SECRET}']"),
    ] {
        let problems = with_credentials(&credentials).problems();
        assert!(!problems.is_empty() && !problems.concat().contains(SECRET), "{problems:?}");
    }
    for login in [
        format!("password = '{SECRET}'"),
        format!("password_hash = '{SECRET}'"),
        format!("password_hash_file = '{SECRET}'"),
        format!("public_keys = ['{SECRET}']"),
        format!("public_keys_file = '{SECRET}'"),
    ] {
        let problems = tenant("default_chain = true", &login).problems();
        assert!(problems.len() == 1 && !problems.concat().contains(SECRET), "{problems:?}");
    }
}

#[test]
fn an_inline_secret_gets_told_where_it_belongs() {
    assert_eq!(
        with_credentials(&format!("access_key_id = 'AK'\nsecret_access_key = '{SECRET}'")).problems(),
        [
            "tenants/acme.toml:8: storage.credentials.secret_access_key: a secret doesn't belong here; put it into a file of \
         mode 0600 that `secret_access_key_file` names, or into an environment variable that `secret_access_key_env` names"
        ]
    );
}

#[test]
fn credentials_are_of_one_kind() {
    const EITHER: &str =
        "it takes `access_key_id` with `secret_access_key_file` or `secret_access_key_env`, or `default_chain = true`";
    for (credentials, message) in [
        ("default_chain = false", "there are none"),
        ("access_key_id = 'AK'", "they are of no single kind"),
        ("access_key_id = 'AK'\ndefault_chain = true", "they are of no single kind"),
        ("secret_access_key_env = 'CARGO_PKG_NAME'", "they are of no single kind"),
    ] {
        assert_eq!(
            with_credentials(credentials).problems(),
            [format!("tenants/acme.toml:6: storage.credentials: {message}; {EITHER}")]
        );
    }
}

#[test]
fn a_file_that_others_can_read_is_warned_about() {
    let files =
        with_credentials("access_key_id = 'AK'\nsecret_access_key_file = 'secret'").with("tenants/secret", SECRET);
    assert_eq!(files.warnings().len(), 1, "only that the tenant is jailed once");
    fs::set_permissions(files.path("tenants/secret"), fs::Permissions::from_mode(0o644)).unwrap();
    assert_eq!(
        files.warnings(),
        [
            "tenants/acme.toml:6: storage.credentials: these credentials are not narrowed for each session: the tenant is \
         jailed by this server alone, so their policy should allow no more than its prefix; `[storage.assume_role]` jails it twice",
            "tenants/acme.toml:8: storage.credentials.secret_access_key_file: others can read the file; `chmod 600` keeps it \
         to its owner",
        ]
    );
}

#[test]
fn hashes_and_keys_come_from_files_too() {
    let files =
        tenant("default_chain = true", "password_hash_file = '../hash'\npublic_keys_file = 'keys'\npublic_keys = []")
            .with("hash", HASH)
            .with("tenants/keys", &format!("# laptop\n{KEY} laptop\n\n  {OTHER_KEY} phone\n"));
    let loaded = files.load().unwrap();
    assert!(!format!("{loaded:?} {loaded:#?}").contains("argon2id"), "in Debug");
    let credentials = &loaded.config.tenants[0].users[0].credentials;
    assert_eq!(credentials.password_hash, Some(HASH.parse().unwrap()));
    let key = |line: &str| line.parse::<PublicKey>().unwrap();
    assert_eq!(credentials.public_keys, [key(KEY), key(OTHER_KEY)]);
}

#[test]
fn a_bad_key_is_found_in_its_own_file() {
    let files = tenant("default_chain = true", "public_keys_file = 'keys'");
    let files = files.with("tenants/keys", &format!("# laptop\n{KEY}\nnonsense\n"));
    assert_eq!(
        files.problems(),
        ["tenants/keys:3: this is no public key: one line `ssh-ed25519 AAAA… comment` is wanted, as in a .pub file"]
    );
}

#[test]
fn two_hashes_are_one_too_many() {
    let files = tenant("default_chain = true", &format!("password_hash = '{HASH}'\npassword_hash_file = 'hash'"));
    assert_eq!(
        files.with("tenants/hash", HASH).problems(),
        ["tenants/acme.toml:11: users.password_hash_file: there is a `password_hash` too; it takes one of the two"]
    );
}

fn ledger(keys: &str) -> Files {
    Files::new(&format!("[ledger]\n{keys}\n"))
}

#[test]
fn the_password_of_the_ledger_comes_from_a_file_or_a_variable() {
    let file = ledger("url_file = 'ledger.url'").with("ledger.url", &format!("postgres://u:{PASSWORD}@h/d\n"));
    let loaded = file.load().unwrap();
    assert!(loaded.config.server.ledger.has_password());
    let printed = format!("{loaded:?} {loaded:#?}");
    assert!(printed.contains("postgres://u@h:5432/d") && !printed.contains(PASSWORD), "{printed}");
    let file = ledger("url_file = 'ledger.url'").with("ledger.url", "sqlite:there/l.db");
    let location = file.load().unwrap().config.server.ledger.to_string();
    assert_eq!(location, format!("sqlite:{}", file.path("there/l.db").display()), "beside the server's file");
}

#[test]
fn a_password_in_the_url_of_the_ledger_is_refused_and_never_repeated() {
    let url = format!("postgres://u:{PASSWORD}@h/d");
    let problems = ledger(&format!("url = '{url}'")).problems();
    assert!(problems[0].starts_with("wharfinger.toml:2: ledger.url: holds a password"), "{problems:?}");
    for keys in [
        format!("url = '{url}'"),
        format!("url = 'postgres://u@h/d?password={PASSWORD}'"),
        format!("url = 'postgres://u@h/d?passwort={PASSWORD}'"),
        format!("url = 'postgres://u:{PASSWORD}@h'"),
        format!("url = 'mysql://u:{PASSWORD}@h/d'"),
        format!("url = '{PASSWORD}'"),
        format!("url_file = '{url}'"),
        format!("url_env = '{url}'"),
        format!("password = '{PASSWORD}'"),
    ] {
        let problems = ledger(&keys).problems();
        assert!(!problems.is_empty() && !problems.concat().contains(PASSWORD), "{problems:?}");
    }
}
