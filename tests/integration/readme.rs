//! What the README prints can be used as it stands.

use std::{fs, path::Path};
use tempfile::TempDir;

#[test]
fn the_least_config_is_right() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let blocks: Vec<&str> = readme.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let [server, acme, globex] = blocks[..] else { panic!("{} blocks of TOML", blocks.len()) };
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("wharfinger.toml");
    fs::create_dir(directory.path().join("tenants")).unwrap();
    fs::write(&file, server).unwrap();
    fs::write(directory.path().join("tenants/acme.toml"), acme).unwrap();
    fs::write(directory.path().join("tenants/globex.toml"), globex).unwrap();
    let config = wharfinger::config::load(&file).unwrap().config;
    let tenant = |index: usize| (&config.tenants[index].users[0].name, &config.tenants[index].place.credentials.role);
    assert!(matches!(tenant(0), (alice, None) if alice.as_str() == "alice"));
    assert!(matches!(tenant(1), (bob, Some(_)) if bob.as_str() == "bob"));

    fs::write(&file, "").unwrap();
    let unsaid = wharfinger::config::load(&file).unwrap().config.server;
    assert_eq!(format!("{unsaid:?}"), format!("{:?}", config.server), "the README shows defaults");
}
