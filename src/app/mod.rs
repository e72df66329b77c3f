//! The composition root: builds a running server from a config, and ends it in good order.

mod janitor;
mod operator;
mod owner_lookup;
mod preflight;
mod reload;
mod repairs;
mod resolution;
mod retention_keeper;
mod role_keeper;
mod sweep;
mod usage_keeper;

pub(crate) use operator::Operator;
pub(crate) use preflight::Preflight;
pub(crate) use reload::{LastReload, Reload, Reloaded};

use crate::{
    access::Access,
    clock::SystemClock,
    cloud::{Bounds, S3Buckets},
    config::{Config, Loaded},
    events::Events,
    identity::{self, StaticProvider},
    ledger::{Ledger, RecordWriter, Records, Spool},
    memory::Budget,
    policy::{DailyUsage, PacerTable, PasswordChecks, must_end},
    session::Sessions,
    sftp::channel::{self, SftpChannels},
    ssh::{self, HostKeyFingerprint, HostKeys, Listening},
    tenants::Tenants,
    vfs::Node,
};
use anyhow::Context as _;
use janitor::Janitor;
use operator::Drain;
use owner_lookup::OwnerLookup;
use reload::ReloadedParts;
use repairs::Repairs;
use resolution::Resolution;
use retention_keeper::RetentionKeeper;
use role_keeper::RoleKeeper;
use std::{net::SocketAddr, num::NonZeroUsize, path::Path, sync::Arc, thread, time::Duration};
use sweep::Sweep;
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::Notify,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use usage_keeper::UsageKeeper;

/// The time for aborting interrupted uploads in S3 at the end.
const CLEAN_UP: Duration = Duration::from_secs(30);

/// A server that listens and doesn't serve yet.
pub(crate) struct App {
    listening: Listening,
    host_keys: Vec<HostKeyFingerprint>,
    tenants: Arc<Tenants>,
    buckets: Arc<S3Buckets>,
    sessions: Arc<Sessions>,
    sftp: Arc<SftpChannels>,
    budget: Arc<Budget>,
    passwords: Arc<StaticProvider>,
    events: Events,
    ledger: Ledger,
    repairs: Repairs,
    janitor: Janitor,
    sweep: Sweep,
    usage: UsageKeeper,
    /// `None` for a ledger that ends with the process.
    records: Option<(RecordWriter, Resolution)>,
    spool: Option<Arc<Spool>>,
    /// `None` for a ledger that ends with the process.
    retention: Option<RetentionKeeper>,
    /// `None` with `verify_on_add = false`.
    roles: Option<RoleKeeper>,
    /// Tells the keeper of roles that the directory was swapped.
    swapped: Arc<Notify>,
    pacers: Arc<PacerTable>,
    drain_timeout: Duration,
    drain: Arc<Drain>,
}

impl App {
    /// Builds the server and listens. Makes no request to a tenant's storage, and later at most `s3_requests` at once.
    ///
    /// # Errors
    /// The server can't read or make its host keys, can't use its ledger, can't listen on an address, or can't check
    /// logins.
    pub(crate) async fn build(config: &Config, s3_requests: usize) -> anyhow::Result<Self> {
        let keys = &config.server.ssh;
        let host_keys = HostKeys::load_or_make(&keys.host_key_directory, &keys.host_key_kinds)?;
        let ledger = Ledger::open(&config.server.ledger).await?;
        info!(url = %config.server.ledger, "ledger");
        Self::with(config, host_keys, ledger, s3_requests)
    }

