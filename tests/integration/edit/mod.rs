//! Users and tenants are edited by command: nothing of a file is lost, and each refusal is a sentence.

mod tenants;

use rustix::{
    fs::{XattrFlags, getxattr, setxattr},
    io::Errno,
};
use std::{
    fs,
    io::{self, Write as _},
    os::unix::{
        fs::{MetadataExt as _, PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_wharfinger");

const ALICE: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX alice@laptop";
const BOB: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ bob@desk";
const FINGERPRINT: &str = "SHA256:nt9c+w/YF+8I+tS79YGfyc8H28N8HUanRYmexo0DE5Y";

/// A user that root can run a command as.
const ANOTHER_USER: u32 = 12_345;

/// A directory with a config of one tenant, `acme`, with one user, `alice`.
struct EditedConfig(TempDir);

impl EditedConfig {
    fn new() -> Self {
        let config = Self(tempfile::tempdir().unwrap());
        fs::create_dir(config.path("tenants")).unwrap();
        config.chmod("", 0o755);
        config.chmod("tenants", 0o755);
        config.write("wharfinger.toml", "# The server\n");
        config.write("tenants/acme.toml", &tenant("acme", "alice", ALICE));
        config.write("alice.pub", &format!("{ALICE}\n"));
        config.write("bob.pub", &format!("# of bob\n{BOB}\n"));
        config
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o644);
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Returns a command. Words that end in `.pub` are files of this directory.
    fn command(&self, words: &str) -> Command {
        let mut command = Command::new(BINARY);
        for word in words.split(' ') {
            if word.contains(".pub") {
                command.arg(self.path(word))
            } else {
                command.arg(word)
            };
        }
        command.arg("--config").arg(self.path("wharfinger.toml")).stdin(Stdio::null());
        command
    }

    /// Runs a command that succeeds. Returns its output.
    fn run(&self, words: &str) -> String {
        let output = self.command(words).output().unwrap();
        assert!(output.status.success(), "{words}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refusal(&self, words: &str) -> String {
        refusal(&self.command(words).output().unwrap())
    }

    /// Returns the names in the tenants' directory, without the lock.
    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(self.path("tenants")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != ".wharfinger.lock").collect();
        names.sort();
        names
    }
}

fn tenant(name: &str, user: &str, key: &str) -> String {
    format!(
        "name = '{name}' # the file's\n\n# Where\n[storage]\nbucket = 'files'\nprefix = '{name}/'\n\
         region = 'eu-central-1'\ncredentials.default_chain = true\n\n# The first user\n[[users]]\nname = '{user}'\n\
         public_keys = [\n    '{key}', # a laptop\n]\n# The end\n"
    )
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Returns what a command said that refused.
fn refusal(output: &Output) -> String {
    let said = said(output);
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{said}");
    said
}

/// Says aloud that something isn't tested.
fn untested(what: &str) {
    // Written directly, because the test harness captures `eprintln!`.
    io::stderr().write_all(format!("not tested: {what}\n").as_bytes()).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_user_comes_changes_and_goes_and_the_file_is_as_before() {
    let config = EditedConfig::new();
    let former = config.text("tenants/acme.toml");
    let answer = config.run("user add acme bob --key bob.pub --permissions read,list --landing /in");
    let [first, second] = &answer.lines().collect::<Vec<_>>()[..] else { panic!("{answer}") };
    assert!(first.starts_with("bob is a user of the tenant acme: ssh-ed25519 SHA256:"), "{first}");
    assert_eq!(
        *second,
        "no running server answers on the control socket: the change holds from its next start or reload; a server \
         that runs without this socket takes it over at SIGHUP"
    );
    let bob = format!(
        "\n[[users]]\nname = \"bob\"\npublic_keys = [\"{BOB}\"]\npermissions = [\"read\", \"list\"]\n\
         landing = \"/in\"\n"
    );
    assert_eq!(config.text("tenants/acme.toml"), format!("{former}{bob}"));
    config.run("user disable bob");
    assert_eq!(config.text("tenants/acme.toml"), format!("{former}{bob}enabled = false\n"));
    let again = config.run("user disable bob");
    assert_eq!(again, "bob is disabled already\nnothing was changed\n");
    config.run("user enable bob");
    let added = config.run("user key add bob alice.pub");
    assert!(added.contains(FINGERPRINT), "{added}");
    config.run("user key remove bob bob@desk");
    let removed = config.refusal(&format!("user key remove bob {FINGERPRINT}"));
    assert!(removed.contains("could not log in without this key"), "{removed}");
    assert!(config.text("tenants/acme.toml").contains(&format!("name = \"bob\"\npublic_keys = [\"{ALICE}\"]")));
    config.run("user remove bob");
    assert_eq!(config.text("tenants/acme.toml").trim_end(), former.trim_end());
    config.run("tenant disable acme");
    config.run("tenant enable acme");
    assert_eq!(config.text("tenants/acme.toml").trim_end(), former.trim_end());
    assert_eq!(config.names(), ["acme.toml"]);
}

#[test]
fn a_password_comes_from_stdin_and_a_key_too() {
    let config = EditedConfig::new();
    let with_input = |words: &str, input: &str| {
        let mut command = config.command(words);
        let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = pipes.spawn().unwrap();
        process.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        process.wait_with_output().unwrap()
    };
    assert!(with_input("user password alice", "correct horse\n").status.success());
    let text = config.text("tenants/acme.toml");
    assert!(text.contains("]\npassword_hash = \"$argon2id$v=19$") && !text.contains("horse"), "{text}");
    assert!(with_input("user key add alice -", &format!("{BOB}\n")).status.success());
    assert!(with_input("user add acme carol --password", "another one").status.success());
    assert!(refusal(&with_input("user password alice", "")).contains("empty"));
    assert!(refusal(&with_input("user key add alice -", "# none\n")).contains("- holds no public key"));
    let both = refusal(&with_input("user add acme dave --password --key -", ""));
    assert!(both.contains("stdin can't be read for more than one of keys and password"), "{both}");
    let shown = config.run("tenant show acme");
    assert!(shown.contains("password  set") && shown.contains(FINGERPRINT) && !shown.contains("argon2"), "{shown}");
}

#[test]
fn tenants_are_listed_and_shown_without_control_characters() {
    let config = EditedConfig::new();
    config
        .write("tenants/globex.toml", &tenant("globex", "bob", &BOB.replace("bob@", "\u{1b}[2J")).replace('\'', "\""));
    config.write("tenants/globex.toml", &config.text("tenants/globex.toml").replace('\u{1b}', "\\u001b"));
    config.write("tenants/initech.toml", "name = ");
    config.run("user disable alice");
    config.run("tenant disable globex");
    let output = config.command("tenant list").output().unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "TENANT   STATE     USERS  BUCKET  PREFIX\nacme     enabled   1      files   acme/\n\
         globex   disabled  1      files   globex/\ninitech  broken    0      -       -\n"
    );
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "problems in the files of 1: `wharfinger check` prints them\n"
    );
    let json: serde_json::Value = serde_json::from_str(&config.run("tenant list --json")).unwrap();
    assert_eq!(
        (&json[1]["name"], &json[1]["enabled"], &json[2]["enabled"]),
        (&"globex".into(), &false.into(), &().into())
    );
    assert!(json[2]["problems"][0].as_str().unwrap().contains("initech.toml:1: isn't TOML"));
    let shown = config.run("tenant show globex");
    assert!(shown.contains("\\u{1b}[2Jdesk") && !shown.contains('\u{1b}'), "{shown}");
    let json = config.run("tenant show globex --json");
    assert!(!json.contains('\u{1b}'), "{json}");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["users"][0]["keys"][0]["comment"], "\u{1b}[2Jdesk");
    assert_eq!(json["users"][0]["mounts"][0]["prefix"], "globex/");
    assert_eq!(config.refusal("tenant show nobody"), "wharfinger: there is no tenant `nobody`\n");
    assert!(config.refusal("tenant show initech").contains("initech.toml has a problem already"));
}

#[test]
fn two_operators_at_once_lose_nothing() {
    const ROUNDS: usize = 20;
    let config = EditedConfig::new();
    for round in 0..ROUNDS {
        let add = |side: &str| {
            let words = format!("user add acme {side}{round} --key bob.pub");
            config.command(&words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
        };
        for process in ["one", "two"].map(add) {
            let output = process.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", said(&output));
        }
    }
    let text = config.text("tenants/acme.toml");
    for side in ["one", "two"] {
        assert_eq!((0..ROUNDS).filter(|round| text.contains(&format!("name = \"{side}{round}\""))).count(), ROUNDS);
    }
    assert_eq!(config.names(), ["acme.toml"]);
}

/// A server, and other programs, read the file at any time.
#[test]
fn readers_see_whole_files_alone() {
    let config = EditedConfig::new();
    let path = config.path("tenants/acme.toml");
    thread::scope(|scope| {
        let edits = scope.spawn(|| {
            for number in 0..10 {
                config.run(&format!("user add acme user{number} --key bob.pub"));
            }
        });
        while !edits.is_finished() {
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.starts_with("name = 'acme'") && text.ends_with('\n'), "{text}");
            toml::from_str::<toml::Table>(&text).unwrap();
        }
    });
}

#[test]
fn of_a_link_the_target_is_edited() {
    let config = EditedConfig::new();
    fs::create_dir(config.path("elsewhere")).unwrap();
    fs::rename(config.path("tenants/acme.toml"), config.path("elsewhere/acme.toml")).unwrap();
    symlink("../elsewhere/acme.toml", config.path("tenants/acme.toml")).unwrap();
    config.run("user disable alice");
    assert_eq!(fs::read_link(config.path("tenants/acme.toml")).unwrap(), Path::new("../elsewhere/acme.toml"));
    assert!(fs::symlink_metadata(config.path("elsewhere/acme.toml")).unwrap().is_file());
    assert!(config.text("elsewhere/acme.toml").contains("enabled = false"));
}

#[test]
fn a_file_with_another_name_is_not_changed_under_one_of_them() {
    let config = EditedConfig::new();
    let former = config.text("tenants/acme.toml");
    fs::hard_link(config.path("tenants/acme.toml"), config.path("acme.toml")).unwrap();
    let sentence = config.refusal("user disable alice");
    assert!(sentence.contains("acme.toml isn't changed: it has 2 hard links"), "{sentence}");
    assert_eq!((config.text("tenants/acme.toml"), config.text("acme.toml")), (former.clone(), former));
    assert_eq!(config.names(), ["acme.toml"]);
    fs::remove_file(config.path("acme.toml")).unwrap();
    config.run("user disable alice");
}

/// Kubernetes mounts a ConfigMap so: it swaps `..data`, and the files are links through it.
#[test]
fn links_through_a_linked_directory_stay() {
    let config = EditedConfig::new();
    fs::create_dir(config.path("tenants/..2026_11_30")).unwrap();
    fs::rename(config.path("tenants/acme.toml"), config.path("tenants/..2026_11_30/acme.toml")).unwrap();
    symlink("..2026_11_30", config.path("tenants/..data")).unwrap();
    symlink("..data/acme.toml", config.path("tenants/acme.toml")).unwrap();
    config.run("user add acme bob --key bob.pub");
    for (link, target) in [("..data", "..2026_11_30"), ("acme.toml", "..data/acme.toml")] {
        assert_eq!(fs::read_link(config.path("tenants").join(link)).unwrap(), Path::new(target));
    }
    let target = config.path("tenants/..2026_11_30");
    assert!(fs::read_to_string(target.join("acme.toml")).unwrap().contains("name = \"bob\""));
    assert_eq!(fs::read_dir(target).unwrap().count(), 1, "no file of the edit is left");
}

#[test]
fn a_directory_that_takes_no_file_changes_nothing() {
    let config = EditedConfig::new();
    let former = config.text("tenants/acme.toml");
    let disable = |config: &EditedConfig| {
        let mut command = config.command("user disable alice");
        if is_root() {
            command.uid(ANOTHER_USER).gid(ANOTHER_USER);
        }
        refusal(&command.output().unwrap())
    };
    if !is_root() {
        config.chmod("tenants", 0o555);
    }
    let sentence = disable(&config);
    assert!(
        sentence.contains("tenants can't be locked: Permission denied (os error 13); nothing was changed"),
        "{sentence}"
    );
    assert_eq!(sentence.lines().count(), 1, "{sentence}");
    config.chmod("tenants", 0o755);
    assert_eq!((config.text("tenants/acme.toml"), config.names()), (former, vec!["acme.toml".to_owned()]));
}

/// Runs in its own mount namespace, if the system allows one.
#[test]
fn a_read_only_mount_changes_nothing() {
    let config = EditedConfig::new();
    config.run("user disable alice");
    let former = config.text("tenants/acme.toml");
    let mounted = |then: &str| {
        let script = format!("mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && {then}");
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(config.path("tenants")).output()
    };
    if !mounted("true").is_ok_and(|output| output.status.success()) {
        return untested("an edit on a read-only mount, because `unshare` isn't allowed here");
    }
    let file = config.path("wharfinger.toml");
    let sentence = refusal(&mounted(&format!("{BINARY} user enable alice --config {}", file.display())).unwrap());
    assert!(
        sentence.contains("can't be locked: Read-only file system (os error 30); nothing was changed"),
        "{sentence}"
    );
    assert_eq!(config.text("tenants/acme.toml"), former);
}

/// No file may grow, as on a full disk.
#[test]
fn a_full_disk_changes_nothing() {
    let config = EditedConfig::new();
    let former = config.text("tenants/acme.toml");
    let mut shell = Command::new("sh");
    let script = format!("trap '' XFSZ; ulimit -f 0; exec {BINARY} user disable alice --config \"$0\"");
    let output = shell.args(["-c", &script]).arg(config.path("wharfinger.toml")).stdin(Stdio::null()).output().unwrap();
    let sentence = refusal(&output);
    let wanted = "acme.toml isn't changed: its new version can't be written: File too large (os error 27)\n";
    assert!(sentence.ends_with(wanted) && sentence.lines().count() == 1, "{sentence}");
    assert_eq!((config.text("tenants/acme.toml"), config.names()), (former, vec!["acme.toml".to_owned()]));
}

#[test]
fn a_file_that_an_editor_holds_half_written_is_left_alone() {
    let config = EditedConfig::new();
    let whole = config.text("tenants/acme.toml");
    let half = &whole[..whole.len() - 30];
    config.write("tenants/acme.toml", half);
    let sentence = config.refusal("user add acme bob --key bob.pub");
    assert!(sentence.contains("acme.toml:") && sentence.contains("isn't TOML"), "{sentence}");
    assert!(sentence.ends_with("acme.toml has a problem already: nothing was changed\n"), "{sentence}");
    let sentence = config.refusal("user disable alice");
    assert!(sentence.contains("isn't TOML") && sentence.ends_with("no tenant has a user `alice`\n"), "{sentence}");
    assert_eq!(config.text("tenants/acme.toml"), half);
    config.write("tenants/globex.toml", &tenant("globex", "carol", BOB));
    config.run("user disable carol");
    assert!(config.text("tenants/globex.toml").contains("enabled = false"), "the other file blocks nothing");
}

/// Returns the ACL `user::rw-, user:4711:r--, group::r--, mask::r--, other::---` as Linux stores it.
fn acl() -> Vec<u8> {
    let entry = |tag: u16, permissions: u16, id: u32| {
        [&tag.to_le_bytes()[..], &permissions.to_le_bytes()[..], &id.to_le_bytes()[..]].concat()
    };
    let none = u32::MAX;
    let entries = [entry(1, 6, none), entry(2, 4, 4711), entry(4, 4, none), entry(16, 4, none), entry(32, 0, none)];
    [&2_u32.to_le_bytes()[..], &entries.concat()[..]].concat()
}

fn attribute(path: &Path, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; 1024];
    let bytes = getxattr(path, name, &mut value[..])?;
    value.truncate(bytes);
    Ok(value)
}

#[test]
fn owner_group_mode_and_attributes_stay() {
    let config = EditedConfig::new();
    let path = config.path("tenants/acme.toml");
    config.chmod("tenants/acme.toml", 0o640);
    if is_root() {
        chown(&path, Some(ANOTHER_USER), Some(ANOTHER_USER + 1)).unwrap();
    } else {
        untested("the owner of a file that root edits, because only root can give files away");
    }
    let mut attributes = vec![("user.note", b"the vendor's".to_vec()), ("system.posix_acl_access", acl())];
    attributes.retain(|(name, value)| {
        let done = setxattr(&path, *name, value, XattrFlags::empty());
        if let Err(error) = done {
            untested(&format!("the attribute {name}, because the file system refuses it: {error}"));
        }
        done.is_ok()
    });
    // New files in the directory get another ACL.
    let default_acl = setxattr(config.path("tenants"), "system.posix_acl_default", &acl(), XattrFlags::empty());
    let facts = || {
        let metadata = fs::metadata(&path).unwrap();
        (metadata.uid(), metadata.gid(), metadata.mode())
    };
    let former = facts();
    config.run("user disable alice");
    assert!(config.text("tenants/acme.toml").contains("enabled = false"));
    assert_eq!(facts(), former);
    for (name, value) in &attributes {
        assert_eq!(attribute(&path, name).as_ref(), Ok(value), "{name}");
    }
    if default_acl.is_ok() {
        rustix::fs::removexattr(&path, "system.posix_acl_access").unwrap();
        config.chmod("tenants/acme.toml", 0o640);
        config.run("user enable alice");
        assert_eq!(attribute(&path, "system.posix_acl_access"), Err(Errno::NODATA), "the directory's isn't taken");
        assert_eq!(facts().2 & 0o7777, 0o640);
    }
}

#[test]
fn who_can_not_keep_the_owner_changes_nothing() {
    if !is_root() {
        return untested("an edit by a user who can't give the file to its owner, because only root can ask");
    }
    let config = EditedConfig::new();
    let former = config.text("tenants/acme.toml");
    chown(config.path("tenants"), Some(ANOTHER_USER), Some(ANOTHER_USER)).unwrap();
    let mut command = config.command("user disable alice");
    let sentence = refusal(&command.uid(ANOTHER_USER).gid(ANOTHER_USER).output().unwrap());
    let wanted = "acme.toml isn't changed: it belongs to another user (uid 0, gid 0), which the new version must keep: \
                  run this as that user or as root\n";
    assert!(sentence.ends_with(wanted), "{sentence}");
    assert_eq!((config.text("tenants/acme.toml"), config.names()), (former, vec!["acme.toml".to_owned()]));
    let lock = fs::metadata(config.path("tenants/.wharfinger.lock")).unwrap();
    assert_eq!((lock.uid(), lock.mode() & 0o7777), (ANOTHER_USER, 0o600));
    chown(config.path("tenants/acme.toml"), Some(ANOTHER_USER), None).unwrap();
    // Root's edit leaves a lock and a file that the other user can use.
    fs::remove_file(config.path("tenants/.wharfinger.lock")).unwrap();
    config.run("user disable alice");
    chown(config.path("tenants/acme.toml"), None, Some(ANOTHER_USER)).unwrap();
    let mut command = config.command("user enable alice");
    let output = command.uid(ANOTHER_USER).gid(ANOTHER_USER).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
}
