//! A running server reloads its config: the real binary, a real signal, clients over SSH, and the demo's S3.

use crate::support::sftp::{KeyFile, Sftp};
use parking_lot::{Condvar, Mutex};
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use wharfinger::demo::Demo;

/// The time for a line to appear in the log, on a machine with other work.
const PATIENCE: Duration = Duration::from_secs(20);

/// The time between two looks at watched files.
const POLL: Duration = Duration::from_secs(2);

/// The lines of a server's log so far.
#[derive(Default)]
struct LogLines {
    lines: Mutex<Vec<String>>,
    added: Condvar,
}

impl LogLines {
    /// Waits for the `count`th line that contains `text`, and returns it.
    fn nth(&self, count: usize, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut lines = self.lines.lock();
        loop {
            if let Some(line) = lines.iter().filter(|line| line.contains(text)).nth(count - 1) {
                return line.clone();
            }
            let timed_out = self.added.wait_until(&mut lines, deadline).timed_out();
            assert!(!timed_out, "no {count}. line with {text:?}:\n{}", lines.join("\n"));
        }
    }

    fn count(&self, text: &str) -> usize {
        self.lines.lock().iter().filter(|line| line.contains(text)).count()
    }
}

/// A server with its config and its S3.
pub struct ReloadedServer {
    directory: TempDir,
    key: KeyFile,
    s3: SocketAddr,
    stop_s3: CancellationToken,
    log: Arc<LogLines>,
    server: Option<Child>,
    address: Option<SocketAddr>,
}

impl ReloadedServer {
    /// Makes the config of a server that isn't started yet. It has no tenant.
    pub async fn new(settings: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyFile::new();
        let demo = Demo::start(0, None, &[]).await.unwrap();
        let (s3, stop_s3) = (demo.s3().address, CancellationToken::new());
        tokio::spawn(demo.run(stop_s3.clone(), CancellationToken::new()));
        let (log, server, address) = (Arc::default(), None, None);
        let site = Self { directory, key, s3, stop_s3, log, server, address };
        for name in ["tenants", "keys"] {
            fs::create_dir(site.path(name)).unwrap();
            fs::set_permissions(site.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        site.write_server(settings, "'127.0.0.1:0'", "'ed25519'");
        site
    }

    /// Writes the server's file, with these elements of the lists of addresses and kinds of host keys.
    pub fn write_server(&self, settings: &str, listen: &str, kinds: &str) {
        let ssh = format!("[ssh]\nlisten = [{listen}]\nhost_keys = {{ directory = 'keys', kinds = [{kinds}] }}\n");
        self.write("wharfinger.toml", &format!("{settings}\n{ssh}"));
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// The endpoint of its S3.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.s3)
    }

    /// The file of a tenant with these users, who have the test's key.
    fn tenant(&self, name: &str, users: &[&str]) -> String {
        let key = fs::read_to_string(self.key.public()).unwrap();
        let users = users.iter().map(|user| format!("[[users]]\nname = '{user}'\npublic_keys = ['{}']\n", key.trim()));
        format!(
            "name = '{name}'\n[storage]\nbucket = 'wharfinger-demo'\nprefix = 'tenants/{name}/'\nregion = 'us-east-1'\n\
             endpoint = '{}'\npath_style = true\n[storage.credentials]\naccess_key_id = 'demo'\n\
             secret_access_key_file = '../secret'\n{}",
            self.endpoint(),
            users.collect::<String>()
        )
    }

    pub fn write_tenant(&self, name: &str, users: &[&str]) {
        self.write(&format!("tenants/{name}.toml"), &self.tenant(name, users));
    }

    pub fn start(&mut self) {
        self.write("secret", "demo-secret");
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        command.args(["serve", "--config"]).arg(self.path("wharfinger.toml")).env_remove("RUST_LOG");
        let starts = self.log.count("listening address=");
        let mut server = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (log, stderr) = (Arc::clone(&self.log), server.stderr.take().unwrap());
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                log.lines.lock().push(line);
                log.added.notify_all();
            }
        });
        self.server = Some(server);
        let line = self.log.nth(starts + 1, "listening address=");
        self.address = Some(line.split("address=").nth(1).unwrap().trim().parse().unwrap());
    }

    /// Ends the server in good order, and waits for it.
    pub fn stop(&mut self) {
        let mut server = self.server.take().unwrap();
        kill_process(Pid::from_child(&server), Signal::TERM).unwrap();
        assert!(server.wait().unwrap().success());
    }

    /// The file with the public half of the users' key.
    pub fn key_file(&self) -> PathBuf {
        self.key.public()
    }

    /// Waits for a line of the log that contains `text`.
    pub fn log_line(&self, text: &str) -> String {
        self.log.nth(1, text)
    }

    pub fn count_lines(&self, text: &str) -> usize {
        self.log.count(text)
    }

    /// Sends SIGHUP, and waits for the `count`th reload. Returns its line.
    pub fn reload(&self, count: usize) -> String {
        self.hang_up();
        self.config_reloaded(count)
    }

    /// Waits for the `count`th reload. Returns its line.
    pub fn config_reloaded(&self, count: usize) -> String {
        self.log.nth(count, "config reloaded")
    }

    /// Sends SIGHUP, and waits for the `count`th line about a refused reload. Returns it.
    pub fn refused_reload(&self, count: usize) -> String {
        self.hang_up();
        self.log.nth(count, "reload refused")
    }

    fn hang_up(&self) {
        kill_process(Pid::from_child(self.server.as_ref().unwrap()), Signal::HUP).unwrap();
    }

    /// The address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.address.unwrap()
    }

    /// Runs `wharfinger` with these arguments. Returns true if it succeeds, and its output.
    pub fn command(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
        let output = command.args(arguments).arg("--config").arg(self.path("wharfinger.toml")).output().unwrap();
        (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    }

    pub async fn login(&self, user: &str) -> Sftp {
        self.login_at(self.address(), user).await
    }

    pub async fn login_at(&self, address: SocketAddr, user: &str) -> Sftp {
        Sftp::connect(address, user, &self.key).await
    }

    pub async fn is_let_in(&self, user: &str) -> bool {
        Sftp::try_connect(self.address.unwrap(), user, &self.key).await.is_some()
    }
}

