//! Issue 15.4: `check` and `serve` agree. Both report the same problems that keep the server from starting, in the same
//! words.

use crate::support::ports::free_port;
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::{
    fs,
    io::{self, BufRead as _, BufReader, Write as _},
    net::TcpListener,
    os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_wharfinger");

/// A directory with a valid config, and with the host key and the ledger of a server that ran.
struct ConfigDirectory {
    directory: TempDir,
    /// Prefix of each problem of the server's file.
    file: String,
}

impl ConfigDirectory {
    /// Makes a config that listens on `listen`. No server has run on it yet.
    fn empty(listen: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let file = format!("{}: ", directory.path().join("wharfinger.toml").display());
        let config = Self { directory, file };
        for name in ["tenants", "ledger", "keys", "run"] {
            fs::create_dir(config.path(name)).unwrap();
            config.chmod(name, 0o755);
        }
        let tenant = "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = ''\nregion = 'eu-central-1'\n\
                      expected_bucket_owner = '111122223333'\n[storage.assume_role]\n\
                      role_arn = 'arn:aws:iam::111122223333:role/wharfinger'\nexternal_id = 'wh-4b6f'\n";
        config.write("tenants/acme.toml", tenant);
        config.listen(listen);
        config
    }

    fn used() -> Self {
        let config = Self::empty("'127.0.0.1:0'");
        let (mut server, _) = config.start();
        end(&mut server);
        config
    }

    /// `strict` makes `serve` refuse a tenant's file too, as `check` always does.
    fn listen(&self, listen: &str) {
        let server = format!(
            "strict = true\ncontrol_socket = 'run/control.sock'\n[ledger]\nurl = 'sqlite:ledger/ledger.db'\n[ssh]\nlisten = [{listen}]\n\
             host_keys = {{ directory = 'keys', kinds = ['ed25519'] }}\n"
        );
        self.write("wharfinger.toml", &server);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o600);
    }

    fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    fn command(&self, subcommand: &str) -> Command {
        let mut command = Command::new(BINARY);
        command.args([subcommand, "--config"]).arg(self.path("wharfinger.toml")).env_remove("RUST_LOG");
        command.stdin(Stdio::null());
        command
    }

    /// Runs `check`. Returns true if the server can start, and the lines on stderr.
    fn check(&self) -> (bool, Vec<String>) {
        let output = self.command("check").output().unwrap();
        (output.status.success(), lines(&output.stderr))
    }

    /// Starts a server. Returns it with its log up to the line that says it listens.
    fn start(&self) -> (Child, Vec<String>) {
        let (server, said) = start(self.command("serve"));
        (server.unwrap_or_else(|| panic!("{said:?}")), said)
    }

    /// Returns the lines of a server that refuses to start.
    fn refusal(&self) -> Vec<String> {
        let (server, said) = start(self.command("serve"));
        assert!(server.is_none(), "it started: {said:?}");
        said
    }

    /// Returns the problems for which both `check` and `serve` refuse, without the file's name in front.
    fn refused(&self) -> Vec<String> {
        let ((may_start, checked), served) = (self.check(), self.refusal());
        assert!(!may_start, "{checked:?}");
        assert_eq!(checked, served);
        let [problems @ .., count] = &checked[..] else { panic!("nothing said") };
        assert!(count.ends_with("error") || count.ends_with("errors"), "{count}");
        problems.iter().map(|problem| problem.replace(&self.file, "")).collect()
    }
}

/// Runs a server until it listens. Returns `None` if it ends before.
fn start(mut command: Command) -> (Option<Child>, Vec<String>) {
    let mut server = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut said = Vec::new();
    for line in BufReader::new(server.stderr.take().unwrap()).lines() {
        said.push(line.unwrap());
        if said.last().is_some_and(|line| line.contains("listening address=")) {
            return (Some(server), said);
        }
    }
    assert!(!server.wait().unwrap().success());
    (None, said)
}

fn end(server: &mut Child) {
    server.kill().unwrap();
    server.wait().unwrap();
}

fn lines(bytes: &[u8]) -> Vec<String> {
    str::from_utf8(bytes).unwrap().lines().map(str::to_owned).collect()
}

/// Returns the problems of a valid config after `spoil`.
fn spoiled(spoil: impl FnOnce(&ConfigDirectory)) -> Vec<String> {
    let config = ConfigDirectory::used();
    assert_eq!(config.check(), (true, Vec::new()));
    spoil(&config);
    config.refused()
}

