//! Imports into configs on disk.

use super::*;
use crate::onboarding::{ExportFile, transfer_family};
use std::{cell::RefCell, fs, io, path::PathBuf};

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX bob";

/// Returns a plan for users: name, role, and the target of the mapping of `/`.
fn plan(users: &[[&str; 3]]) -> ImportPlan {
    let documents = users.iter().map(|[name, role, target]| {
        format!(
            r#"{{"User": {{"UserName": "{name}", "Role": "arn:aws:iam::444455556666:role/{role}",
                "Arn": "arn:aws:transfer:eu-west-1:444455556666:user/s-01234567890abcdef/{name}",
                "HomeDirectoryType": "LOGICAL",
                "HomeDirectoryMappings": [{{"Entry": "/", "Target": "{target}"}}],
                "SshPublicKeys": [{{"SshPublicKeyBody": "{KEY}"}}]}}}}"#
        )
    });
    let file = ExportFile { name: "export.json".to_owned(), text: documents.collect() };
    transfer_family(&[file], None).unwrap()
}

/// The directory of a config without tenants.
struct EmptyConfig(tempfile::TempDir);

impl EmptyConfig {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("tenants")).unwrap();
        let socket = directory.path().join("control.sock");
        let text = format!("control_socket = {:?}\n", socket.to_str().unwrap());
        fs::write(directory.path().join("wharfinger.toml"), text).unwrap();
        Self(directory)
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("wharfinger.toml")
    }

    /// Compares the first tenant of the plan with the one that exists.
    fn compare(&self, plan: &ImportPlan) -> Present {
        let editor = Editor::lock(&self.file()).unwrap();
        let new = new_tenant(&plan.tenants[0]).unwrap();
        Present::of(&new, editor.tenant(&new.name).unwrap().unwrap())
    }

    /// True if all users are in files afterwards, or would be.
    fn import(&self, plan: &ImportPlan, dry_run: bool) -> bool {
        import(&self.0.path().join("wharfinger.toml"), plan, dry_run).unwrap() == ExitCode::SUCCESS
    }

    /// Returns the text of a tenant's file, or an empty one.
    fn text(&self, tenant: &str) -> String {
        fs::read_to_string(self.0.path().join(format!("tenants/{tenant}.toml"))).unwrap_or_default()
    }
}

#[test]
fn tenants_are_added_once_and_one_that_is_refused_leaves_the_others() {
    let config = EmptyConfig::new();
    let first = plan(&[["bob", "sftp", "/acme/in/bob"], ["ann", "sftp", "/acme/in/ann"]]);
    assert!(config.import(&first, true));
    assert_eq!(config.text("acme"), "");
    assert!(config.import(&first, false));
    let text = config.text("acme");
    assert!(text.contains("prefix = \"in/\"") && text.contains("{ entry = \"/\", prefix = \"ann/\" }"), "{text}");
    // Again, with a change that must not reach the file.
    assert!(config.import(&plan(&[["bob", "sftp", "/acme/in/elsewhere"]]), false));
    assert_eq!(config.text("acme"), text);
    // The first of these overlaps with the tenant, the second has its user, and the third has nothing of it.
    let others = plan(&[
        ["eve", "eve", "/acme/in/bob/deep"],
        ["cat", "cat", "/acme/cat"],
        ["bob", "other", "/globex/bob"],
        ["dan", "dan", "/initech/dan"],
    ]);
    assert!(!config.import(&others, false));
    assert_eq!(
        ["eve", "cat", "globex", "initech"].map(|name| config.text(name).is_empty()),
        [true, false, true, false]
    );
}

#[test]
fn a_user_that_the_file_of_its_tenant_lacks_is_a_failure() {
    let config = EmptyConfig::new();
    assert!(config.import(&plan(&[["bob", "sftp", "/acme/in/bob"]]), false));
    let text = config.text("acme");
    let whole = plan(&[["bob", "sftp", "/acme/in/bob"], ["ann", "sftp", "/acme/in/ann"]]);
    for dry_run in [true, false] {
        assert!(!config.import(&whole, dry_run));
        assert_eq!(config.text("acme"), text);
    }
    let Present::Same { missing, outside, changes } = config.compare(&whole) else { panic!() };
    // The file's prefix is `in/bob/`, so that no mount of its users can be ann's.
    assert_eq!((missing.len(), outside, changes.len()), (0, vec!["ann".parse().unwrap()], 0));
}

#[test]
fn tables_to_add_are_relative_to_the_prefix_of_the_file() {
    let config = EmptyConfig::new();
    assert!(config.import(&plan(&[["bob", "sftp", "/acme/in/bob"], ["cat", "sftp", "/acme/in/cat"]]), false));
    assert!(config.text("acme").contains("prefix = \"in/\""));
    let wider = ["eve", "sftp", "/acme/eve"];
    for (users, wanted, others) in [
        // The prefixes of these plans are `in/ann/`, `in/` and the whole bucket.
        (vec![["ann", "sftp", "/acme/in/ann"]], "prefix = \"ann/\" }", 0),
        (vec![["ann", "sftp", "/acme/in/ann"], ["bob", "sftp", "/acme/in/bob"]], "prefix = \"ann/\" }", 0),
        (vec![["ann", "sftp", "/acme/in/ann/deep"], wider], "prefix = \"ann/deep/\" }", 1),
    ] {
        let Present::Same { missing, outside, .. } = config.compare(&plan(&users)) else { panic!() };
        let text = NewTenant::users_text(&missing).unwrap();
        assert!(text.contains("name = \"ann\"") && text.contains(wanted), "{text}");
        assert_eq!((missing.len(), outside.len()), (1, others));
    }
}