    /// Like [`App::build`], with given host keys and a given ledger. Call it in a tokio runtime.
    ///
    /// # Errors
    /// The errors of [`App::build`].
    pub(crate) fn with(
        config: &Config,
        host_keys: HostKeys,
        ledger: Ledger,
        s3_requests: usize,
    ) -> anyhow::Result<Self> {
        let server = &config.server;
        let (tenants, logins) = Tenants::with_logins(&config.tenants);
        let ssh = ssh::Settings { password_checks: affordable(server.ssh.password_checks), ..server.ssh.clone() };
        let budget = Budget::beside_checks(server.max_buffer_bytes, check_bytes(config, ssh.password_checks));
        let passwords = StaticProvider::new(logins, ssh.password_checks);
        let passwords = passwords.context("the users' logins can't be checked")?;
        let passwords = Arc::new(passwords.within(budget.check_bytes()));
        let events = Events::new(&node_name());
        let records = ledger.records(&server.spool)?;
        if let Some(records) = &records {
            events.spool_to(Arc::clone(&records.spool) as Arc<_>);
        }
        let settings = channel::ChannelSettings {
            upload_wait: server.upload_wait,
            idle_timeout: server.ssh.idle_timeout,
            ..channel::ChannelSettings::default()
        };
        let usage = Arc::new(DailyUsage::default());
        let pacers = Arc::new(PacerTable::default());
        usage_keeper::set_limits(&usage, &pacers, &tenants);
        let bounds = Bounds { requests: s3_requests, ..Bounds::default() };
        let buckets = S3Buckets::with_bounds(Arc::clone(&tenants), bounds).charged_to(Arc::clone(&usage));
        let buckets = Arc::new(buckets.paced_by(Arc::clone(&pacers)));
        let owners = Arc::new(OwnerLookup::new(Arc::clone(&buckets) as Arc<_>, Arc::clone(&tenants)));
        let spool = records.as_ref().map(|records| Arc::clone(&records.spool));
        let records = records.map(|Records { spool, writer, interrupted }| {
            (writer, Resolution::new(spool, Arc::clone(&owners), events.clone(), interrupted))
        });
        let old_records = ledger.old_records(server.retention);
        let retention = old_records.map(|records| RetentionKeeper::new(records, Arc::new(SystemClock)));
        let janitor = Janitor::new(ledger.journal(), Arc::clone(&owners), events.clone());
        let sweep = Sweep::new(ledger.journal(), Arc::clone(&buckets) as Arc<_>, Arc::clone(&tenants), events.clone());
        let usage = UsageKeeper::new(usage, ledger.journal())?;
        let swapped = Arc::new(Notify::new());
        let roles = server.verify_on_add.then(|| {
            let (prober, clock) = (Arc::clone(&buckets) as Arc<_>, Arc::new(SystemClock));
            let (tenants, swapped) = (Arc::clone(&tenants), Arc::clone(&swapped));
            RoleKeeper::new(tenants, ledger.journal(), prober, events.clone(), clock, swapped)
        });
        let node = Node::new(Arc::clone(&buckets) as Arc<_>, Arc::clone(&budget), ledger.journal());
        let repairs = Repairs::new(ledger.journal(), owners, Arc::clone(&node), events.clone());
        let sessions = Arc::new(Sessions::new(node, events.clone()).paced_by(Arc::clone(&pacers)));
        let sftp = Arc::new(SftpChannels::new(Arc::clone(&budget), settings));
        let password_checks = PasswordChecks::new(ssh.password_checks);
        let max_tries = ssh.max_login_tries;
        let access = Access::new(
            Arc::clone(&passwords) as Arc<_>,
            Arc::clone(&tenants),
            password_checks,
            Arc::clone(&sessions),
            events.clone(),
            max_tries,
        );
        if host_keys.are_new() && ledger.was_used() {
            warn!(
                "the host keys are new, and the ledger is one that a server ran on: clients that know the old keys refuse \
                 to connect; stop the server, put the files of the old keys back into the directory of [ssh.host_keys], \
                 and start it again"
            );
        }
        let fingerprints = host_keys.fingerprints();
        for fingerprint in &fingerprints {
            info!(%fingerprint, "host key");
        }
        let ssh = ssh::Server::new(ssh, host_keys, Arc::new(access), Arc::clone(&sftp));
        let (listening, drain_timeout) = (ssh.bind()?, server.drain_timeout);
        let drain = Arc::default();
        Ok(Self {
            listening,
            host_keys: fingerprints,
            tenants,
            buckets,
            sessions,
            sftp,
            budget,
            passwords,
            events,
            ledger,
            repairs,
            janitor,
            sweep,
            usage,
            records,
            spool,
            retention,
            roles,
            swapped,
            pacers,
            drain_timeout,
            drain,
        })
    }

