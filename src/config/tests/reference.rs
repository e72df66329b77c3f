//! The reference config contains every key, and the true defaults.

use super::{super::ConfigReading, Files};
use crate::config::load;
use std::{fs, path::Path};
use toml::de::{DeTable, DeValue};

const FILES: [&str; 4] = ["wharfinger.toml", "tiers.toml", "tenants/acme.toml", "tenants/globex.toml"];

fn reference(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(file)).unwrap()
}

/// Returns the setting of a line `#key = value`, which states a default.
fn default(line: &str) -> Option<&str> {
    line.strip_prefix('#').filter(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '['))
}

/// Returns the setting of a line `#   key = value`, which is an example.
fn example(line: &str) -> Option<&str> {
    line.strip_prefix("#   ").filter(|rest| rest.contains(" = "))
}

fn uncommented(file: &str, comment: impl Fn(&str) -> Option<&str>) -> String {
    reference(file).lines().map(|line| comment(line).unwrap_or(line).to_owned() + "\n").collect()
}

/// Returns the reference files with some of their comments turned into settings.
fn files(comment: impl Fn(&str) -> Option<&str> + Copy) -> Files {
    let [server, tenants @ ..] = FILES;
    let files = Files::new(&uncommented(server, comment));
    tenants.into_iter().fold(files, |files, tenant| files.with(tenant, &uncommented(tenant, comment)))
}

#[test]
fn it_is_right_as_it_stands() {
    let loaded = load(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/wharfinger.toml")).unwrap();
    assert_eq!(loaded.config.tenants.len(), 2);
}

#[test]
fn a_tenant_can_have_each_of_its_tiers() {
    for (tier, zero_bytes) in [("trial", 1), ("business", 50), ("enterprise", 500)] {
        let tenant = reference("tenants/acme.toml").replace("#   tier = \"business\"", &format!("tier = '{tier}'"));
        let files = files(|_| None).with("tenants/acme.toml", &tenant);
        let tenants = files.load().unwrap().config.tenants;
        assert_eq!(tenants[0].tenant.daily_limits.zero_bytes, Some(zero_bytes << 30), "{tier}");
    }
}

#[test]
fn commented_defaults_are_the_defaults() {
    let (plain, spelled) = (files(|_| None), files(default));
    let config = |files: &Files| {
        let directory = files.0.path().to_str().unwrap();
        format!("{:#?}", files.load().unwrap().config).replace(directory, "")
    };
    assert_eq!(config(&plain), config(&spelled));
}

#[test]
fn every_known_key_is_in_it_and_no_other() {
    let files = files(|_| None);
    let asked = ConfigReading::of(&files.path("wharfinger.toml")).asked();
    let mut said = std::collections::BTreeSet::new();
    for file in FILES {
        let text = uncommented(file, |line| default(line).or(example(line)));
        let table = DeTable::parse(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        collect(table.get_ref(), "", &mut said);
    }
    assert_eq!(asked, said);
}

/// Collects the dotted path of every key and table.
fn collect(table: &DeTable<'_>, path: &str, said: &mut std::collections::BTreeSet<String>) {
    for (key, value) in table {
        let path = if path.is_empty() { key.get_ref().to_string() } else { format!("{path}.{}", key.get_ref()) };
        match value.get_ref() {
            DeValue::Table(table) => collect(table, &path, said),
            DeValue::Array(array) => {
                array.iter().filter_map(|e| e.get_ref().as_table()).for_each(|t| collect(t, &path, said));
            }
            _ => {}
        }
        said.insert(path);
    }
}
