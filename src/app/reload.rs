//! Takes over the config's files while the server runs.
//!
//! Invariant: a file is taken over as a whole or not at all, and a reload that is refused changes nothing.

use super::usage_keeper;
use crate::{
    clock::{Clock as _, SystemClock},
    cloud::S3Buckets,
    config::{
        ConfigContents, ConfigReading, Loaded, Problem, RefusedTenant, ServedTenants, ServerSettings, WatchedFiles,
    },
    events::{ConfigChanges, Event, Events, NameChanges, NameList, Who},
    policy::{DailyUsage, PacerTable},
    session::Sessions,
    ssh::{self, HostKeyFingerprint, HostKeys, Listeners},
    tenants::{Changes, DirectoryChanges, RefusedFiles, Tenants},
};
use parking_lot::Mutex as SyncMutex;
use std::{
    collections::BTreeSet,
    fmt::Display,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use time::OffsetDateTime;
use tokio::{
    signal::unix::Signal,
    sync::{Mutex, Notify},
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};

/// The time between two looks at the files. A change counts if two of them agree.
const POLL: Duration = Duration::from_secs(2);

/// A directory that held this many tenants must not lose more than half of them unasked: it may be an empty mount.
const MIN_TENANTS_TO_LOSE: usize = 10;

/// The keys that the problems of a reload name.
const TENANTS: &str = "tenants_directory";
const HOST_KEYS: &str = "ssh.host_keys.directory";
const LISTEN: &str = "ssh.listen";

/// The problems of one file or one reload that a record keeps.
const MAX_PROBLEMS: usize = 20;

/// The parts of the server that follow a new config.
pub(super) struct ReloadedParts {
    pub(super) tenants: Arc<Tenants>,
    pub(super) buckets: Arc<S3Buckets>,
    pub(super) usage: Arc<DailyUsage>,
    pub(super) pacers: Arc<PacerTable>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) listeners: Arc<Listeners>,
    /// Told after each swap of the directory.
    pub(super) swapped: Arc<Notify>,
}

/// Reloads the config of one running server. Reloads come one after the other.
pub(crate) struct Reload {
    file: PathBuf,
    parts: ReloadedParts,
    events: Events,
    /// The settings that the server started with.
    running: ServerSettings,
    state: Mutex<ReloadState>,
    /// A copy for operators, who must not wait for a reload.
    last: SyncMutex<LastReload>,
}

/// The config in force, and the outcome of the last reload.
#[derive(Clone, Debug)]
pub(crate) struct LastReload {
    /// The time of the start, or of the last reload that wasn't refused.
    pub(crate) loaded_at: OffsetDateTime,
    /// The problems for which the last reload was refused.
    pub(crate) problems: Vec<Problem>,
    /// The tenants' files that are not in force.
    pub(crate) refused: Vec<RefusedTenant>,
    /// The keys of changed settings that hold only after a restart.
    pub(crate) needs_restart: Vec<&'static str>,
}

struct ReloadState {
    served: ServedTenants,
    /// The settings in force, but for those that hold only after a restart.
    settings: ServerSettings,
    host_keys: Vec<HostKeyFingerprint>,
    watched: WatchedFiles,
    watch: ConfigWatch,
    outcome: ReloadOutcome,
}

/// The outcome of the last reload, but for the changes that it made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct ReloadOutcome {
    problems: Vec<Problem>,
    refused: Vec<RefusedTenant>,
    needs_restart: Vec<&'static str>,
}

impl ReloadOutcome {
    fn refused(problems: &[Problem]) -> Self {
        Self { problems: problems.to_vec(), ..Self::default() }
    }
}

/// The contents of the config's files at the polls so far.
#[derive(Debug, Default)]
struct ConfigWatch {
    /// The contents for which there was a reload.
    reloaded: Option<ConfigContents>,
    /// The contents of the last poll.
    last: Option<ConfigContents>,
}