impl Drop for ReloadedServer {
    fn drop(&mut self) {
        self.stop_s3.cancel();
        if let Some(server) = &mut self.server {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_counts_at_sighup_and_disconnects_no_one_else() {
    let mut site = ReloadedServer::new("reload_grace = '1s'").await;
    site.write_tenant("acme", &["alice", "bob"]);
    site.start();
    let alice = site.login("alice").await;
    let bob = site.login("bob").await;
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
    let open = alice.open("/a", flags, FileAttributes::empty()).await.unwrap().handle;
    alice.write(open.clone(), 0, b"123".to_vec()).await.unwrap();

    site.write_tenant("acme", &["alice", "carol"]);
    site.write_tenant("globex", &["dave"]);
    let line = site.reload(1);
    for field in
        ["tenants_added=\"globex\"", "users_added=\"carol, dave\"", "users_removed=\"bob\"", "ended_sessions=1"]
    {
        assert!(line.contains(field), "{field}: {line}");
    }
    for field in ["tenants_changed", "tenants_removed", "users_changed", "needs_restart"] {
        assert!(!line.contains(field), "{field}: {line}");
    }
    let refused = bob.stat("/").await.unwrap_err().to_string();
    assert!(refused.contains("the server is ending this session: the user was removed"), "{refused}");
    site.log.nth(1, "the user was removed");
    assert!(!site.is_let_in("bob").await);
    drop((site.login("carol").await, site.login("dave").await));
    alice.write(open.clone(), 3, b"456".to_vec()).await.unwrap();
    alice.close(open).await.unwrap();
    assert_eq!(alice.stat("/a").await.unwrap().attrs.size, Some(6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_changes_nothing_and_is_told() {
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.write_tenant("globex", &["bob"]);
    site.start();
    site.write("tenants/acme.toml", &site.tenant("acme", &["alice", "anne"]).replace("'us-east-1'", "7"));
    site.write("tenants/globex.toml", "name = 'glo");
    let line = site.reload(1);
    assert!(!line.contains("tenants_") && !line.contains("users_"), "{line}");
    let refused = site.log.nth(1, "tenant file refused: the tenant stays as it was");
    assert!(
        refused.contains("tenant=acme") && refused.contains("acme.toml:5: storage.region: is an integer"),
        "{refused}"
    );
    drop((site.login("alice").await, site.login("bob").await));
    assert!(!site.is_let_in("anne").await && !site.is_let_in("nobody").await);
    site.log.nth(1, "unknown user: acme.toml has one of this name, and has a problem");
    site.log.nth(1, "unknown user; these files have problems and may have one: globex.toml");

    let server = fs::read_to_string(site.path("wharfinger.toml")).unwrap();
    site.write("wharfinger.toml", &server.replace("[ssh]", "nonsense = 1\n[ssh]"));
    site.write_tenant("acme", &["alice", "anne"]);
    let refused = site.refused_reload(1);
    assert!(refused.contains("wharfinger.toml:2: nonsense: no such key"), "{refused}");
    assert!(!site.is_let_in("anne").await, "a broken server file changes nothing");

    site.write("wharfinger.toml", &server.replace("[ssh]", "max_buffer_bytes = '300MiB'\n[ssh]"));
    site.write_tenant("globex", &["bob"]);
    let line = site.reload(2);
    assert!(line.contains("users_added=\"anne\"") && line.contains("needs_restart=\"max_buffer_bytes\""), "{line}");
    drop(site.login("anne").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_tenant_is_left_out_at_the_start() {
    let mut site = ReloadedServer::new("").await;
    site.write_tenant("acme", &["alice"]);
    site.write("tenants/globex.toml", &site.tenant("globex", &["bob"]).replace("'us-east-1'", "7"));
    site.start();
    site.log.nth(1, "tenant file refused: the tenant is not served");
    drop(site.login("alice").await);
    assert!(!site.is_let_in("bob").await);
    site.log.nth(1, "unknown user: globex.toml has one of this name, and has a problem");
}

#[tokio::test(flavor = "multi_thread")]
async fn most_tenants_do_not_vanish_unasked() {
    let mut site = ReloadedServer::new("").await;
    for number in 0..10 {
        site.write_tenant(&format!("t{number}"), &[&format!("user{number}")]);
    }
    site.start();
    fs::rename(site.path("tenants"), site.path("moved")).unwrap();
    let refused = site.refused_reload(1);
    assert!(refused.contains("tenants_directory: `") && refused.contains("can't be read"), "{refused}");
    fs::create_dir(site.path("tenants")).unwrap();
    fs::set_permissions(site.path("tenants"), fs::Permissions::from_mode(0o755)).unwrap();
    let refused = site.refused_reload(2);
    assert!(refused.contains("10 of 10 tenants have no file any more, and nothing was changed"), "{refused}");
    drop(site.login("user3").await);
}

/// Kubernetes mounts a ConfigMap as links through `..data`, and swaps that link.
#[tokio::test(flavor = "multi_thread")]
async fn a_swapped_link_is_one_reload() {
    let mut site = ReloadedServer::new("watch_config = true\ntenants_directory = 'map'").await;
    for (version, users) in [("..1", &["alice"][..]), ("..2", &["alice", "bob"])] {
        fs::create_dir_all(site.path("map").join(version)).unwrap();
        site.write(&format!("map/{version}/acme.toml"), &site.tenant("acme", users));
    }
    for directory in ["map", "map/..1", "map/..2"] {
        fs::set_permissions(site.path(directory), fs::Permissions::from_mode(0o755)).unwrap();
    }
    symlink("..1", site.path("map/..data")).unwrap();
    symlink("..data/acme.toml", site.path("map/acme.toml")).unwrap();
    site.start();
    symlink("..2", site.path("map/..new")).unwrap();
    fs::rename(site.path("map/..new"), site.path("map/..data")).unwrap();
    let line = site.log.nth(1, "config reloaded");
    assert!(line.contains("users_added=\"bob\""), "{line}");
    drop(site.login("bob").await);
    site.write("map/..2/acme.toml", &site.tenant("acme", &["bob"]));
    let line = site.log.nth(2, "config reloaded");
    assert!(line.contains("users_removed=\"alice\"") && !line.contains("users_added"), "{line}");
    // Two more looks at the files, each of which may be a moment overdue.
    tokio::time::sleep(POLL * 3).await;
    assert_eq!(site.log.count("config reloaded"), 2, "a look at files that did not change leaves no line");
}