#[test]
fn a_tenant_of_the_same_name_with_another_bucket_or_identity_is_another_tenant() {
    let config = EmptyConfig::new();
    assert!(config.import(&plan(&[["bob", "sftp", "/acme/in/bob"]]), false));
    let different = |users: &[[&str; 3]]| match config.compare(&plan(users)) {
        Present::Other(differences) => differences,
        Present::Same { .. } => Vec::new(),
    };
    let other_role = [["bob", "other", "/acme/in/bob"]];
    assert_eq!(different(&[["bob", "sftp", "/acme/in/bob"]]), [""; 0]);
    assert_eq!(different(&other_role), ["role"]);
    // The user is in a file, but not in one of its tenant.
    assert!(!config.import(&plan(&other_role), false));
    let path = config.0.path().join("tenants/acme.toml");
    let text = config.text("acme").replace("bucket = \"acme\"", "bucket = \"globex\"");
    fs::write(&path, text).unwrap();
    assert_eq!(different(&[["bob", "sftp", "/acme/in/bob"]]), ["bucket or endpoint"]);
    fs::write(&path, "name = ").unwrap();
    assert!(!config.import(&plan(&[["bob", "sftp", "/acme/in/bob"]]), true), "the file can't be compared");
}

#[test]
fn users_that_the_file_has_in_another_way_are_named() {
    let config = EmptyConfig::new();
    let bob = plan(&[["bob", "sftp", "/acme/in/bob"]]);
    assert!(config.import(&bob, false));
    let text = config.text("acme").replace("name = \"bob\"\n", "name = \"bob\"\nenabled = false\n");
    let other_key = KEY.replace("X bob", "Y bob");
    fs::write(config.0.path().join("tenants/acme.toml"), text.replace(KEY, &other_key)).unwrap();
    let Present::Same { changes, .. } = config.compare(&bob) else { panic!() };
    assert_eq!(
        changes,
        [
            "an import would give `bob` other public keys, and enabled where the file has disabled; the file stays as it is"
        ]
    );
    assert!(config.import(&bob, false), "the user is in a file");
}

#[test]
fn users_without_a_tenant_are_a_failure() {
    let config = EmptyConfig::new();
    let bob = ImportPlan { left_out: 1, ..plan(&[["bob", "sftp", "/acme/in/bob"]]) };
    assert!(!config.import(&bob, false));
    assert_ne!(config.text("acme"), "");
}

#[test]
fn users_are_counted_when_the_rest_can_not_be_written() {
    let users = [["ann", "a", "/acme/ann"], ["bob", "b", "/globex/bob"], ["cat", "c", "/initech/cat"]];
    let new: Vec<_> = plan(&users).tenants.iter().map(|tenant| new_tenant(tenant).unwrap()).collect();
    let count = |fail: &dyn Fn() -> EditError| {
        let (mut left_out, written) = (LeftOut(0), RefCell::new(Vec::new()));
        write_all(&new, &mut left_out, &|tenant| {
            written.borrow_mut().push(tenant.name.to_string());
            if tenant.name.as_str() == "globex" { Err(fail()) } else { Ok(Vec::new()) }
        });
        (left_out.0, written.into_inner().len())
    };
    let locked = || EditError::Lock { directory: PathBuf::new(), error: io::ErrorKind::PermissionDenied.into() };
    assert_eq!(count(&locked), (2, 2), "bob and cat");
    assert_eq!(count(&|| EditError::Config { problems: Vec::new() }), (2, 2));
    assert_eq!(count(&|| EditError::PutBack { reasons: Vec::new() }), (1, 3), "bob alone");
}

#[test]
fn a_dry_run_hides_hashes() {
    let mut new = new_tenant(&plan(&[["bob", "sftp", "/acme/in/bob"]]).tenants[0]).unwrap();
    new.users[0].password_hash = Some("$argon2id$v=19$secret".to_owned());
    let text = NewTenant::users_text(&masked(&new.users)).unwrap();
    assert!(text.contains(HIDDEN) && !text.contains("argon2id"), "{text}");
}

#[test]
fn of_new_tenants_in_conflict_the_first_is_imported() {
    let users = [
        ["ann", "sftp", "/acme/ann"],
        // The role of the former in another bucket.
        ["bob", "sftp", "/globex/bob"],
        ["cat", "cat", "/initech/in/cat"],
        // Below the prefix of the former.
        ["dan", "dan", "/initech/in/cat/dan"],
    ];
    let config = EmptyConfig::new();
    for dry_run in [true, false] {
        assert!(!config.import(&plan(&users), dry_run));
        let exist = ["acme", "globex", "cat", "dan"].map(|name| !config.text(name).is_empty());
        assert_eq!(exist, [!dry_run, false, !dry_run, false]);
    }
}