impl ConfigWatch {
    /// Notes the contents of a poll. Returns true if they are new, and those of the poll before.
    fn agrees(&mut self, contents: ConfigContents) -> bool {
        let is_new = self.reloaded != Some(contents) && self.last == Some(contents);
        self.last = Some(contents);
        if is_new {
            self.reloaded = Some(contents);
        }
        is_new
    }
}

/// The outcome of a reload that was carried out.
#[derive(Debug)]
pub(crate) struct Reloaded {
    pub(crate) changes: DirectoryChanges,
    /// The addresses that the server listens on since, and those that it closed.
    pub(crate) listeners: Changes<SocketAddr>,
    /// The host keys that new connections see since, and those that they don't.
    pub(crate) host_keys: Changes<HostKeyFingerprint>,
    /// The tenants' files that are not in force.
    pub(crate) refused: Vec<RefusedTenant>,
    /// The keys of changed settings that are in force.
    pub(crate) settings: Vec<&'static str>,
    /// The keys of changed settings that hold only after a restart.
    pub(crate) needs_restart: Vec<&'static str>,
    /// The number of sessions that it ends.
    pub(crate) ended_sessions: usize,
}

impl Reloaded {
    /// Returns the changes, as records and operators name them.
    #[must_use]
    pub(crate) fn config_changes(&self) -> ConfigChanges {
        ConfigChanges {
            tenants: names(&self.changes.tenants),
            users: names(&self.changes.users),
            listeners: names(&self.listeners),
            host_keys: names(&self.host_keys),
            settings: self.settings.iter().map(ToString::to_string).collect(),
        }
    }

    /// True if everything is as it was before.
    fn changed_nothing(&self) -> bool {
        self.config_changes() == ConfigChanges::default()
    }
}

fn names<T: Clone + Display + Ord>(changes: &Changes<T>) -> NameChanges {
    let list = |names: &[T]| NameList::new(names.to_vec());
    NameChanges { added: list(&changes.added), changed: list(&changes.changed), removed: list(&changes.removed) }
}

impl Reload {
    pub(super) fn new(
        loaded: &Loaded,
        file: &Path,
        parts: ReloadedParts,
        host_keys: Vec<HostKeyFingerprint>,
        events: Events,
    ) -> Self {
        let outcome = ReloadOutcome { refused: loaded.refused.clone(), ..ReloadOutcome::default() };
        let (served, watched) = (loaded.served.clone(), loaded.watched.clone());
        let last = SyncMutex::new(LastReload {
            loaded_at: SystemClock.now().into(),
            problems: Vec::new(),
            refused: loaded.refused.clone(),
            needs_restart: Vec::new(),
        });
        let running = loaded.config.server.clone();
        let (settings, watch) = (running.clone(), ConfigWatch::default());
        let state = Mutex::new(ReloadState { served, settings, host_keys, watched, watch, outcome });
        Self { file: file.to_owned(), parts, events, running, state, last }
    }

    /// Takes over the files. `force` accepts the loss of most tenants.
    ///
    /// # Errors
    /// The reasons why nothing was changed: problems of the server's file, or the loss of most tenants.
    pub(crate) async fn reload(&self, force: bool) -> Result<Reloaded, Vec<Problem>> {
        let mut state = self.state.lock().await;
        let state = &mut *state;
        // The next polls compare with what the files hold now.
        state.watch.reloaded = if state.settings.watch_config { contents(&state.watched).await } else { None };
        let reloaded = self.try_reload(state, force).await;
        self.record(&reloaded);
        reloaded
    }

    /// Returns the config in force and the outcome of the last reload. Doesn't wait for a reload.
    pub(crate) fn last(&self) -> LastReload {
        self.last.lock().clone()
    }