    /// Returns the reload of this server's config, which was `loaded` from `file`. Records the tenants' files that the
    /// config leaves out.
    #[must_use]
    pub(crate) fn reload(&self, loaded: &Loaded, file: &Path) -> Arc<Reload> {
        reload::record_refused(&self.events, &loaded.refused);
        self.tenants.swap_with(&loaded.config.tenants, reload::refused_files(&loaded.refused));
        usage_keeper::set_limits(self.usage.usage(), &self.pacers, &self.tenants);
        let parts = ReloadedParts {
            tenants: Arc::clone(&self.tenants),
            buckets: Arc::clone(&self.buckets),
            usage: Arc::clone(self.usage.usage()),
            pacers: Arc::clone(&self.pacers),
            sessions: Arc::clone(&self.sessions),
            listeners: self.listening.listeners(),
            swapped: Arc::clone(&self.swapped),
        };
        Arc::new(Reload::new(loaded, file, parts, self.host_keys.clone(), self.events.clone()))
    }

    /// Returns the parts that an operator's commands ask. `reload` is `None` for a server without config files.
    #[must_use]
    pub(crate) fn operator(&self, reload: Option<Arc<Reload>>) -> Operator {
        let memory = (Arc::clone(&self.budget), Arc::clone(&self.passwords));
        let (sessions, tenants) = (Arc::clone(&self.sessions), Arc::clone(&self.tenants));
        let tenants = (tenants, self.spool.clone());
        Operator::new(sessions, memory, tenants, Arc::clone(&self.drain), node_name(), reload)
    }

    /// Returns the addresses of the listeners, with the ports that the system chose.
    #[must_use]
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.addresses()
    }

    /// Serves until `stop` is cancelled. Then the server accepts no new connections and lets transfers finish. After
    /// the drain time-out it cuts the remaining connections and aborts their uploads. Cancelling `hurry` skips the
    /// wait.
    pub(crate) async fn run(mut self, stop: CancellationToken, hurry: CancellationToken) {
        for address in self.addresses() {
            info!(%address, "listening");
        }
        // Before the first session: what earlier processes used today counts, and what STS told them.
        self.usage.sync().await;
        if let Some(roles) = &mut self.roles {
            roles.look().await;
        }
        // Maintenance ends what sessions began, also for a tenant that has used up its requests.
        let repairing = tokio::spawn(stop.clone().run_until_cancelled_owned(must_end(self.repairs.run())));
        let clearing = tokio::spawn(stop.clone().run_until_cancelled_owned(must_end(self.janitor.run())));
        let sweeping = tokio::spawn(stop.clone().run_until_cancelled_owned(must_end(self.sweep.run())));
        let deleting = self.retention.map(|keeper| tokio::spawn(stop.clone().run_until_cancelled_owned(keeper.run())));
        let verifying = self.roles.map(|roles| tokio::spawn(stop.clone().run_until_cancelled_owned(roles.run())));
        let (saving, saved) = (CancellationToken::new(), self.usage.clone());
        let saving_usage = tokio::spawn(saving.clone().run_until_cancelled_owned(async move { saved.run().await }));
        let (writing, records) = (CancellationToken::new(), self.records);
        let recording = records.map(|(writer, resolution)| {
            let resolving = tokio::spawn(stop.clone().run_until_cancelled_owned(must_end(resolution.run())));
            (tokio::spawn(writer.run_until(writing.clone())), resolving)
        });
        let reporting = tokio::spawn(self.events.clone().run_log());
        let (budget, passwords) = (self.budget, self.passwords);
        let releasing = async move { tokio::join!(budget.release_idle(), passwords.release_idle()) };
        let releasing = tokio::spawn(releasing);
        let (drain, cut) = (stop.clone(), CancellationToken::new());
        let serving = self.listening.run(drain, cut.clone());
        let drain_timeout = self.drain_timeout;
        let clock = async {
            stop.cancelled().await;
            self.drain.begin(drain_timeout);
            info!(drain_timeout_s = drain_timeout.as_secs(), "stopping: open transfers may finish");
            if timeout(drain_timeout, hurry.cancelled()).await.is_err() {
                warn!("the drain time-out is over: open transfers are interrupted");
            }
            self.drain.begin(Duration::ZERO);
            cut.cancel();
        };
        // The clock comes first: it logs that the server is stopping, even if the last connection ends at once.
        tokio::select! {
            biased;
            () = async { clock.await; std::future::pending().await } => {}
            () = serving => {}
        }
        let drained = async {
            self.sftp.drained().await;
            self.sessions.finish_journal().await;
        };
        if timeout(CLEAN_UP, drained).await.is_err() {
            warn!("S3 did not answer in time: multipart uploads of interrupted transfers may be left open");
        }
        // These tasks were asked to stop before the drain.
        drop((repairing.await, clearing.await, sweeping.await));
        if let Some(verifying) = verifying {
            drop(verifying.await);
        }
        if let Some(deleting) = deleting {
            drop(deleting.await);
        }
        // The last transfers have ended, so that nothing of today is forgotten.
        saving.cancel();
        drop(saving_usage.await);
        self.usage.sync().await;
        if let Some((recording, resolving)) = recording {
            drop(resolving.await);
            // The last records have come.
            writing.cancel();
            drop(recording.await);
        }
        self.ledger.close().await;
        releasing.abort();
        reporting.abort();
        self.events.finish_log();
        info!("stopped");
    }
}