#[test]
fn host_keys() {
    let [problem] = &spoiled(|config| config.chmod("keys/ssh_host_ed25519_key", 0o644))[..] else { panic!() };
    assert!(problem.starts_with("ssh.host_keys.directory: host key "), "{problem}");
    assert!(problem.contains("can be read by others (mode 0644): run `chmod 600"), "{problem}");
    let [problem] = &spoiled(|config| config.chmod("keys", 0o777))[..] else { panic!() };
    assert!(problem.contains("can be written by others (mode 0777)"), "{problem}");
}

#[test]
fn the_ledger() {
    let [problem] = &spoiled(|config| fs::rename(config.path("ledger"), config.path("moved")).unwrap())[..] else {
        panic!()
    };
    assert!(problem.starts_with("ledger.url: the directory of the ledger "), "{problem}");
    assert!(problem.contains("doesn't exist: make it"), "{problem}");
    let [problem] = &spoiled(|config| {
        fs::rename(config.path("ledger/ledger.db"), config.path("moved")).unwrap();
        fs::create_dir(config.path("ledger/ledger.db")).unwrap();
    })[..] else {
        panic!()
    };
    assert!(problem.contains("can't be opened") && problem.ends_with("Is a directory (os error 21)"), "{problem}");
    let [problem] = &spoiled(|config| config.chmod("ledger/ledger.db", 0o666))[..] else { panic!() };
    assert!(problem.contains("can be written by others (mode 0666): run `chmod go-w"), "{problem}");
}

#[test]
fn a_ledger_that_is_none_is_found_without_opening_it() {
    let config = ConfigDirectory::used();
    config.write("ledger/ledger.db", &"This is no database, and long enough to be seen as none.\n".repeat(40));
    let ((may_start, checked), served) = (config.check(), config.refusal());
    let sentence = "can't be used: error returned from database: (code: 26) file is not a database";
    assert!(!may_start && checked[0].ends_with(sentence), "{checked:?}");
    assert!(served.last().unwrap().ends_with(sentence), "{served:?}");
}

