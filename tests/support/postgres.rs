//! PostgreSQL: one server for each test, on loopback and with TLS. It is stopped and removed with the test.

use super::ports::free_port;
use std::{
    fs::{self, File},
    net::TcpStream,
    os::unix::{fs::chown, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// An idle machine takes a second.
const START_TIMEOUT: Duration = Duration::from_mins(1);
const PASSWORD: &str = "of-a-test";

/// A running PostgreSQL with an empty database.
#[derive(Debug)]
pub struct Postgres {
    process: Option<Child>,
    here: TempDir,
    port: u16,
}

impl Postgres {
    /// Creates a database and starts a server for it.
    pub fn start() -> Self {
        let here = TempDir::new().unwrap();
        let port = free_port();
        own(here.path());
        fs::write(here.path().join("password"), PASSWORD).unwrap();
        let data = here.path().join("data");
        let init = ["--auth=scram-sha-256", "--username=wharfinger", "--encoding=UTF8", "--locale=C", "--no-sync"];
        // Like most servers, this one doesn't sort text by its bytes.
        let locale = ["--locale-provider=icu", "--icu-locale=en-US"];
        let pwfile = format!("--pwfile={}", here.path().join("password").display());
        run(command("initdb", here.path()).arg("-D").arg(&data).args(init).args(locale).arg(pwfile));
        make_certificate(here.path());
        let mut postgres = Self { process: None, here, port };
        postgres.resume();
        postgres
    }

    /// Starts the server again.
    pub fn resume(&mut self) {
        let log = File::create(self.here.path().join("log")).unwrap();
        let mut postgres = command("postgres", self.here.path());
        postgres
            .arg("-D")
            .arg(self.here.path().join("data"))
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-F", "-c", "ssl=on"])
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.here.path().display()))
            .arg(format!("--ssl-cert-file={}", self.certificate().display()))
            .arg(format!("--ssl-key-file={}", self.here.path().join("key.pem").display()))
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        self.process = Some(postgres.spawn().unwrap());
        let deadline = Instant::now() + START_TIMEOUT;
        while !self.log().contains("ready to accept connections")
            || TcpStream::connect(("127.0.0.1", self.port)).is_err()
        {
            assert!(Instant::now() < deadline, "PostgreSQL doesn't answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Stops the server at once, with all its connections. The database stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = Command::new("kill").args(["-QUIT", &process.id().to_string()]).status();
            let _ = process.wait();
        }
    }

    /// URL with the password.
    pub fn url(&self) -> String {
        format!("postgres://wharfinger:{PASSWORD}@127.0.0.1:{}/postgres", self.port)
    }

    /// Certificate that clients must trust.
    pub fn certificate(&self) -> PathBuf {
        self.here.path().join("certificate.pem")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.here.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A program of the newest PostgreSQL. PostgreSQL refuses to run as root, so another user runs it.
fn command(program: &str, here: &Path) -> Command {
    let mut command = Command::new(executable(program));
    command.current_dir(here).env_clear().env("HOME", here).env("PATH", "/usr/bin:/bin").stdin(Stdio::null());
    if let Some((uid, gid)) = somebody_else() {
        command.uid(uid).gid(gid);
    }
    command
}

/// Finds a program of the server. Debian installs them outside of every PATH.
fn executable(program: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let found = versions.map(|version| version.path().join("bin").join(program)).filter(|path| path.exists()).max();
    found.unwrap_or_else(|| panic!("PostgreSQL's {program} isn't there: run ./scripts/test, which installs it"))
}

/// User and group to run as instead of root. `None` if this process isn't root.
fn somebody_else() -> Option<(u32, u32)> {
    let number = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u32>().unwrap()
    };
    (number(&["-u"]) == 0).then(|| (number(&["-u", "postgres"]), number(&["-g", "postgres"])))
}

fn own(path: &Path) {
    if let Some((uid, gid)) = somebody_else() {
        chown(path, Some(uid), Some(gid)).unwrap();
    }
}

/// Makes a self-signed certificate for 127.0.0.1.
fn make_certificate(here: &Path) {
    let mut openssl = Command::new("openssl");
    openssl
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", "/CN=a test's PostgreSQL", "-addext", "subjectAltName=IP:127.0.0.1"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout", "key.pem", "-out", "certificate.pem"])
        .current_dir(here)
        .stdin(Stdio::null());
    run(&mut openssl);
    own(&here.join("key.pem"));
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
