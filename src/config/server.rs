//! `wharfinger.toml`: the settings of the server.

use super::{
    control,
    document::ConfigTable,
    ledger, ssh,
    value::{ByteSize, parsed, words},
};
use crate::{
    account::PrincipalArn,
    ledger::{Location, RecordRetention, SpoolSettings},
    upload::MIN_PART_BYTES,
};
use std::{
    path::{Path, PathBuf},
    time::Duration,
};
use tracing::Level;

/// The parts that the least memory is counted in. Beside what small files and password checks have, one tenant can
/// fill two of them, and another one a third.
const MIN_PARTS: u64 = 4;

#[derive(Clone, Debug)]
pub(crate) struct ServerSettings {
    /// The process's memory for file bytes in flight, in both directions.
    pub(crate) max_buffer_bytes: u64,
    /// The time that an upload waits for memory before the answer "server busy".
    pub(crate) upload_wait: Duration,
    /// The time that transfers may take to finish after a request to stop.
    pub(crate) drain_timeout: Duration,
    /// True if the server doesn't start with a tenant's file that has a problem.
    pub(crate) strict: bool,
    /// True if the server reloads its config when the files change.
    pub(crate) watch_config: bool,
    /// True if the server probes the roles of tenants, and refuses logins of those whose role is open.
    pub(crate) verify_on_add: bool,
    /// The time that open transfers may take to finish after a reload took their session's rights.
    pub(crate) reload_grace: Duration,
    /// The identity that the server has in AWS, for the trust policies of the tenants' roles. `None` if the config doesn't
    /// say.
    pub(crate) server_principal: Option<PrincipalArn>,
    /// The socket by which an operator's commands reach the server.
    pub(crate) control_socket: PathBuf,
    /// The format and the level of the log.
    pub(crate) log: Log,
    /// The location of the SQL database.
    pub(crate) ledger: Location,
    /// The spool of the ledger's records.
    pub(crate) spool: SpoolSettings,
    /// The time for which records stay in the ledger.
    pub(crate) retention: RecordRetention,
    /// The listeners and their connections.
    pub(crate) ssh: crate::ssh::Settings,
}

/// The format and the level of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Log {
    /// The format of each line.
    pub(crate) format: LogFormat,
    /// The least severe level that the log writes.
    pub(crate) level: Level,
}

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// A line for people to read.
    Human,
    /// One JSON object a line.
    Json,
}

parsed! { PrincipalArn: "the ARN of the role or user that the server runs as" }
words!(LogFormat { "human" => LogFormat::Human, "json" => LogFormat::Json });
words!(Level {
    "error" => Level::ERROR, "warn" => Level::WARN, "info" => Level::INFO, "debug" => Level::DEBUG,
    "trace" => Level::TRACE
});

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: Level::INFO }
    }
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            max_buffer_bytes: 256 << 20,
            // This exceeds the time for which an upload may be silent while others wait for its memory.
            upload_wait: Duration::from_secs(40),
            drain_timeout: Duration::from_secs(30),
            strict: false,
            watch_config: false,
            verify_on_add: true,
            reload_grace: Duration::from_secs(30),
            server_principal: None,
            control_socket: control::DEFAULT.into(),
            log: Log::default(),
            ledger: Location::Sqlite("ledger.db".into()),
            spool: SpoolSettings::beside(Path::new("ledger.db")),
            retention: RecordRetention::default(),
            ssh: crate::ssh::Settings::default(),
        }
    }
}

