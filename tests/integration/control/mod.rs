//! The control socket of the real server: who may use it, what it bounds, and the commands over it.

mod drain;

use crate::support::sftp::{KeyFile, Sftp};
use parking_lot::Mutex;
use russh_sftp::protocol::{FileAttributes, OpenFlags};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _},
    net::SocketAddr,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _, chown},
        net::{UnixListener, UnixStream},
        process::CommandExt as _,
    },
    path::PathBuf,
    process::{Child, ChildStdin, Command, Output, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use wharfinger::demo::Demo;

const BINARY: &str = env!("CARGO_BIN_EXE_wharfinger");
/// A user of every machine that owns nothing here.
const ANOTHER_USER: u32 = 65_534;
/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// The directory of a server's config, with a key for its users.
struct ServerDirectory {
    directory: TempDir,
}

impl ServerDirectory {
    fn new() -> Self {
        let site = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir(site.path("tenants")).unwrap();
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(site.path("key"));
        assert!(keygen.status().unwrap().success());
        site.server("");
        site.tenant("acme", &["alice"]);
        site
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the server's file, with more keys at its top.
    fn server(&self, more: &str) {
        let text = format!("{more}\n[ssh]\nlisten = ['127.0.0.1:0']\nhost_keys = {{ kinds = ['ed25519'] }}\n");
        self.write("wharfinger.toml", &text);
    }

    /// Writes the file of a tenant whose storage answers nothing.
    fn tenant(&self, name: &str, users: &[&str]) {
        self.tenant_on(name, users, "http://127.0.0.1:1", &fs::read_to_string(self.path("key.pub")).unwrap());
    }

    fn tenant_on(&self, name: &str, users: &[&str], endpoint: &str, key: &str) {
        let key = key.trim();
        let users = users.iter().map(|user| format!("[[users]]\nname = '{user}'\npublic_keys = ['{key}']\n"));
        let text = format!(
            "name = '{name}'\n[storage]\nbucket = 'wharfinger-demo'\nprefix = 'tenants/{name}/'\nregion = 'us-east-1'\n\
             endpoint = '{endpoint}'\npath_style = true\n[storage.credentials]\naccess_key_id = 'demo'\n\
             secret_access_key_env = 'CONTROL_TEST_SECRET'\n{}",
            users.collect::<String>()
        );
        self.write(&format!("tenants/{name}.toml"), &text);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(BINARY);
        command.args(arguments).arg("--config").arg(self.path("wharfinger.toml"));
        command.env_remove("RUST_LOG").env("CONTROL_TEST_SECRET", "demo-secret").stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> CommandResult {
        CommandResult::of(&self.command(arguments).output().unwrap())
    }

    /// Returns the object or array that a command with `--json` prints.
    fn json(&self, arguments: &[&str]) -> Value {
        let outcome = self.run(arguments);
        assert!(outcome.is_success, "{outcome:?}");
        serde_json::from_str(&outcome.stdout).unwrap()
    }

    /// Starts a server, or returns the lines of one that refuses to start.
    fn try_start(&self) -> Result<RunningServer, Vec<String>> {
        let mut process = self.command(&["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut server = RunningServer { process, address: ([0, 0, 0, 0], 0).into(), lines: Arc::default() };
        while let Some(line) = log.next() {
            let address = line.split_once("listening address=").map(|(_, address)| address.trim().parse().unwrap());
            server.lines.lock().push(line);
            if let Some(address) = address {
                server.address = address;
                let lines = Arc::clone(&server.lines);
                // The server must not be stopped by a full pipe.
                thread::spawn(move || log.for_each(|line| lines.lock().push(line)));
                return Ok(server);
            }
        }
        assert!(!server.process.wait().unwrap().success());
        Err(server.lines.lock().clone())
    }

    fn start(&self) -> RunningServer {
        self.try_start().unwrap_or_else(|lines| panic!("{lines:?}"))
    }

    fn socket(&self) -> PathBuf {
        self.path("wharfinger.sock")
    }

    /// Sends bytes to the socket and returns the answer's lines.
    fn ask(&self, request: &[u8]) -> Vec<Value> {
        let mut stream = UnixStream::connect(self.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        match stream.write_all(request) {
            Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
        BufReader::new(stream).lines().map_while(Result::ok).map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// Returns the `error` with which the server refuses a request.
    fn refusal(&self, request: &[u8]) -> String {
        let answers = self.ask(request);
        let [answer] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!((&answer["version"], &answer["answer"]), (&json!(1), &json!("error")), "{answer}");
        assert!(answer["message"].is_string());
        answer["error"].as_str().unwrap().to_owned()
    }

    /// Starts OpenSSH's client, which stays logged in until its input ends.
    fn sftp(&self, server: &RunningServer, user: &str) -> OpenSsh {
        let mut command = Command::new("sftp");
        command.args(["-F", "/dev/null", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i"]).arg(self.path("key"));
        command.args(["-P", &server.address.port().to_string(), &format!("{user}@127.0.0.1")]);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let input = process.stdin.take();
        OpenSsh { process, input }
    }

    /// Waits until as many sessions are open, and returns them.
    fn sessions(&self, count: usize) -> Vec<Value> {
        let since = Instant::now();
        loop {
            let Value::Array(sessions) = self.json(&["sessions", "--json"]) else { panic!("no array") };
            if sessions.len() == count {
                return sessions;
            }
            assert!(since.elapsed() < PATIENCE, "{count} sessions: {sessions:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A server that listens. Dropping it kills it.
struct RunningServer {
    process: Child,
    address: SocketAddr,
    /// Its log.
    lines: Arc<Mutex<Vec<String>>>,
}

impl RunningServer {
    /// Waits for a line of the log, and returns it.
    fn line(&self, part: &str) -> String {
        let since = Instant::now();
        loop {
            let lines = self.lines.lock().clone();
            if let Some(line) = lines.iter().find(|line| line.contains(part)) {
                return line.clone();
            }
            assert!(since.elapsed() < PATIENCE, "{part}: {lines:#?}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops it in good order.
    fn stop(mut self) {
        let pid = Pid::from_child(&self.process);
        kill_process(pid, Signal::TERM).unwrap();
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

/// OpenSSH's sftp, logged in.
struct OpenSsh {
    process: Child,
    input: Option<ChildStdin>,
}

impl OpenSsh {
    /// Returns the client's words, after its session has ended.
    fn ended(mut self) -> String {
        // It looks at its connection when it has a command to send.
        drop(self.input.take());
        let mut said = String::new();
        self.process.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        said
    }
}

impl Drop for OpenSsh {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

#[derive(Debug)]
struct CommandResult {
    is_success: bool,
    stdout: String,
    stderr: String,
}

impl CommandResult {
    fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| str::from_utf8(bytes).unwrap().to_owned();
        Self { is_success: output.status.success(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }
}

#[test]
fn a_running_server_tells_its_state() {
    let site = ServerDirectory::new();
    let server = site.start();
    let mode = fs::metadata(site.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let status = site.json(&["status", "--json"]);
    assert_eq!(status["pid"], server.process.id());
    assert_eq!(status["server_version"], env!("CARGO_PKG_VERSION"));
    assert_eq!((&status["sessions"], &status["transfers"]), (&json!(0), &json!(0)));
    assert_eq!((&status["buffer_bytes"], &status["max_buffer_bytes"]), (&json!(0), &json!(256 << 20)));
    assert_eq!(status["config"]["reload_problems"]["count"], 0);
    let text = site.run(&["status"]).stdout;
    assert!(text.contains("version    ") && text.contains("0 B of 256.0 MiB for transfers"), "{text}");
    assert_eq!(site.json(&["sessions", "--json"]), json!([]));
    server.stop();
    assert!(!site.socket().exists(), "a clean stop removes it");
    let outcome = site.run(&["status"]);
    let told = format!(
        "wharfinger: the server isn't running: nothing answers on its control socket {}\n",
        site.socket().display()
    );
    assert_eq!((outcome.is_success, outcome.stderr), (false, told));
}

#[test]
fn another_user_gets_no_answer() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can run a command as another user");
        return;
    }
    let site = ServerDirectory::new();
    let _server = site.start();
    let open = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(site.path(""), 0o755);
    open(site.path("wharfinger.toml"), 0o644);
    let status = || CommandResult::of(&site.command(&["status"]).uid(ANOTHER_USER).gid(ANOTHER_USER).output().unwrap());
    let denied = status();
    assert!(!denied.is_success && denied.stderr.contains("this user may not use the control socket"), "{denied:?}");
    open(site.socket(), 0o666);
    let refused = status();
    assert!(!refused.is_success, "{refused:?}");
    let told = "wharfinger: uid 65534 may not control this server: only root and the server's user may\n";
    assert_eq!(refused.stderr, told, "the mode is not the only guard");
}

/// In a directory of all users, anyone can listen in the server's place. OpenSSH's agent listens here.
#[test]
fn an_impostor_gets_no_request() {
    if !geteuid().is_root() {
        eprintln!("SKIPPED: only root can run a program as another user");
        return;
    }
    let site = ServerDirectory::new();
    site.server("control_socket = 'run/s'");
    fs::create_dir(site.path("run")).unwrap();
    let open = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    open(site.path(""), 0o755);
    open(site.path("run"), 0o1777);
    let mut agent = Command::new("ssh-agent");
    agent.arg("-D").arg("-a").arg(site.path("run/s")).uid(ANOTHER_USER).gid(ANOTHER_USER);
    let mut agent = agent.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    while UnixStream::connect(site.path("run/s")).is_err() {
        assert!(since.elapsed() < PATIENCE, "the agent doesn't listen");
        thread::sleep(Duration::from_millis(20));
    }
    let (status, checked) = (site.run(&["status"]), site.run(&["check"]));
    let edited = site.run(&["user", "disable", "alice"]);
    chown(site.path("run"), Some(ANOTHER_USER), None).unwrap();
    open(site.path("run"), 0o755);
    let trusted = site.run(&["status"]);
    agent.kill().unwrap();
    agent.wait().unwrap();
    let told = format!("a process of another user (uid {ANOTHER_USER}) listens on it");
    assert!(!status.is_success && status.stderr.contains(&told), "{status:?}");
    assert!(!edited.is_success && edited.stderr.contains(&told), "{edited:?}");
    assert!(!fs::read_to_string(site.path("tenants/acme.toml")).unwrap().contains("enabled"));
    let warned = "control_socket: the directory ";
    assert!(checked.stderr.contains(warned) && checked.stderr.contains("in the server's place"), "{checked:?}");
    assert!(!trusted.is_success && !trusted.stderr.contains(&told), "the server's user may own it: {trusted:?}");
}

#[test]
fn a_file_that_a_killed_server_left_is_replaced() {
    let site = ServerDirectory::new();
    drop(site.start());
    assert!(fs::symlink_metadata(site.socket()).unwrap().file_type().is_socket());
    assert!(site.run(&["status"]).stderr.contains("the server isn't running"));
    let server = site.start();
    assert_eq!(site.json(&["status", "--json"])["pid"], server.process.id());
}

#[test]
fn a_server_that_answers_keeps_its_socket() {
    let site = ServerDirectory::new();
    let server = site.start();
    let lines = site.try_start().err().unwrap();
    let told = format!("another server answers on the control socket {}", site.socket().display());
    let line = lines.iter().find(|line| line.contains(&told)).unwrap_or_else(|| panic!("{lines:?}"));
    assert!(line.contains(&format!("(PID {})", server.process.id())), "{line}");
    assert_eq!(site.json(&["status", "--json"])["pid"], server.process.id(), "it still answers");
}

#[test]
fn a_socket_that_cannot_be_made_is_a_warning() {
    let site = ServerDirectory::new();
    site.write("wharfinger.sock", "an operator's notes");
    let server = site.start();
    assert!(server.line("no control socket").contains("a file that is no socket is there"));
    server.stop();
    assert_eq!(fs::read_to_string(site.socket()).unwrap(), "an operator's notes");
}

#[test]
fn a_socket_of_another_program_is_not_removed_at_the_end() {
    let site = ServerDirectory::new();
    let server = site.start();
    fs::remove_file(site.socket()).unwrap();
    let _other = UnixListener::bind(site.socket()).unwrap();
    server.stop();
    assert!(site.socket().exists());
}

#[test]
fn requests_are_bounded_and_known_or_refused() {
    let site = ServerDirectory::new();
    let _server = site.start();
    assert_eq!(site.refusal(b"{\"version\":2,\"request\":\"status\"}\n"), "version");
    assert_eq!(site.refusal(b"{\"request\":\"status\"}\n"), "version");
    for malformed in ["\n", "status\n", "{\"version\":1,\"request\":\"stop\"}\n", "\u{0}\u{ff}\n"] {
        assert_eq!(site.refusal(malformed.as_bytes()), "malformed", "{malformed:?}");
    }
    for end in ["", ",\"user\":\"alice\",\"tenant\":\"acme\"", ",\"user\":\"no/name\""] {
        let request = format!("{{\"version\":1,\"request\":\"end\"{end}}}\n");
        assert_eq!(site.refusal(request.as_bytes()), "malformed", "{request}");
    }
    let long = vec![b' '; 1 << 20];
    assert_eq!(site.refusal(&long), "too_long");
    let longest = format!("{:<width$}\n", "{\"version\":1,\"request\":\"status\"}", width = (64 << 10) - 1);
    assert_eq!(site.ask(longest.as_bytes())[0]["answer"], "status");
    // More slow peers than places: all are refused in time, and the next request has its answer.
    let slow: Vec<_> = (0..20).map(|_| UnixStream::connect(site.socket()).unwrap()).collect();
    for mut stream in slow {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("\"error\":\"too_slow\""), "{answer}");
    }
    assert_eq!(site.json(&["sessions", "--json"]), json!([]));
}

#[test]
fn sessions_end_by_id_by_user_and_by_tenant() {
    let site = ServerDirectory::new();
    site.tenant("acme", &["alice", "anna"]);
    site.tenant("globex", &["bob"]);
    let server = site.start();
    let [alice, anna, bob] = ["alice", "anna", "bob"].map(|user| site.sftp(&server, user));
    let sessions = site.sessions(3);
    let of = |user: &str| sessions.iter().find(|session| session["user"] == user).unwrap();
    assert!(of("bob")["client"].as_str().unwrap().starts_with("SSH-2.0-OpenSSH"));
    assert!(of("bob")["source"].as_str().unwrap().starts_with("127.0.0.1:"));
    let table = site.run(&["sessions"]).stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    let end = |arguments: &[&str]| site.run(&[&["sessions", "end"], arguments].concat());

    let ended = end(&[of("alice")["id"].as_str().unwrap()]);
    assert_eq!((ended.is_success, &*ended.stdout), (true, "1 session was asked to end\n"), "{ended:?}");
    site.sessions(2);
    assert!(alice.ended().contains("an operator ended the session"));
    assert!(!end(&["0123456789abcdef"]).is_success, "there is no such session");

    assert_eq!(end(&["--user", "nobody"]).stdout, "0 sessions were asked to end\n");
    assert_eq!(end(&["--user", "anna"]).stdout, "1 session was asked to end\n");
    site.sessions(1);
    let record = server.line("session end asked");
    assert!(
        record.contains("user=alice") && record.contains(&format!("operator_uid={}", geteuid().as_raw())),
        "{record}"
    );
    assert!(anna.ended().contains("an operator ended the session"));
    assert_eq!(end(&["--tenant", "globex"]).stdout, "1 session was asked to end\n");
    site.sessions(0);
    assert!(bob.ended().contains("an operator ended the session"));
    assert!(!end(&[]).is_success && !end(&["--user", "a", "--tenant", "b"]).is_success, "it takes one of them");
}

#[test]
fn a_reload_tells_its_outcome() {
    let site = ServerDirectory::new();
    let server = site.start();
    let alice = site.sftp(&server, "alice");
    site.sessions(1);
    assert_eq!(site.run(&["reload"]).stdout, "the config was reloaded\nno tenant and no user changed\n");

    site.tenant("acme", &["anna"]);
    site.tenant("globex", &["bob"]);
    site.server("drain_timeout = '1s'");
    let outcome = site.run(&["reload"]);
    assert!(outcome.is_success, "{outcome:?}");
    assert_eq!(
        outcome.stdout,
        "the config was reloaded\ntenants added (1): globex\nusers added (2): anna, bob\nusers removed (1): alice\n\
         settings that need a restart: drain_timeout\nsessions that end: 1\n"
    );
    site.sessions(0);
    assert!(alice.ended().contains("the user was removed"));

    site.write("tenants/globex.toml", "name = 'globex'\nno_such_key = 1\n");
    let outcome = site.run(&["reload"]);
    assert!(!outcome.is_success && outcome.stdout.contains("no tenant and no user changed"), "{outcome:?}");
    let file = site.path("tenants/globex.toml").display().to_string();
    assert!(outcome.stderr.contains(&format!("{file}:2: no_such_key: ")), "{outcome:?}");
    assert!(outcome.stderr.ends_with(&format!("{file} was refused: the tenant stays as it was\n")), "{outcome:?}");
    assert_eq!(site.json(&["status", "--json"])["config"]["refused_files"]["names"], json!([file]));

    site.server("no_such_key = 1");
    let outcome = site.run(&["reload"]);
    assert!(!outcome.is_success && outcome.stdout.is_empty(), "{outcome:?}");
    assert!(outcome.stderr.contains("no_such_key: "), "{outcome:?}");
    assert!(outcome.stderr.ends_with("the reload was refused: nothing was changed\n"), "{outcome:?}");
    assert_eq!(site.json(&["status", "--json"])["config"]["reload_problems"]["count"], 1);
    assert!(site.run(&["status"]).stdout.contains("the last one was refused, with 1 problem:"));
}

#[test]
fn the_loss_of_most_tenants_takes_force() {
    let site = ServerDirectory::new();
    for number in 0..12 {
        site.tenant(&format!("tenant-{number}"), &[]);
    }
    let _server = site.start();
    for number in 0..8 {
        fs::remove_file(site.path(&format!("tenants/tenant-{number}.toml"))).unwrap();
    }
    let refused = site.run(&["reload"]);
    assert!(!refused.is_success && refused.stderr.contains("8 of 13 tenants have no file any more"), "{refused:?}");
    let forced = site.run(&["reload", "--force"]);
    assert!(forced.is_success && forced.stdout.contains("tenants removed (8): tenant-0, "), "{forced:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_transfers_are_shown_and_no_path_can_forge_a_line() {
    let key = KeyFile::new();
    let demo = Demo::start(0, None, &[]).await.unwrap();
    let site = ServerDirectory::new();
    let public = fs::read_to_string(key.public()).unwrap();
    site.tenant_on("acme", &["alice"], &format!("http://{}", demo.s3().address), &public);
    let server = site.start();
    let alice = Sftp::connect(server.address, "alice", &key).await;
    let path = "/a\u{202e}b\u{2028}c";
    let flags = OpenFlags::CREATE | OpenFlags::WRITE | OpenFlags::TRUNCATE;
    let file = alice.open(path, flags, FileAttributes::empty()).await.unwrap().handle;
    alice.write(&file, 0, vec![7; 2_048]).await.unwrap();
    let sessions = site.sessions(1);
    let transfer = &sessions[0]["transfers"][0];
    assert_eq!((&transfer["path"], &transfer["bytes"]), (&json!(path), &json!(2_048)), "JSON is exact");
    assert_eq!((&transfer["transfer"], &sessions[0]["open_transfers"]), (&json!("upload"), &json!(1)));
    let table = site.run(&["sessions"]).stdout;
    assert!(table.contains("    upload /a\\u{202e}b\\u{2028}c: 2.0 KiB\n"), "{table}");
    assert!(!table.contains(['\u{202e}', '\u{2028}']), "{table:?}");
    let status = site.json(&["status", "--json"]);
    assert!(status["transfers"] == 1 && status["buffer_bytes"].as_u64().unwrap() > 0, "{status}");
}
