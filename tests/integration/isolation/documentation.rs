//! Each test that docs/isolation.md names exists.
//!
//! Names are in backticks: `room::file::a_test` for a Rust test, `test_suite.Class.test_name` for one of the clients.

use crate::support::sources::sources;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Returns the repository.
fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the names of tests in a text.
fn named_tests(text: &str) -> Vec<&str> {
    let is_name = |name: &str| name.chars().all(|char| char.is_ascii_alphanumeric() || "_:.".contains(char));
    let quoted = text.split('`').skip(1).step_by(2).filter(|quoted| is_name(quoted));
    quoted.filter(|name| name.contains("::") || name.starts_with("test_")).collect()
}

/// Returns the path of the module in a file of Rust, such as `roles::open`.
fn module(file: &Path) -> String {
    let names: Vec<_> = file.with_extension("").iter().map(|name| name.to_string_lossy().into_owned()).collect();
    names.into_iter().filter(|name| name != "mod").collect::<Vec<_>>().join("::")
}

/// Returns the text of each file with Rust tests, by its module.
fn modules() -> BTreeMap<String, String> {
    let mut modules: BTreeMap<String, String> = BTreeMap::new();
    for tests in ["src", "tests/integration"] {
        let directory = root().join(tests);
        for file in sources(&directory, &["rs"]) {
            let text = fs::read_to_string(&file).unwrap();
            // `access` is in both directories.
            *modules.entry(module(file.strip_prefix(&directory).unwrap_or(&file))).or_default() += &text;
        }
    }
    modules
}

fn exists(name: &str, modules: &BTreeMap<String, String>) -> bool {
    if let Some((suite, method)) = name.split_once('.') {
        let Some((class, method)) = method.split_once('.') else { return false };
        let source = fs::read_to_string(root().join(format!("tests/clients/suites/{suite}.py"))).unwrap_or_default();
        let is_class = [":", "("].iter().any(|end| source.contains(&format!("class {class}{end}")));
        return is_class && source.contains(&format!("    def {method}(self"));
    }
    let Some((path, function)) = name.rsplit_once("::") else { return false };
    // Tests at the end of a file are in its module `tests`, and the stores' modules come from a macro.
    let files = [Some(path), path.strip_suffix("::tests")];
    let source = files.into_iter().flatten().find_map(|file| modules.get(file));
    source.is_some_and(|source| source.contains(&format!("fn {function}(")))
}

#[test]
fn every_named_test_exists() {
    let text = fs::read_to_string(root().join("docs/isolation.md")).unwrap();
    let (named, modules) = (named_tests(&text), modules());
    assert!(named.len() >= 60, "{named:?}");
    let missing: Vec<_> = named.into_iter().filter(|name| !exists(name, &modules)).collect();
    assert!(missing.is_empty(), "docs/isolation.md names tests that don't exist: {missing:#?}");
}

#[test]
fn a_test_that_does_not_exist_is_found() {
    let modules = modules();
    for (name, is_there) in [
        ("isolation::documentation::every_named_test_exists", true),
        ("name::key::tests::every_key_lies_below_its_prefix", true),
        ("test_login.Login.test_passwords", true),
        ("isolation::documentation::every_named_test_exist", false),
        ("isolation::every_named_test_exists", false),
        ("test_login.Login.test_password", false),
        ("test_login.Logins.test_passwords", false),
        ("test_logins.Login.test_passwords", false),
    ] {
        assert_eq!(exists(name, &modules), is_there, "{name}");
    }
    assert_eq!(named_tests("`a::b` and `x y::z`, `test_a.B.test_c`; `key`"), ["a::b", "test_a.B.test_c"]);
}