impl ServerSettings {
    pub(super) fn read(root: &mut ConfigTable<'_>) -> Option<Self> {
        let default = Self::default();
        let max_buffer_bytes = read_max_buffer_bytes(root, default.max_buffer_bytes);
        let upload_wait = root.or("upload_wait", default.upload_wait);
        let drain_timeout = root.or("drain_timeout", default.drain_timeout);
        let strict = root.or("strict", default.strict);
        let watch_config = root.or("watch_config", default.watch_config);
        let verify_on_add = root.or("verify_on_add", default.verify_on_add);
        let reload_grace = root.or("reload_grace", default.reload_grace);
        let server_principal = root.optional("server_principal");
        let control_socket = control::read(root);
        let log = root.table("log", |log| {
            let Log { format, level } = default.log;
            Some(Log { format: log.or("format", format), level: log.or("level", level) })
        })?;
        let (ledger, spool, retention) = root.table("ledger", |ledger| ledger::read(ledger, default.ledger))?;
        let ssh = root.table("ssh", ssh::read)?;
        if upload_wait >= ssh.idle_timeout {
            let idle = ssh.idle_timeout;
            root.problem("upload_wait", format!("is {upload_wait:?}; it takes less than `ssh.idle_timeout`, {idle:?}"));
        }
        Some(Self {
            max_buffer_bytes,
            upload_wait,
            drain_timeout,
            strict,
            watch_config,
            verify_on_add,
            reload_grace,
            server_principal,
            control_socket,
            log,
            ledger,
            spool,
            retention,
            ssh,
        })
    }
}

impl ServerSettings {
    /// Returns the keys that differ from those of the `running` server and hold only after a restart.
    #[must_use]
    pub(crate) fn needs_restart(&self, running: &Self) -> Vec<&'static str> {
        keys_of([
            ("max_buffer_bytes", self.max_buffer_bytes != running.max_buffer_bytes),
            ("upload_wait", self.upload_wait != running.upload_wait),
            ("drain_timeout", self.drain_timeout != running.drain_timeout),
            ("verify_on_add", self.verify_on_add != running.verify_on_add),
            ("control_socket", self.control_socket != running.control_socket),
            ("log", self.log != running.log),
            ("ledger", self.ledger != running.ledger || self.spool != running.spool),
            ("ledger.retention", self.retention != running.retention),
            ("ssh.idle_timeout", self.ssh.idle_timeout != running.ssh.idle_timeout),
            ("ssh.max_login_tries", self.ssh.max_login_tries != running.ssh.max_login_tries),
            ("ssh.password_checks", self.ssh.password_checks != running.ssh.password_checks),
        ])
    }

    /// Returns the keys that differ from those of the `former` settings and hold at once.
    #[must_use]
    pub(crate) fn changes_at_once(&self, former: &Self) -> Vec<&'static str> {
        let crate::ssh::Settings {
            listen,
            proxy_protocol,
            shared_sources,
            host_key_directory,
            host_key_kinds,
            algorithms,
            prefer_gcm,
            login_timeout,
            idle_timeout: _,
            keepalive_interval,
            keepalive_max,
            connections,
            max_login_tries: _,
            password_checks: _,
        } = &self.ssh;
        let ssh = &former.ssh;
        keys_of([
            ("strict", self.strict != former.strict),
            ("watch_config", self.watch_config != former.watch_config),
            ("reload_grace", self.reload_grace != former.reload_grace),
            ("server_principal", self.server_principal != former.server_principal),
            ("ssh.listen", *listen != ssh.listen),
            ("ssh.proxy_protocol", *proxy_protocol != ssh.proxy_protocol),
            ("ssh.shared_sources", *shared_sources != ssh.shared_sources),
            ("ssh.host_keys.directory", *host_key_directory != ssh.host_key_directory),
            ("ssh.host_keys.kinds", *host_key_kinds != ssh.host_key_kinds),
            ("ssh.algorithms", *algorithms != ssh.algorithms),
            ("ssh.prefer_gcm", *prefer_gcm != ssh.prefer_gcm),
            ("ssh.login_timeout", *login_timeout != ssh.login_timeout),
            ("ssh.keepalive_interval", *keepalive_interval != ssh.keepalive_interval),
            ("ssh.keepalive_max", *keepalive_max != ssh.keepalive_max),
            ("limits on connections of ssh", *connections != ssh.connections),
        ])
    }
}

/// Returns the keys that differ.
fn keys_of<const N: usize>(keys: [(&'static str, bool); N]) -> Vec<&'static str> {
    keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
}

fn read_max_buffer_bytes(root: &mut ConfigTable<'_>, default: u64) -> u64 {
    let max = root.or("max_buffer_bytes", ByteSize(default));
    let least = ByteSize(MIN_PARTS * MIN_PART_BYTES);
    if max < least {
        root.problem("max_buffer_bytes", format!("is {max}; it takes {least} or more"));
    }
    max.0
}
