//! Tenants are added and removed by one command: whole, apart from all others, and in force at once.

use super::{ALICE, ANOTHER_USER, BOB, EditedConfig, FINGERPRINT, is_root, refusal, said, tenant, untested};
use crate::reload::server::ReloadedServer;
use russh_sftp::protocol::FileAttributes;
use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    process::{Output, Stdio},
};

const ROLE: &str = "arn:aws:iam::444455556666:role/wharfinger";
const GLOBEX: &str = "tenant add globex --bucket globex-exchange --prefix sftp/ --region us-east-1";
const NOT_RUNNING: &str = "no running server answers on the control socket";

#[test]
fn one_command_makes_a_tenant_of_an_empty_directory() {
    let config = EditedConfig::new();
    fs::remove_file(config.path("tenants/acme.toml")).unwrap();
    config.write("wharfinger.toml", "");
    let output = config.run(&format!("{GLOBEX} --role-arn {ROLE} --user bob --key bob.pub --permissions read,list"));
    let [added, server, user, external_id, next] = &output.lines().collect::<Vec<_>>()[..] else { panic!("{output}") };
    let file = config.path("tenants/globex.toml");
    assert_eq!(*added, format!("the tenant globex is added: {}", file.display()));
    assert!(server.starts_with(NOT_RUNNING), "{server}");
    assert!(user.starts_with("bob is its user: ssh-ed25519 SHA256:"), "{user}");
    let external_id = external_id.strip_prefix("its external ID is ").unwrap();
    assert!(external_id.starts_with("wh-") && external_id.len() == 39, "{external_id}");
    assert!(next.starts_with("next: `wharfinger tenant policy globex` prints the role"), "{next}");
    let text = config.text("tenants/globex.toml");
    for line in [
        format!("external_id = \"{external_id}\""),
        format!("role_arn = \"{ROLE}\""),
        "expected_bucket_owner = \"444455556666\"".to_owned(),
        format!("public_keys = [\"{BOB}\"]"),
    ] {
        assert!(text.lines().any(|other| other == line), "{line}: {text}");
    }
    let checked = config.run("check --config-only");
    assert!(checked.contains("OK, 1 tenant with 1 user") && checked.trim_end().ends_with("0 warnings"), "{checked}");
    let policy = config.run("tenant policy globex --principal arn:aws:iam::111122223333:role/wharfinger-server");
    assert!(policy.contains(external_id), "{policy}");
    // The file is one for the other commands, and for an editor.
    config.run("user add globex carol --key alice.pub");
    assert!(config.run("tenant show globex").contains(FINGERPRINT));
    config.run("user remove carol");
    assert_eq!(config.text("tenants/globex.toml"), text);
    assert_eq!(config.names(), ["globex.toml"]);
}

#[test]
fn a_tenant_in_the_vendors_bucket_is_warned_of_and_has_no_user_yet() {
    let config = EditedConfig::new();
    let output = config.command(&GLOBEX.replace("sftp/", "tenants/globex/")).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let warning = said(&output);
    assert!(warning.starts_with("warning: ") && warning.contains("is jailed by this server alone"), "{warning}");
    let stdout = String::from_utf8(output.stdout).unwrap();
    let [_, _, next, then] = &stdout.lines().collect::<Vec<_>>()[..] else { panic!("{stdout}") };
    assert!(next.ends_with("prints the permissions that the server's identity needs"), "{next}");
    assert_eq!(*then, "then: `wharfinger user add globex USER --key FILE` adds its first user");
    assert!(config.run("tenant policy globex").contains("tenants/globex/*"));
}

#[test]
fn the_trust_policy_admits_the_vendors_role_instead_of_the_server() {
    let config = EditedConfig::new();
    let [server, vendor, other] =
        ["server", "tenants", "other"].map(|name| format!("arn:aws:iam::111122223333:role/{name}"));
    config.write("wharfinger.toml", &format!("server_principal = '{server}'\n"));
    config.run(&format!("{GLOBEX} --role-arn {ROLE} --user bob --key bob.pub"));
    let admitted = |options: &str| {
        let printed: serde_json::Value =
            serde_json::from_str(&config.run(format!("tenant policy globex {options}").trim())).unwrap();
        assert_eq!(printed["role"]["server_policy"]["Statement"][0]["Resource"], ROLE);
        printed["role"]["trust_policy"]["Statement"][0]["Principal"]["AWS"].as_str().unwrap().to_owned()
    };
    assert_eq!(admitted(""), server);
    let text = config.text("tenants/globex.toml");
    let chained = text.replace("default_chain = true", &format!("default_chain = true\nrole_arn = '{vendor}'"));
    config.write("tenants/globex.toml", &chained);
    assert_eq!(admitted(""), vendor);
    assert_eq!(admitted(&format!("--principal {other}")), other);
}

