//! `wharfinger demo`: everything in one process, with nothing to set up.
//!
//! The process runs an S3, an STS and an IAM with two accounts, and the server with two tenants. One tenant has a prefix of the
//! vendor's bucket, the other a bucket in its own account. Passwords and S3 keys are fixed and public, so every part
//! listens on 127.0.0.1 only.

mod accounts;
mod tenants;

use crate::{
    account::PublicKey,
    app::App,
    cloud::Bounds,
    config::{Config, ServerSettings},
    control::ControlSocket,
    ledger::{Ledger, Location, SpoolSettings},
    ssh::{self, BindError, HostKeyKind, HostKeys},
};
use accounts::{Account, GLOBEX, SERVER_ACCESS_KEY_ID, SERVER_SECRET_ACCESS_KEY, VENDOR};
use anyhow::{Context as _, anyhow, bail};
use fake_aws::{FakeAws, StorageKind};
use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::warn;

const REGION: &str = "us-east-1";
/// Most memory that objects may take. Below this they may take three quarters of the free memory. A machine with 4 GiB
/// then still fits 1 GiB for each tenant.
const MAX_MEMORY_BYTES: u64 = 8 << 30;
/// Memory for objects if the free memory isn't known.
const SMALL_MEMORY_BYTES: u64 = 1 << 30;
/// Longer than a person would wait for the demo to end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// A demo that listens but doesn't serve yet.
pub struct Demo {
    app: App,
    s3: FakeAws,
    address: SocketAddr,
    data: Option<PathBuf>,
}

impl Demo {
    /// Starts the S3, and the server on `port` of 127.0.0.1. Objects live in `data`, or in memory without it. `keys`
    /// are files of public keys with which both users may log in.
    ///
    /// # Errors
    /// The port is taken, the directory can't be used, or a file holds no public key.
    pub async fn start(port: u16, data: Option<PathBuf>, keys: &[PathBuf]) -> anyhow::Result<Self> {
        let keys = keys.iter().map(|file| public_key(file)).collect::<anyhow::Result<Vec<_>>>()?;
        let storage = match &data {
            Some(directory) => StorageKind::Directory(directory.join("s3")),
            None => StorageKind::Memory { max_bytes: memory_bytes() },
        };
        let s3 = FakeAws::start(accounts::settings(storage)?).await?;
        let ssh = ssh::Settings {
            listen: vec![(Ipv4Addr::LOCALHOST, port).into()],
            // ECDSA is for Java clients that don't know Ed25519. Both keys are generated quickly, RSA isn't.
            host_key_kinds: vec![HostKeyKind::Ed25519, HostKeyKind::Ecdsa],
            ..ssh::Settings::default()
        };
        let host_keys = match &data {
            Some(directory) => HostKeys::load_or_make(&directory.join("keys"), &ssh.host_key_kinds)?,
            None => HostKeys::ephemeral(&ssh.host_key_kinds)?,
        };
        let database = data.as_ref().map(|directory| directory.join("ledger.db"));
        let ledger = match &database {
            Some(file) => Ledger::open(&Location::Sqlite(file.clone())).await?,
            None => Ledger::in_memory(),
        };
        let default = ServerSettings::default();
        let spool = database.map_or(default.spool, |file| SpoolSettings::beside(&file));
        // The demo's roles are as its tour shows them, and probes would only add to the requests that it counts.
        let server = ServerSettings {
            drain_timeout: DRAIN_TIMEOUT,
            verify_on_add: false,
            ssh,
            spool,
            ..ServerSettings::default()
        };
        let config = Config { server, tenants: tenants::tenants(&format!("http://{}", s3.address), &keys)? };
        let app = App::with(&config, host_keys, ledger, Bounds::MAX_REQUESTS).map_err(say_port)?;
        let Some(address) = app.addresses().first().copied() else { bail!("the demo listens nowhere") };
        Ok(Self { app, s3, address, data })
    }

    /// Text that tells the operator which commands to try.
    #[must_use]
    pub(crate) fn tour(&self) -> String {
        let port = self.address.port();
        let options = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null";
        let objects = match &self.data {
            Some(directory) => format!("kept in {}", directory.display()),
            None => "kept in memory, gone when the demo ends".to_owned(),
        };
        format!(
            "\
Wharfinger's demo: an S3, an STS, an IAM and the server in this process, on 127.0.0.1 alone. Objects are {objects}.

Try, in another terminal:
  sftp {options} -P {port} alice@127.0.0.1    password alice-demo, tenant acme: a prefix of the vendor's bucket
  sftp {options} -P {port} bob@127.0.0.1      password bob-demo, tenant globex: a bucket in globex's own account

Sessions of both work as roles, assumed with an external ID, that reach nothing else. Look at the buckets with any S3
tool (endpoint http://{s3}, path style, region {REGION}), each with its account's key:
{vendor}
{globex}
IAM has the same endpoint. A role that you make there may admit another server, which then needs this one's access key,
{SERVER_ACCESS_KEY_ID}, with the secret key {SERVER_SECRET_ACCESS_KEY}. docs/onboarding.md, \"From nothing to proven\", shows how.

What happens is shown below. Ctrl-C ends it.
Ready on 127.0.0.1:{port}",
            s3 = self.s3.address,
            vendor = key(&VENDOR),
            globex = key(&GLOBEX),
        )
    }

    /// The address of the SFTP server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The demo's S3.
    #[must_use]
    pub fn s3(&self) -> &FakeAws {
        &self.s3
    }

    /// Serves until `stop` is cancelled, then ends as [`App::run`] does.
    pub async fn run(self, stop: CancellationToken, hurry: CancellationToken) {
        let controlling = match &self.data {
            Some(directory) => self.control(directory).await,
            None => None,
        };
        self.app.run(stop, hurry).await;
        if let Some(controlling) = controlling {
            controlling.abort();
            drop(controlling.await);
        }
        self.s3.stop().await;
    }

    /// Makes the control socket in the demo's directory: `wharfinger sessions --config DIR/wharfinger.toml` finds it there,
    /// without such a file.
    async fn control(&self, directory: &Path) -> Option<JoinHandle<()>> {
        match ControlSocket::bind(&directory.join("wharfinger.sock")).await {
            Ok(socket) => Some(tokio::spawn(socket.serve(self.app.operator(None)))),
            Err(error) => {
                warn!(error = format!("{:#}", anyhow!(error)), "no control socket");
                None
            }
        }
    }
}

/// A line with a bucket and the access key for it.
fn key(account: &Account) -> String {
    let Account { bucket, user, secret_access_key, .. } = account;
    format!("  bucket {bucket:<16}  access key {user:<7}  secret key {secret_access_key}")
}

fn public_key(file: &Path) -> anyhow::Result<PublicKey> {
    let line = fs::read_to_string(file).with_context(|| format!("can't read the public key {}", file.display()))?;
    line.trim().parse().with_context(|| format!("{} is no public key", file.display()))
}

/// Adds a hint to the most frequent failure: if the port is taken, the operator can choose another with `--port`.
fn say_port(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<BindError>() {
        Some(bind) if bind.is_in_use() => {
            let sentence = format!("port {} is taken: choose another with --port", bind.address.port());
            error.context(sentence)
        }
        _ => error,
    }
}

/// Three quarters of the free memory, at most [`MAX_MEMORY_BYTES`].
fn memory_bytes() -> u64 {
    let free = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
        line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
    });
    free.map_or(SMALL_MEMORY_BYTES, |kib| (kib * 1024 / 4 * 3).min(MAX_MEMORY_BYTES))
}
