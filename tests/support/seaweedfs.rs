//! SeaweedFS: an independent S3 on loopback. Tests that run at the same time share it.

use super::ports::free_ports;
use parking_lot::Mutex;
use std::{
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use tempfile::TempDir;
use wharfinger::{
    account::Storage,
    name::Prefix,
    store::{Bucket, ListScope},
};

/// Access key id of its only identity, an administrator.
pub const ACCESS_KEY_ID: &str = "wharfinger";
/// Secret access key of that identity.
pub const SECRET_ACCESS_KEY: &str = "wharfinger-secret";
/// The bucket that exists from the start.
pub const BUCKET: &str = "vendor";
/// Signing key of its session tokens: at least 32 bytes, in base64.
const SIGNING_KEY: &str = "bm90IGEgc2VjcmV0OiBvbmx5IHRlc3RzIHNpZ24gd2l0aCBpdA==";
/// A role that may do everything. Its trust policy can't require an external ID: SeaweedFS doesn't pass the key to
/// trust policies.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/tenants";
/// An idle machine takes 0.6 s.
const START_TIMEOUT: Duration = Duration::from_mins(1);

/// A running SeaweedFS with an empty bucket. When the last test drops it, it is killed and its data removed.
#[derive(Debug)]
pub struct SeaweedFs {
    process: Child,
    data: TempDir,
    ports: Vec<u16>,
}

/// Flags of all its listeners. SeaweedFS chooses ports for listeners without a flag.
const LISTENERS: [&str; 10] = [
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
];

impl SeaweedFs {
    /// Returns the SeaweedFS that another test started, or starts one. Tests use different prefixes.
    pub async fn shared() -> Arc<Self> {
        static RUNNING: Mutex<Weak<SeaweedFs>> = Mutex::new(Weak::new());
        let seaweedfs = {
            let mut running = RUNNING.lock();
            running.upgrade().unwrap_or_else(|| {
                let started = Arc::new(Self::start());
                *running = Arc::downgrade(&started);
                started
            })
        };
        seaweedfs.wait_for_bucket().await;
        seaweedfs
    }

    /// Starts a SeaweedFS on loopback. It returns when the S3 port answers. The bucket appears a moment later.
    fn start() -> Self {
        let weed = executable();
        let data = TempDir::new().unwrap();
        let (here, ports) = (data.path(), free_ports(LISTENERS.len()));
        fs::write(here.join("s3.json"), identities()).unwrap();
        fs::write(here.join("iam.json"), roles()).unwrap();
        let log = File::create(here.join("log")).unwrap();
        let process = Command::new(&weed)
            .arg("mini")
            .args(LISTENERS.iter().zip(&ports).map(|(listener, port)| format!("-{listener}={port}")))
            .args(["-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"])
            .args(["-webdav=false", "-admin.ui=false", "-s3.port.iceberg=0", "-s3.port.lance=0"])
            .args([flag("dir", here), flag("s3.config", &here.join("s3.json"))])
            .arg(flag("s3.iam.config", &here.join("iam.json")))
            .args([flag("s3.localSocket", &here.join("s3.sock")), flag("filer.localSocket", &here.join("filer.sock"))])
            .arg(format!("-bucket={BUCKET}"))
            .current_dir(here)
            .env("HOME", here)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{} doesn't start ({error}): run ./scripts/test, which installs it", weed.display())
            });
        let seaweedfs = Self { process, data, ports };
        seaweedfs.until(|| TcpStream::connect(seaweedfs.address()).is_ok().then_some(()));
        seaweedfs
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address())
    }

    /// The bucket as config states it.
    pub fn storage(&self) -> Storage {
        super::scope::storage(BUCKET, &self.endpoint(), ACCESS_KEY_ID, SECRET_ACCESS_KEY)
    }

    /// Returns the bucket with these settings.
    pub async fn bucket(storage: Storage) -> Arc<dyn Bucket> {
        super::scope::bucket(storage, "").await
    }

    async fn wait_for_bucket(&self) {
        let bucket = Self::bucket(self.storage()).await;
        let everything = Prefix::parse("").unwrap();
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(error) = bucket.list(ListScope::Below(&everything), None, 1).await {
            assert!(Instant::now() < deadline, "SeaweedFS has no bucket: {error}\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.ports[0]))
    }

    fn until<T>(&self, mut probe: impl FnMut() -> Option<T>) -> T {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Some(found) = probe() {
                return found;
            }
            assert!(Instant::now() < deadline, "SeaweedFS doesn't answer\n{}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.data.path().join("log")).unwrap_or_default()
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        // An orderly stop takes 12 s, for data that is deleted anyway.
        let _ = self.process.kill();
        let _ = self.process.wait();
        for (listener, port) in LISTENERS.iter().zip(&self.ports) {
            if let Some(service) = listener.strip_suffix(".port.grpc") {
                let _ = fs::remove_file(format!("/tmp/seaweedfs-{service}-grpc-{port}.sock"));
            }
        }
    }
}

/// `$WHARFINGER_WEED`, or else the virtual environment's, or else the one on the PATH.
fn executable() -> PathBuf {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/weed");
    match std::env::var_os("WHARFINGER_WEED") {
        Some(named) => named.into(),
        None if installed.exists() => installed,
        None => "weed".into(),
    }
}

fn flag(name: &str, path: &Path) -> String {
    format!("-{name}={}", path.display())
}

fn identities() -> String {
    serde_json::json!({ "identities": [{
        "name": "wharfinger",
        "credentials": [{ "accessKey": ACCESS_KEY_ID, "secretKey": SECRET_ACCESS_KEY }],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }]})
    .to_string()
}

fn roles() -> String {
    let statement = |key: &str, value: serde_json::Value, action: &str| serde_json::json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", key: value, "Action": action }] });
    serde_json::json!({
        "sts": { "tokenDuration": "1h", "maxSessionLength": "12h", "issuer": "seaweedfs-sts", "signingKey": SIGNING_KEY },
        "policy": { "defaultEffect": "Deny", "storeType": "memory" },
        "policies": [{ "name": "everything", "document": statement("Resource", "*".into(), "s3:*") }],
        "roles": [{
            "roleName": "tenants",
            "roleArn": ROLE,
            "attachedPolicies": ["everything"],
            "trustPolicy": statement("Principal", serde_json::json!({ "AWS": "*" }), "sts:AssumeRole"),
        }],
    })
    .to_string()
}