#[test]
fn without_a_terminal_the_missing_options_are_named_and_nothing_waits() {
    let config = EditedConfig::new();
    let all = config.refusal("tenant add globex --user bob");
    assert_eq!(
        all,
        "wharfinger: --bucket, --prefix, --region and --key are missing; on a terminal the command asks for them\n"
    );
    let one = config.refusal(&GLOBEX.replace(" --region us-east-1", ""));
    assert_eq!(one, "wharfinger: --region is missing; on a terminal the command asks for it\n");
    assert_eq!(config.names(), ["acme.toml"]);
}

#[test]
fn what_another_tenant_has_is_refused() {
    let config = EditedConfig::new();
    config.run(&format!("{GLOBEX} --role-arn {ROLE} --external-id of-globex"));
    let initech = "tenant add initech --bucket initech --prefix sftp/ --region us-east-1";
    for (words, sentence) in [
        (format!("{GLOBEX} --role-arn {ROLE}"), "there is a tenant `globex` already: "),
        (format!("{initech} --role-arn {ROLE}"), "the tenant `globex` has the role "),
        (format!("{initech} --role-arn {ROLE}2 --external-id of-globex"), "`globex` has this external ID already"),
        (
            GLOBEX.replace("add globex", "add initech").replace("sftp/", "sftp/in/"),
            "overlaps with `sftp/` of the tenant",
        ),
        (format!("{initech} --user alice --key bob.pub"), "`alice` is a user of the tenant `acme` already"),
        (format!("{initech} --tier gold"), "there is no tier `gold`"),
        (format!("{initech} --user bob --key missing.pub"), "missing.pub can't be read"),
    ] {
        let said = config.refusal(&words);
        assert!(said.contains(sentence), "{words}: {said}");
        assert_eq!(config.names(), ["acme.toml", "globex.toml"]);
    }
}

#[test]
fn of_two_operators_at_once_one_adds_the_tenant() {
    const ROUNDS: usize = 10;
    let config = EditedConfig::new();
    for round in 0..ROUNDS {
        // The same tenant, or two tenants with one prefix.
        let names = if round % 2 == 0 { ["same", "same"] } else { ["one", "another"] };
        let add = |name: &str| {
            let words = format!("tenant add {name}{round} --bucket files --prefix {round}/ --region us-east-1");
            config.command(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let outputs = names.map(add).map(|process| process.wait_with_output().unwrap());
        let refused: Vec<&Output> = outputs.iter().filter(|output| !output.status.success()).collect();
        let [refused] = refused[..] else { panic!("{outputs:?}") };
        let sentence = refusal(refused);
        assert!(sentence.contains(" already: ") || sentence.contains(" overlaps with "), "{sentence}");
    }
    assert_eq!(config.names().len(), ROUNDS + 1);
    config.run("check --config-only");
}

#[test]
fn a_new_file_belongs_to_the_user_of_the_servers_file() {
    if !is_root() {
        return untested("the owner of a new file, because only root can give files away");
    }
    let config = EditedConfig::new();
    let facts = |name: &str| {
        let metadata = fs::metadata(config.path(name)).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777)
    };
    config.chmod("wharfinger.toml", 0o640);
    chown(config.path("wharfinger.toml"), Some(ANOTHER_USER), Some(ANOTHER_USER + 1)).unwrap();
    config.run(GLOBEX);
    assert_eq!(facts("tenants/globex.toml"), (ANOTHER_USER, ANOTHER_USER + 1, 0o640));
    // Another user can't give files away.
    chown(config.path("tenants"), Some(ANOTHER_USER), None).unwrap();
    chown(config.path("tenants/acme.toml"), Some(ANOTHER_USER), None).unwrap();
    fs::remove_file(config.path("tenants/.wharfinger.lock")).unwrap();
    chown(config.path("wharfinger.toml"), Some(0), Some(ANOTHER_USER)).unwrap();
    let initech = "tenant add initech --bucket initech --prefix sftp/ --region us-east-1";
    let by_another = |words: &str| config.command(words).uid(ANOTHER_USER).gid(ANOTHER_USER).output().unwrap();
    assert!(by_another(initech).status.success());
    assert_eq!(facts("tenants/initech.toml"), (ANOTHER_USER, ANOTHER_USER, 0o640), "the server's group may read it");
    config.chmod("wharfinger.toml", 0o604);
    chown(config.path("wharfinger.toml"), Some(0), Some(0)).unwrap();
    assert!(by_another(&initech.replace("initech", "umbrella")).status.success());
    assert_eq!(facts("tenants/umbrella.toml"), (ANOTHER_USER, ANOTHER_USER, 0o604), "everyone may read it");
}

/// No file may grow, as on a full disk.
#[test]
fn a_full_disk_leaves_no_part_of_a_new_file() {
    let config = EditedConfig::new();
    let mut shell = std::process::Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {} {GLOBEX} --config \"$0\"", super::BINARY);
    let output = shell.args(["-c", &script]).arg(config.path("wharfinger.toml")).stdin(Stdio::null()).output().unwrap();
    let sentence = refusal(&output);
    assert!(
        sentence
            .ends_with("globex.toml isn't changed: its new version can't be written: File too large (os error 27)\n")
    );
    assert_eq!(config.names(), ["acme.toml"]);
}