#[test]
fn files() {
    let exposed = spoiled(|config| {
        config.chmod("tenants/acme.toml", 0o666);
        config.chmod("wharfinger.toml", 0o622);
    });
    assert_eq!(exposed.len(), 2);
    assert!(exposed.iter().all(|problem| problem.contains("can be written by others (mode 06")), "{exposed:?}");
    let fifo = |config: &ConfigDirectory| {
        mknodat(CWD, config.path("tenants/pipe.toml"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    };
    let [problem] = &spoiled(fifo)[..] else { panic!() };
    assert!(problem.ends_with("tenants/pipe.toml: can't be read: it is a FIFO, not a file"), "{problem}");
}

/// The previous release started with these modes, so this one must start too.
#[test]
fn what_a_group_may_write_is_told_by_both_and_stops_neither() {
    let config = ConfigDirectory::used();
    for (name, mode) in [("tenants/acme.toml", 0o664), ("keys", 0o775), ("ledger/ledger.db", 0o660), ("ledger", 0o777)]
    {
        config.chmod(name, mode);
    }
    let (may_start, warnings) = config.check();
    assert!(may_start && warnings.len() == 4, "{warnings:?}");
    let (mut server, said) = config.start();
    end(&mut server);
    for warning in warnings {
        let warning = warning.strip_prefix("warning: ").unwrap();
        assert!(said.iter().any(|line| line.contains("WARN") && line.contains(warning)), "{warning}: {said:?}");
    }
}

/// Without `[ledger]` and `directory`, ledger and host keys are beside the config.
#[test]
fn a_directory_that_the_config_shares_with_the_ledger_and_host_keys_is_told_once() {
    let config = ConfigDirectory::empty("'127.0.0.1:0'");
    config.write(
        "wharfinger.toml",
        "[ssh]\nlisten = ['127.0.0.1:0']\nhost_keys = { directory = '.', kinds = ['ed25519'] }\n",
    );
    config.chmod("", 0o775);
    let (may_start, warnings) = config.check();
    assert!(may_start, "{warnings:?}");
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let directory = config.directory.path().display();
    assert!(
        warning.starts_with(&format!("warning: {directory}: can be written by its group (mode 0775)")),
        "{warning}"
    );
}

/// Returns the sentence about an address, which `check` and `serve` share.
fn about_addresses(config: &ConfigDirectory) -> String {
    let ((may_start, checked), served) = (config.check(), config.refusal());
    let [problem, _count] = &checked[..] else { panic!("{checked:?}") };
    let sentence = problem.strip_prefix(&format!("{}ssh.listen: ", config.file)).unwrap();
    assert!(!may_start && served.last().unwrap() == &format!("wharfinger: {sentence}"), "{checked:?} {served:?}");
    sentence.to_owned()
}

#[test]
fn addresses() {
    let config = ConfigDirectory::used();
    let taken = TcpListener::bind(("127.0.0.1", free_port())).unwrap();
    let address = taken.local_addr().unwrap();
    let process = std::process::id();
    config.listen(&format!("'{address}'"));
    let sentence = about_addresses(&config);
    assert!(
        sentence.starts_with(&format!("cannot listen on {address}: Address already in use (os error ")),
        "{sentence}"
    );
    assert!(!cfg!(target_os = "linux") || sentence.ends_with(&format!("has it (process {process})")), "{sentence}");
    drop(taken);
    let port = address.port();
    config.listen(&format!("'127.0.0.1:{port}', '0.0.0.0:{port}'"));
    let sentence = about_addresses(&config);
    assert!(sentence.starts_with(&format!("cannot listen on 0.0.0.0:{port}: ")), "{sentence}");
    config.listen("'192.0.2.1:2222'");
    let sentence = about_addresses(&config);
    assert!(sentence.ends_with(": this machine has no such address"), "{sentence}");
}

/// A server without a control socket runs, so that `check` warns.
#[test]
fn a_control_socket_that_cannot_be_made_is_a_warning_of_both() {
    let config = ConfigDirectory::used();
    let server = fs::read_to_string(config.path("wharfinger.toml")).unwrap();
    config.write("run/file", "");
    let long = "s".repeat(100);
    let cases = [
        (format!("run/{long}"), "and the system takes 107 at most".to_owned()),
        ("run/file".to_owned(), "a file that is no socket is there".to_owned()),
        (
            "run/a/b/c".to_owned(),
            format!("there is no directory {}, and it can't be made: No such file", config.path("run/a/b").display()),
        ),
        (
            "run/file/b".to_owned(),
            format!("there is no directory {}, and it can't be made: ", config.path("run/file").display()),
        ),
    ];
    for (path, sentence) in cases {
        config.write("wharfinger.toml", &server.replace("run/control.sock", &path));
        let (may_start, warnings) = config.check();
        let [warning] = &warnings[..] else { panic!("{warnings:?}") };
        let start = format!("warning: {}control_socket: the control socket ", config.file);
        assert!(may_start && warning.starts_with(&start) && warning.contains(&sentence), "{warning}");
        let (mut server, said) = config.start();
        end(&mut server);
        assert!(said.iter().any(|line| line.contains("WARN") && line.contains(&sentence)), "{said:?}");
        let output = config.command("check").arg("--config-only").output().unwrap();
        assert!(output.stderr.is_empty(), "{:?}", lines(&output.stderr));
    }
    config.write("wharfinger.toml", &server.replace("run/control.sock", "run/new/control.sock"));
    assert_eq!(config.check(), (true, Vec::new()), "the server makes the directory");
    assert!(!config.path("run/new").exists(), "check makes nothing");
}

#[test]
fn a_directory_that_takes_no_control_socket_is_a_warning() {
    let Some(config) = config_of_another_user() else { return };
    chown(config.path("run"), Some(0), Some(0)).unwrap();
    let warnings = warnings_for(ANOTHER_USER, &config);
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    let told = format!("can't be made: no file can be made in {}: Permission denied", config.path("run").display());
    assert!(warning.contains(&told), "{warning}");
}

/// An operator checks a new config while the server that it is for runs.
#[test]
fn the_address_of_the_running_server_is_a_warning() {
    let port = free_port();
    let config = ConfigDirectory::empty(&format!("'127.0.0.1:{port}'"));
    let (mut server, _) = config.start();
    let (process, (may_start, warnings)) = (server.id(), config.check());
    let second = config.refusal();
    end(&mut server);
    let holder = format!("`wharfinger` has it (process {process})");
    assert!(may_start && warnings.len() == 1 && warnings[0].contains(&holder), "{warnings:?}");
    assert!(second.last().unwrap().ends_with(&holder), "{second:?}");
}

/// Issue 15.3.
#[test]
fn new_host_keys_beside_an_old_ledger_are_loud() {
    let config = ConfigDirectory::empty("'127.0.0.1:0'");
    assert_eq!(config.check(), (true, Vec::new()), "a first start");
    for directory in ["keys", "ledger"] {
        assert_eq!(fs::read_dir(config.path(directory)).unwrap().count(), 0, "check makes nothing");
    }
    let (mut server, said) = config.start();
    end(&mut server);
    assert!(!said.iter().any(|line| line.contains("WARN")), "{said:?}");
    fs::remove_file(config.path("keys/ssh_host_ed25519_key")).unwrap();
    let (may_start, warnings) = config.check();
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(may_start && warning.contains("clients that know the old ones refuse to connect"), "{warning}");
    let (mut server, said) = config.start();
    end(&mut server);
    let is_loud =
        |line: &String| line.contains("WARN") && line.contains("clients that know the old keys refuse to connect");
    assert!(said.iter().any(is_loud), "{said:?}");
    let (mut server, said) = config.start();
    end(&mut server);
    assert!(!said.iter().any(is_loud), "they are known now: {said:?}");
}

/// Issue 15.3. The ledger doesn't exist yet, and no file may grow, as on a full disk.
#[test]
fn a_full_disk_under_the_ledger_does_not_keep_the_server_down() {
    let config = ConfigDirectory::used();
    fs::remove_dir_all(config.path("ledger")).unwrap();
    fs::create_dir(config.path("ledger")).unwrap();
    let mut shell = Command::new("sh");
    let serve = format!("trap '' XFSZ; ulimit -f 0; exec {BINARY} serve --config \"$0\"");
    shell.args(["-c", &serve]).arg(config.path("wharfinger.toml")).stdin(Stdio::null()).env_remove("RUST_LOG");
    let (server, said) = start(shell);
    end(&mut server.unwrap_or_else(|| panic!("{said:?}")));
    let is_loud = |line: &String| line.contains("ERROR") && line.contains("the ledger's disk takes nothing");
    assert!(said.iter().any(is_loud), "{said:?}");
}

/// Runs in its own mount namespace, if the system allows one.
#[test]
fn what_a_read_only_mount_protects_counts_as_protected() {
    let config = ConfigDirectory::used();
    for (name, mode) in [("", 0o777), ("tenants", 0o777), ("tenants/acme.toml", 0o666), ("wharfinger.toml", 0o666)] {
        config.chmod(name, mode);
    }
    let mounted = |then: &str| {
        let script = format!("mount --bind \"$0\" \"$0\" && mount -o remount,ro,bind \"$0\" && {then}");
        let mut shell = Command::new("unshare");
        shell.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(config.directory.path()).output()
    };
    if !mounted("true").is_ok_and(|output| output.status.success()) {
        // Written directly, because the test harness captures `eprintln!`.
        let said = "not tested: a read-only mount protects files, because `unshare` isn't allowed here";
        return writeln!(io::stderr(), "{said}").unwrap();
    }
    let check = |file: &Path| format!("{BINARY} check --config-only --config {}", file.display());
    let output = mounted(&check(&config.path("wharfinger.toml"))).unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{:?}", lines(&output.stderr));
    let (may_start, problems) = config.check();
    assert!(!may_start && problems.len() == 5, "without the mount: {problems:?}");
}

/// A user that root can run the server as.
const ANOTHER_USER: u32 = 12_345;

/// Returns a used config of root, with keys and ledger of another user. Returns `None` unless the test runs as root.
fn config_of_another_user() -> Option<ConfigDirectory> {
    let config = ConfigDirectory::used();
    for directory in ["keys", "ledger", "run"].map(|name| config.path(name)) {
        let files = fs::read_dir(&directory).unwrap().map(|file| file.unwrap().path());
        for path in files.chain([directory.clone()]) {
            if chown(path, Some(ANOTHER_USER), Some(ANOTHER_USER)).is_err() {
                // Written directly, because the test harness captures `eprintln!`.
                let said = b"not tested: what another user may do, because only root can ask\n";
                io::stderr().write_all(said).unwrap();
                return None;
            }
        }
    }
    for (name, mode) in [("", 0o755), ("wharfinger.toml", 0o644), ("tenants/acme.toml", 0o644)] {
        config.chmod(name, mode);
    }
    Some(config)
}

/// Returns the warnings of `check` and `serve` when `user` runs them.
fn warnings_for(user: u32, config: &ConfigDirectory) -> Vec<String> {
    let output = config.command("check").uid(user).gid(user).output().unwrap();
    assert!(output.status.success(), "{:?}", lines(&output.stderr));
    let mut serve = config.command("serve");
    serve.uid(user).gid(user);
    let (server, said) = start(serve);
    end(&mut server.unwrap_or_else(|| panic!("{said:?}")));
    let warnings = lines(&output.stderr);
    let warnings = warnings.iter().map(|warning| warning.strip_prefix("warning: ").unwrap().replace(&config.file, ""));
    warnings.collect()
}

/// The operator may want other owners, so the server starts with warnings.
#[test]
fn files_of_another_user_are_told_by_both() {
    let Some(config) = config_of_another_user() else { return };
    assert_eq!(warnings_for(ANOTHER_USER, &config), [""; 0], "root's files, and its own");
    for name in ["keys", "ledger"] {
        chown(config.path(name), Some(0), None).unwrap();
    }
    chown(config.path("tenants/acme.toml"), Some(ANOTHER_USER), None).unwrap();
    let warnings = warnings_for(0, &config);
    let root = format!("{}/", config.directory.path().display());
    let mut warnings: Vec<String> = warnings.iter().map(|warning| warning.replace(&root, "")).collect();
    // A killed server leaves its write-ahead log beside the ledger.
    warnings.retain(|warning| !warning.contains("ledger.db-"));
    let belongs = |name: &str| {
        format!(
            "belongs to another user (uid {ANOTHER_USER}), who can write it: run `chown 0 {name}`, unless the server runs \
             as that user"
        )
    };
    let of_key = |key: &str, name: &str| format!("{key}: the file {name} {}", belongs(name));
    assert_eq!(
        warnings,
        [
            format!("tenants/acme.toml: {}", belongs("tenants/acme.toml")),
            of_key("ssh.host_keys.directory", "keys/ssh_host_ed25519_key"),
            of_key("ledger.url", "ledger/ledger.db"),
            format!(
                "ledger.spool_directory: the directory ledger/ledger.db.spool {}",
                belongs("ledger/ledger.db.spool").replace("write it", "put files there")
            ),
        ]
    );
}

/// An `emptyDir` of Kubernetes belongs to root and has the mode 0777.
#[test]
fn directories_whose_mode_the_user_cannot_change_are_told_and_stop_neither() {
    let Some(config) = config_of_another_user() else { return };
    chown(config.path("keys"), Some(0), Some(0)).unwrap();
    for name in ["", "tenants", "keys"] {
        config.chmod(name, 0o777);
    }
    let warnings = warnings_for(ANOTHER_USER, &config);
    let [root, tenants, keys] = &warnings[..] else { panic!("{warnings:?}") };
    for (warning, directory) in [(root, ""), (tenants, "tenants"), (keys, "keys")] {
        let told = "can be written by others (mode 0777), so that files can be put there: have its owner (uid 0) run";
        let command = format!("`chmod go-w {}`", config.directory.path().join(directory).display()).replace("/`", "`");
        assert!(warning.contains(told) && warning.contains(&command), "{warning}");
    }
    assert!(keys.ends_with("or mount it read-only, or name a subdirectory, which the server makes"), "{keys}");
    config.chmod("tenants/acme.toml", 0o666);
    let refused = config.command("check").uid(ANOTHER_USER).gid(ANOTHER_USER).output().unwrap();
    assert!(!refused.status.success(), "files are refused: {:?}", lines(&refused.stderr));
}

/// The previous release started with such a link: SQLite keeps its files beside the link's target.
#[test]
fn the_directory_of_a_link_to_the_ledger_need_not_be_writable() {
    let Some(config) = config_of_another_user() else { return };
    fs::rename(config.path("ledger"), config.path("target")).unwrap();
    fs::create_dir(config.path("ledger")).unwrap();
    config.chmod("ledger", 0o755);
    symlink("../target/ledger.db", config.path("ledger/ledger.db")).unwrap();
    assert_eq!(warnings_for(ANOTHER_USER, &config), [""; 0]);
}

#[test]
fn a_config_for_another_machine_can_be_checked_alone() {
    let config = ConfigDirectory::empty("'192.0.2.1:22'");
    fs::remove_dir(config.path("ledger")).unwrap();
    assert!(!config.check().0);
    let output = config.command("check").arg("--config-only").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{:?}", lines(&output.stderr));
}