    /// Reloads at each SIGHUP, and with `watch_config = true` when the files have changed.
    pub(crate) async fn run(self: Arc<Self>, mut hangups: Signal) {
        let mut polls = interval(POLL);
        polls.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                Some(()) = hangups.recv() => drop(self.reload(false).await),
                _ = polls.tick() => self.poll().await,
            }
        }
    }

    /// Reloads if two polls agree on contents that the last reload hasn't seen. A reload that changes nothing leaves no
    /// record: the first poll doesn't know whether the files changed since the server has read them, and a reload may
    /// find other files to watch.
    async fn poll(&self) {
        let mut state = self.state.lock().await;
        if !state.settings.watch_config {
            state.watch = ConfigWatch::default();
            return;
        }
        let Some(contents) = contents(&state.watched).await else { return };
        if !state.watch.agrees(contents) {
            return;
        }
        let before = state.outcome.clone();
        let reloaded = self.try_reload(&mut state, false).await;
        if state.outcome != before || reloaded.as_ref().is_ok_and(|reloaded| !reloaded.changed_nothing()) {
            self.record(&reloaded);
        }
    }

    async fn try_reload(&self, state: &mut ReloadState, force: bool) -> Result<Reloaded, Vec<Problem>> {
        let reloaded = self.take_over(state, force).await;
        let mut last = self.last.lock();
        match &reloaded {
            Ok(Reloaded { refused, needs_restart, .. }) => {
                let (refused, needs_restart) = (refused.clone(), needs_restart.clone());
                *last =
                    LastReload { loaded_at: SystemClock.now().into(), problems: Vec::new(), refused, needs_restart };
            }
            // The config of the reload before stays in force, with the files that it refused.
            Err(problems) => last.problems.clone_from(problems),
        }
        drop(last);
        reloaded
    }

    async fn take_over(&self, state: &mut ReloadState, force: bool) -> Result<Reloaded, Vec<Problem>> {
        let file = self.file.clone();
        let reading = spawn_blocking(move || ConfigReading::of(&file))
            .await
            .map_err(|error| vec![self.problem(TENANTS, &error)])?;
        // The files of a refused config are watched too: an operator mends one of them.
        state.watched = reading.watched().clone();
        let checked =
            reading.server().cloned().and_then(|settings| match self.losses(state, &reading, &settings.ssh) {
                losses if !force && !losses.is_empty() => Err(losses),
                _ => Ok(settings),
            });
        let settings = checked.inspect_err(|problems| state.outcome = ReloadOutcome::refused(problems))?;
        let edge = self.change_edge(state, &settings.ssh).await.inspect_err(|problems| {
            state.outcome = ReloadOutcome::refused(problems);
            // The files may be right, and the next try succeed.
            state.watch.reloaded = None;
        });
        let (listeners, host_keys) = edge?;
        let (served, refused) = reading.served_after(&state.served);
        let changes = self.parts.tenants.swap_with(&served.setups(), refused_files(&refused));
        self.parts.swapped.notify_one();
        usage_keeper::set_limits(&self.parts.usage, &self.parts.pacers, &self.parts.tenants);
        let ended_sessions = self.parts.sessions.follow(&self.parts.tenants, settings.reload_grace);
        self.parts.buckets.forget_removed(&changes);
        let needs_restart = settings.needs_restart(&self.running);
        state.served = served;
        let live = settings.changes_at_once(&state.settings);
        state.settings = settings;
        state.outcome =
            ReloadOutcome { problems: Vec::new(), refused: refused.clone(), needs_restart: needs_restart.clone() };
        Ok(Reloaded { changes, listeners, host_keys, refused, settings: live, needs_restart, ended_sessions })
    }

    /// Returns the losses that only an operator may accept: of most tenants, and of host keys. Directories that are gone
    /// may be mounts that aren't there.
    fn losses(&self, state: &ReloadState, reading: &ConfigReading, ssh: &ssh::Settings) -> Vec<Problem> {
        let tenants = loss(&state.served, reading).map(|loss| self.problem(TENANTS, &loss));
        let gone = HostKeys::find_gone(&ssh.host_key_directory, &ssh.host_key_kinds, &state.host_keys);
        let host_keys = gone.iter().map(|gone| self.problem(HOST_KEYS, gone));
        tenants.into_iter().chain(host_keys).collect()
    }

    fn record(&self, reloaded: &Result<Reloaded, Vec<Problem>>) {
        let reloaded = match reloaded {
            Ok(reloaded) => reloaded,
            Err(problems) => {
                let problems = texts(problems);
                return self.events.record(Who::Server {}, Event::ReloadRefused { problems });
            }
        };
        record_refused(&self.events, &reloaded.refused);
        let event = Event::ConfigReloaded {
            changes: Box::new(reloaded.config_changes()),
            needs_restart: reloaded.needs_restart.clone(),
            ended_sessions: reloaded.ended_sessions,
        };
        self.events.record(Who::Server {}, event);
    }

    /// Listens on the addresses of `settings`, with the host keys of its directory.
    async fn change_edge(
        &self,
        state: &mut ReloadState,
        settings: &ssh::Settings,
    ) -> Result<(Changes<SocketAddr>, Changes<HostKeyFingerprint>), Vec<Problem>> {
        let (directory, kinds) = (settings.host_key_directory.clone(), settings.host_key_kinds.clone());
        let host_keys = spawn_blocking(move || HostKeys::load_or_make(&directory, &kinds));
        let problem = |error: &dyn ToString| vec![self.problem(HOST_KEYS, error)];
        let host_keys = host_keys.await.map_err(|error| problem(&error))?.map_err(|error| problem(&error))?;
        let (served, made) = (host_keys.fingerprints(), host_keys.made());
        let changed = self.parts.listeners.change(&settings.beside(&self.running.ssh), host_keys).await;
        let listeners = changed.map_err(|errors| {
            made.remove();
            errors.iter().map(|error| self.problem(LISTEN, error)).collect::<Vec<_>>()
        })?;
        let without = |keys: &[HostKeyFingerprint], others: &[HostKeyFingerprint]| {
            keys.iter().filter(|key| !others.contains(key)).cloned().collect()
        };
        let host_keys = Changes {
            added: without(&served, &state.host_keys),
            changed: Vec::new(),
            removed: without(&state.host_keys, &served),
        };
        state.host_keys = served;
        Ok((Changes { added: listeners.added, changed: Vec::new(), removed: listeners.removed }, host_keys))
    }

    fn problem(&self, key: &str, message: &dyn ToString) -> Problem {
        Problem { file: self.file.clone(), line: None, key: key.to_owned(), message: message.to_string() }
    }
}

