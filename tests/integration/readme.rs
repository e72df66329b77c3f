//! The configs in the README and in docs/onboarding.md are valid as printed.

use std::{fs, path::Path};
use tempfile::TempDir;

fn first_toml_of(document: &str) -> String {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(document)).unwrap();
    text.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap().to_owned()
}

#[test]
fn the_least_config_is_right() {
    let (acme, globex) = (first_toml_of("README.md"), first_toml_of("docs/onboarding.md"));
    let lines = acme.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    assert_eq!(lines.count(), 10, "ten lines of config");
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("wharfinger.toml");
    fs::create_dir(directory.path().join("tenants")).unwrap();
    fs::write(&file, "").unwrap();
    fs::write(directory.path().join("tenants/acme.toml"), acme).unwrap();
    fs::write(directory.path().join("tenants/globex.toml"), globex).unwrap();
    let loaded = wharfinger::config::load(&file).unwrap();
    assert!(loaded.warnings.is_empty(), "{:?}", loaded.warnings);
    let tenant = |index: usize| {
        let tenant = &loaded.config.tenants[index];
        (tenant.users[0].user.name.as_str(), tenant.storage.credentials.role.is_some())
    };
    assert_eq!([tenant(0), tenant(1)], [("alice", true), ("bob", true)]);
}
