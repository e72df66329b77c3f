//! ministack: an independent S3, STS and IAM on loopback. Tests that run at the same time share it.
//!
//! It differs from AWS: see `tests/clients/rig/ministack.py`.

use super::ports::free_port;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// An idle machine takes 0.6 s.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// The longest wait for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A running ministack. When the last test drops it, it is killed and its data removed.
#[derive(Debug)]
pub struct Ministack {
    process: Child,
    data: TempDir,
    port: u16,
    /// Id and secret of the access key that `prepare` made.
    access_key: (String, String),
}

impl Ministack {
    /// Returns the ministack that another test started, or starts one and prepares it. `prepare` returns the access key
    /// for tests. Call it outside the runtime's threads: it blocks.
    pub fn shared(prepare: impl FnOnce(&Self) -> (String, String)) -> Arc<Self> {
        static RUNNING: Mutex<Weak<Ministack>> = Mutex::new(Weak::new());
        let mut running = RUNNING.lock();
        running.upgrade().unwrap_or_else(|| {
            let mut started = Self::start();
            started.access_key = prepare(&started);
            let started = Arc::new(started);
            *running = Arc::downgrade(&started);
            started
        })
    }

    fn start() -> Self {
        let (program, data, port) = (executable(), TempDir::new().unwrap(), free_port());
        let log = File::create(data.path().join("log")).unwrap();
        let process = Command::new(&program)
            .current_dir(data.path())
            .env_clear()
            .envs(["HOME", "TMPDIR", "STATE_DIR"].map(|name| (name, data.path())))
            .envs([("PATH", std::env::var_os("PATH").unwrap_or_default())])
            .envs([("AUTH", "true"), ("BIND_HOST", "127.0.0.1"), ("GATEWAY_PORT", &port.to_string())])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} doesn't start ({error}): run ./scripts/test, which installs it", program.display())
            });
        let ministack = Self { process, data, port, access_key: Default::default() };
        let deadline = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "ministack doesn't answer\n{}", ministack.log());
            std::thread::sleep(Duration::from_millis(20));
        }
        ministack
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Id and secret of the access key that `prepare` made.
    pub fn access_key(&self) -> (&str, &str) {
        (&self.access_key.0, &self.access_key.1)
    }

    /// Makes a user with this policy. Returns the id and the secret of its access key.
    pub fn add_user(&self, account: &str, name: &str, policy: &str) -> (String, String) {
        self.iam(account, "CreateUser", &[("UserName", name)]);
        let permissions = [("UserName", name), ("PolicyName", "permissions"), ("PolicyDocument", policy)];
        self.iam(account, "PutUserPolicy", &permissions);
        let answer = self.iam(account, "CreateAccessKey", &[("UserName", name)]);
        (element(&answer, "AccessKeyId"), element(&answer, "SecretAccessKey"))
    }

    /// Makes a role with these policies.
    pub fn add_role(&self, account: &str, name: &str, trust: &str, policy: &str) {
        self.iam(account, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", trust)]);
        let permissions = [("RoleName", name), ("PolicyName", "permissions"), ("PolicyDocument", policy)];
        self.iam(account, "PutRolePolicy", &permissions);
    }

    /// Makes an empty bucket.
    pub fn add_bucket(&self, account: &str, name: &str) {
        self.ask(account, "s3", "PUT", name, "");
    }

    fn iam(&self, account: &str, action: &str, parameters: &[(&str, &str)]) -> String {
        let encoded =
            |(name, value): &(&str, &str)| format!("&{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC));
        let parameters: String = parameters.iter().map(encoded).collect();
        self.ask(account, "iam", "POST", "", &format!("Action={action}&Version=2010-05-08{parameters}"))
    }

    /// Sends a request as the root of an account, whose access key is the account's number. ministack doesn't check the
    /// signature of root. Returns the answer, which must be a success.
    fn ask(&self, account: &str, service: &str, method: &str, path: &str, body: &str) -> String {
        let request = format!(
            "{method} /{path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\nX-Amz-Date: 20261203T000000Z\r\n\
             Authorization: AWS4-HMAC-SHA256 Credential={account}/20261203/us-east-1/{service}/aws4_request, \
             SignedHeaders=host;x-amz-date, Signature=00\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.port,
            body.len()
        );
        let answer = self.exchange(&request).unwrap_or_else(|error| panic!("{error}\n{}", self.log()));
        assert!(answer.starts_with("HTTP/1.1 200"), "{method} {path} {body}: {answer}");
        answer
    }

    fn exchange(&self, request: &str) -> io::Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", self.port))?;
        connection.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        connection.write_all(request.as_bytes())?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer)?;
        Ok(answer)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Ministack {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// `$WHARFINGER_MINISTACK`, or else that of its virtual environment.
fn executable() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv-ministack/bin/ministack");
    std::env::var_os("WHARFINGER_MINISTACK").map_or(installed, PathBuf::from)
}

/// Returns the text of the first element of a name.
fn element(xml: &str, name: &str) -> String {
    let (_, after) = xml.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("{name} in {xml}"));
    after.split_once('<').unwrap().0.to_owned()
}