/// Returns the contents of the files, or `None` if the thread that read them panicked.
async fn contents(watched: &WatchedFiles) -> Option<ConfigContents> {
    let watched = watched.clone();
    spawn_blocking(move || watched.contents()).await.ok()
}

/// Returns the sentence about the loss of most tenants, if there is one.
fn loss(served: &ServedTenants, reading: &ConfigReading) -> Option<String> {
    let files: BTreeSet<_> = reading.names().collect();
    let lost = served.names().filter(|name| !files.contains(name)).count();
    let all = served.len();
    (all >= MIN_TENANTS_TO_LOSE && lost * 2 > all).then(|| {
        format!(
            "{lost} of {all} tenants have no file any more, and nothing was changed; if that is right, run \
             `wharfinger reload --force`, or restart the server"
        )
    })
}

/// Records the tenants' files that are not in force.
pub(super) fn record_refused(events: &Events, refused: &[RefusedTenant]) {
    for tenant in refused {
        let who = match &tenant.name {
            Some(name) => Who::Maintenance { tenant: name.clone(), user: None },
            None => Who::Server {},
        };
        let (file, is_served) = (tenant.path.display().to_string(), tenant.is_served);
        events.record(who, Event::TenantRefused { file, is_served, problems: texts(&tenant.problems) });
    }
}

/// Returns what the directory must know about the files that it doesn't follow.
pub(super) fn refused_files(refused: &[RefusedTenant]) -> RefusedFiles {
    let mut files = RefusedFiles::default();
    for tenant in refused {
        let name = tenant.path.file_name().unwrap_or_default().to_string_lossy();
        files.add(&name, tenant.is_toml.then_some(&tenant.users));
    }
    files
}

fn texts(problems: &[Problem]) -> Vec<String> {
    problems.iter().take(MAX_PROBLEMS).map(ToString::to_string).collect()
}