/// Returns the node's name in its records: the host name of the machine or the pod.
fn node_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// Returns the memory that the password checks of this config may need at a time.
fn check_bytes(config: &Config, password_checks: NonZeroUsize) -> u64 {
    let users = config.tenants.iter().flat_map(|tenant| &tenant.users);
    identity::check_bytes(users.filter_map(|user| user.credentials.password_hash.as_ref()), password_checks)
}

/// Limits `password_checks` to half of the cores: a flood of passwords leaves the other half to logged-in users.
fn affordable(password_checks: NonZeroUsize) -> NonZeroUsize {
    let cores = thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    password_checks.min(cores.div_ceil(NonZeroUsize::MIN.saturating_add(1)))
}

/// The signals of the process.
pub(crate) struct Signals {
    /// SIGTERM or Ctrl-C cancels it: the server stops.
    pub(crate) stop: CancellationToken,
    /// A second SIGTERM or Ctrl-C cancels it: the server cuts its connections.
    pub(crate) hurry: CancellationToken,
    /// SIGHUP.
    pub(crate) hangups: Signal,
}

impl Signals {
    /// Listens for the signals. Ignores those that make other servers reopen their log, because they would end the
    /// process. Call it in a tokio runtime.
    ///
    /// # Errors
    /// The process can't listen for the signals.
    pub(crate) fn listen() -> std::io::Result<Self> {
        ignore(signal(SignalKind::user_defined1())?, "SIGUSR1");
        ignore(signal(SignalKind::user_defined2())?, "SIGUSR2");
        let hangups = signal(SignalKind::hangup())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
        let tokens = [stop.clone(), hurry.clone()];
        tokio::spawn(async move {
            for token in tokens {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                token.cancel();
            }
        });
        Ok(Self { stop, hurry, hangups })
    }

    /// Ignores SIGHUP.
    #[cfg(feature = "demo")]
    pub(crate) fn without_hangups(self) -> (CancellationToken, CancellationToken) {
        ignore(self.hangups, "SIGHUP");
        (self.stop, self.hurry)
    }
}

/// Ignores a signal, and logs its first arrival.
fn ignore(mut signals: Signal, name: &'static str) {
    // The system's default action doesn't return when the listener is gone.
    tokio::spawn(async move {
        if signals.recv().await.is_some() {
            info!(signal = name, "signal ignored");
        }
    });
}