/// The words of the command that adds the tenant `globex` to the demo's bucket.
fn addition(site: &ReloadedServer, user: &str) -> Vec<String> {
    let words = "tenant add globex --bucket wharfinger-demo --prefix tenants/globex/ --region us-east-1 --path-style \
                 --access-key-id demo --secret-access-key-file ../secret";
    let mut words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
    words.extend(["--endpoint".to_owned(), site.endpoint(), "--user".to_owned(), user.to_owned()]);
    words.extend(["--key".to_owned(), site.key_file().display().to_string()]);
    words
}

fn run(site: &ReloadedServer, words: &[String]) -> (bool, String) {
    site.command(&words.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_server_serves_a_new_tenant_at_once() {
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.start();
    let alice = site.login("alice").await;
    assert!(!site.is_let_in("bob").await);
    let (is_success, output) = run(&site, &addition(&site, "bob"));
    assert!(is_success && output.contains("\nthe server has taken the change\n"), "{output}");
    let bob = site.login("bob").await;
    bob.mkdir("/reports", FileAttributes::empty()).await.unwrap();
    assert!(bob.stat("/reports").await.unwrap().attrs.is_dir());
    alice.stat("/").await.unwrap();
    let reloaded = site.config_reloaded(1);
    assert!(reloaded.contains("tenants_added=\"globex\"") && reloaded.contains("ended_sessions=0"), "{reloaded}");
}

/// The server still serves the former version of a broken file, of which the command can't know.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_the_running_server_refuses_leaves_no_file() {
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.start();
    site.write("tenants/acme.toml", "name = 'acme");
    let (is_success, output) = run(&site, &addition(&site, "alice"));
    assert!(!is_success, "{output}");
    assert!(output.contains("`alice` is taken at "), "{output}");
    let file = site.path("tenants/globex.toml");
    let sentence = format!("the server didn't take the new file {}, so that it is removed again\n", file.display());
    assert!(output.ends_with(&sentence) && !output.contains("is added"), "{output}");
    assert!(!file.exists());
    drop(site.login("alice").await);
}

#[test]
fn a_removed_tenant_leaves_what_the_command_says() {
    let config = EditedConfig::new();
    config.write("tenants/acme.keys", ALICE);
    config.write("tenants/shared.keys", BOB);
    for name in ["acme", "globex"] {
        let text = tenant(name, &format!("{name}-user"), ALICE);
        let names = |file: &str| format!("[[users]]\nname = '{name}-{file}'\npublic_keys_file = '{file}.keys'\n");
        let own = if name == "acme" { names("acme") } else { String::new() };
        let role = format!("assume_role = {{ role_arn = '{ROLE}-{name}', external_id = 'of-{name}' }}\n");
        let text = text.replace("credentials.", &format!("{role}credentials.")) + &own + &names("shared");
        config.write(&format!("tenants/{name}.toml"), &text);
    }
    let refused = config.refusal("tenant remove acme");
    assert!(refused.starts_with("wharfinger: a removal takes --yes, because there is no terminal"), "{refused}");
    assert!(config.path("tenants/acme.toml").exists());
    let output = config.run("tenant remove acme --yes");
    let lines: Vec<&str> = output.lines().collect();
    let [removed, server, objects, uploads, role, own, shared] = lines[..] else { panic!("{output}") };
    let path = |name: &str| config.path(name).canonicalize().unwrap().display().to_string();
    assert_eq!(removed, format!("the tenant acme is removed: {}", config.path("tenants/acme.toml").display()));
    assert!(server.starts_with(NOT_RUNNING), "{server}");
    assert_eq!(objects, "its objects stay: s3://files/acme/");
    assert!(uploads.starts_with("parts of its interrupted uploads stay"), "{uploads}");
    assert!(role.contains("the external ID of-acme") && role.ends_with(&format!("{ROLE}-acme")), "{role}");
    assert_eq!(own, format!("files that it named stay: {}", path("tenants/acme.keys")));
    assert_eq!(shared, format!("files that it named stay, and others name them too: {}", path("tenants/shared.keys")));
    assert_eq!(config.names(), ["acme.keys", "globex.toml", "shared.keys"]);
    assert_eq!(config.refusal("tenant remove acme --yes"), "wharfinger: there is no tenant `acme`\n");
    config.write("tenants/globex.toml", "name = ");
    let broken = config.run("tenant remove globex --yes");
    assert!(broken.contains("its objects stay, in a bucket that isn't known"), "{broken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_running_server_lets_users_of_a_removed_tenant_finish() {
    let mut site = ReloadedServer::new("reload_grace = '1s'").await;
    site.write_tenant("acme", &["alice"]);
    site.write_tenant("globex", &["bob"]);
    site.start();
    let (alice, bob) = (site.login("alice").await, site.login("bob").await);
    bob.mkdir("/reports", FileAttributes::empty()).await.unwrap();
    let (is_success, output) = site.command(&["tenant", "remove", "globex", "--yes"]);
    assert!(is_success && output.contains("\nthe server has taken the change\n"), "{output}");
    let objects = format!("\nits objects stay: s3://wharfinger-demo/tenants/globex/ at {}\n", site.endpoint());
    assert!(output.contains(&objects), "{output}");
    assert!(!site.is_let_in("bob").await);
    let refused = bob.stat("/").await.unwrap_err().to_string();
    assert!(refused.contains("the server is ending this session: the user was removed"), "{refused}");
    alice.stat("/").await.unwrap();
    let reloaded = site.config_reloaded(1);
    assert!(reloaded.contains("tenants_removed=\"globex\"") && reloaded.contains("ended_sessions=1"), "{reloaded}");
    // The tenant comes back with its files.
    site.write_tenant("globex", &["bob"]);
    site.reload(2);
    assert!(site.login("bob").await.stat("/reports").await.unwrap().attrs.is_dir());
}

/// A server must not lose most of many tenants unasked.
#[tokio::test(flavor = "multi_thread")]
async fn a_removal_that_the_running_server_refuses_brings_the_file_back() {
    let mut site = ReloadedServer::new("").await;
    let names: Vec<String> = (0..10).map(|number| format!("tenant{number}")).collect();
    for name in &names {
        site.write_tenant(name, &[name]);
    }
    site.start();
    for name in &names[..5] {
        fs::remove_file(site.path(&format!("tenants/{name}.toml"))).unwrap();
    }
    let path = site.path("tenants/tenant9.toml");
    let former = fs::metadata(&path).unwrap().ino();
    let (is_success, output) = site.command(&["tenant", "remove", "tenant9", "--yes"]);
    assert!(!is_success && output.contains("6 of 10 tenants have no file any more"), "{output}");
    assert!(output.ends_with("the server didn't take the change, so that the former version is back\n"), "{output}");
    assert_eq!(fs::metadata(&path).unwrap().ino(), former);
    drop(site.login("tenant9").await);
}
