//! The trial of docker-compose.yml, as far as a test without Docker can check it: its config is valid, and the
//! composition provides everything that the config needs.

use std::{fs, path::Path, process::Command};

const SECRET: &str = "S3_SECRET_ACCESS_KEY";

fn checked(secret: Option<&str>) -> (bool, String) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut check = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    // `--config-only`, because host keys and ledger are on the container's volumes.
    check
        .args(["check", "--config-only", "--config", "config/compose/wharfinger.toml"])
        .current_dir(root)
        .env_remove(SECRET);
    let output = check.envs(secret.map(|secret| (SECRET, secret))).output().unwrap();
    let printed = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    (output.status.success(), printed.concat())
}

#[test]
fn the_config_of_the_trial_is_right() {
    let (right, printed) = checked(Some("trial"));
    assert!(right && printed.contains("OK, 2 tenants with 2 users, listening on 0.0.0.0:2222"), "{printed}");
    let (right, printed) = checked(None);
    assert!(!right && printed.contains("secret_access_key_env"), "{printed}");
}

#[test]
fn the_composition_gives_what_the_config_asks_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |file: &str| fs::read_to_string(root.join(file)).unwrap();
    let composition = read("docker-compose.yml");
    let tenant: toml::Table = read("config/compose/tenants/acme.toml").parse().unwrap();
    let storage = &tenant["storage"];
    let endpoint = storage["endpoint"].as_str().unwrap();
    let (host, _) = endpoint.strip_prefix("http://").unwrap().split_once(':').unwrap();
    assert!(composition.contains(&format!("\n  {host}:\n")), "a service {host}");
    assert!(composition.contains(&format!("S3_BUCKET: {}\n", storage["bucket"].as_str().unwrap())));
    let credentials = &storage["credentials"];
    assert!(composition.contains(&format!("{}: &secret", credentials["secret_access_key_env"].as_str().unwrap())));
    let access_key = credentials["access_key_id"].as_str().unwrap();
    assert!(composition.contains(&format!("AWS_ACCESS_KEY_ID: {access_key}\n")));
    let server: toml::Table = read("config/compose/wharfinger.toml").parse().unwrap();
    let host_keys = server["ssh"]["host_keys"]["directory"].as_str().unwrap();
    assert!(composition.contains(&format!("host-keys:{host_keys}\n")));
    let ledger = server["ledger"]["url"].as_str().unwrap().strip_prefix("sqlite:").unwrap();
    let directory = Path::new(ledger).parent().unwrap().display().to_string();
    assert!(composition.contains(&format!("ledger:{directory}\n")));
    for kept in [host_keys, &directory] {
        assert!(read("Dockerfile").contains(&format!(" {kept}")), "a volume {kept}");
    }
}
