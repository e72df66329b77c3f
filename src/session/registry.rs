//! The sessions of this process: lists the connected users and their transfers, and ends sessions.

use super::{
    Traffic,
    account::{MountOfFile, SessionAccount},
    progress::{OpenTransferInfo, TransferProgress},
    rights::Rights,
};
use crate::{
    clock::{Clock as _, SystemClock},
    events::SessionUser,
    name::{TenantName, UserName, VirtualPath},
    tenants::Tenants,
    vfs::Error,
};
use parking_lot::Mutex;
use serde::Serialize;
use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

/// All sessions of the process, by id. The limit on logged-in connections bounds it.
#[derive(Debug, Default)]
pub struct Registry(Mutex<HashMap<Arc<str>, Arc<SessionEntry>>>);

/// One session, as shown to an operator.
#[derive(Clone, Debug, Serialize)]
pub struct SessionInfo {
    /// The id. The ids in the session's records begin with it.
    pub id: Arc<str>,
    /// The user's tenant.
    pub tenant: TenantName,
    /// The user.
    pub user: UserName,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that the connection came through, if any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) vpc_endpoint: Option<Arc<str>>,
    /// The protocol.
    pub(crate) protocol: Protocol,
    /// The version that the client sent. Not escaped: the client chose it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<Arc<str>>,
    /// The time of the login.
    #[serde(with = "time::serde::rfc3339")]
    pub(crate) since: OffsetDateTime,
    /// Protocol bytes from the client.
    pub received_bytes: u64,
    /// Protocol bytes to the client.
    pub sent_bytes: u64,
    /// The open files, in the order in which they were opened.
    pub transfers: Vec<OpenTransferInfo>,
}

/// The protocol of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// SFTP over SSH.
    Sftp,
}

impl Protocol {
    /// Returns the protocol's name, as records have it.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Sftp => "sftp",
        }
    }
}

/// The sessions that an operator ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EndSelection {
    /// The session with this id. The id of one of its channels, as records have it, names it too.
    Session(String),
    /// All sessions of a user.
    User(UserName),
    /// All sessions of a tenant's users.
    Tenant(TenantName),
}

impl EndSelection {
    fn has(&self, who: &SessionUser) -> bool {
        match self {
            Self::Session(id) => *who.session == **id || id.split('-').next() == Some(&*who.session),
            Self::User(user) => who.user == *user,
            Self::Tenant(tenant) => who.tenant == *tenant,
        }
    }
}

/// The reason why another part of the server ends a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndCause {
    /// An operator ended it.
    Operator,
    /// The user was removed from the config, or belongs to another tenant now.
    UserRemoved,
    /// The user or its tenant was disabled.
    Disabled,
    /// The user no longer has the credential that it logged in with.
    CredentialRemoved,
    /// A mount with open files was removed, or leads to another place.
    MountRemoved,
}

impl EndCause {
    /// Returns the sentence for the client and the log.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "an operator ended the session",
            Self::UserRemoved => "the user was removed",
            Self::Disabled => "the user or its tenant was disabled",
            Self::CredentialRemoved => "the credential of this login was removed",
            Self::MountRemoved => "a directory with open files was removed or moved",
        }
    }
}

impl Registry {
    /// Lists every session, the oldest first.
    #[must_use]
    pub fn list(&self) -> Vec<SessionInfo> {
        let entries: Vec<_> = self.0.lock().values().cloned().collect();
        let mut sessions: Vec<_> = entries.iter().map(|entry| entry.info()).collect();
        sessions.sort_by(|one, other| (one.since, &one.id).cmp(&(other.since, &other.id)));
        sessions
    }

    /// Asks the session `id` to end. Returns `false` if there is none, or if it was asked before. Its connection closes
    /// in good order: acknowledged changes stay, a CLOSE that has arrived is carried out, and other uploads can be
    /// resumed.
    pub fn end(&self, id: &str, cause: EndCause) -> bool {
        let entry = self.0.lock().get(id).cloned();
        entry.as_ref().is_some_and(|entry| entry.end(cause))
    }

    /// Asks all sessions of a user to end. Returns how many were not asked before.
    pub fn end_user(&self, user: &UserName, cause: EndCause) -> usize {
        self.end_where(cause, |who| who.user == *user).len()
    }

    /// Asks all sessions of a tenant's users to end. Returns how many were not asked before.
    pub fn end_tenant(&self, tenant: &TenantName, cause: EndCause) -> usize {
        self.end_where(cause, |who| who.tenant == *tenant).len()
    }

    /// Asks the selected sessions to end. Returns those that were not asked before.
    pub(super) fn end_selected(&self, selection: &EndSelection, cause: EndCause) -> Vec<Arc<SessionUser>> {
        self.end_where(cause, |who| selection.has(who))
    }

    fn end_where(&self, cause: EndCause, is_meant: impl Fn(&SessionUser) -> bool) -> Vec<Arc<SessionUser>> {
        let meant: Vec<_> = self.0.lock().values().filter(|entry| is_meant(&entry.who)).cloned().collect();
        meant.iter().filter(|entry| entry.end(cause)).map(|entry| Arc::clone(&entry.who)).collect()
    }

    /// Gives all sessions the values of the directory. Returns how many lose their rights by it: they end when their
    /// open transfers have, and after `grace` at the latest.
    pub(super) fn follow(&self, tenants: &Tenants, grace: Duration) -> usize {
        let entries: Vec<_> = self.0.lock().values().cloned().collect();
        entries.iter().filter(|entry| entry.follow(tenants, grace)).count()
    }

    pub(super) fn add(
        self: &Arc<Self>,
        who: Arc<SessionUser>,
        account: SessionAccount,
        protocol: Protocol,
        client: Option<Arc<str>>,
    ) -> Registration {
        let entry = Arc::new(SessionEntry {
            who,
            account,
            protocol,
            client,
            since: SystemClock.now().into(),
            traffic: Arc::default(),
            transfers: Mutex::default(),
            open_mounts: Mutex::default(),
            next_number: AtomicU64::new(0),
            cause: OnceLock::new(),
            rights: Rights::default(),
            must_end: AtomicBool::new(false),
            end_asked: CancellationToken::new(),
        });
        self.0.lock().insert(Arc::clone(&entry.who.session), Arc::clone(&entry));
        Registration { registry: Arc::clone(self), entry }
    }
}

/// The entry of a session in the registry. Dropping it removes the session.
pub struct Registration {
    registry: Arc<Registry>,
    entry: Arc<SessionEntry>,
}

impl Registration {
    pub(super) fn entry(&self) -> &Arc<SessionEntry> {
        &self.entry
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Registration").field(&self.entry.who.session).finish()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.registry.0.lock().remove(&self.entry.who.session);
    }
}

/// The mount of an open file, known to the session until the last user of the file drops it.
#[derive(Debug)]
pub(super) struct OpenMount {
    entry: Arc<SessionEntry>,
    number: u64,
}

impl Drop for OpenMount {
    fn drop(&mut self) {
        self.entry.open_mounts.lock().remove(&self.number);
    }
}

/// The registry's data about one session.
#[derive(Debug)]
pub(super) struct SessionEntry {
    pub(super) who: Arc<SessionUser>,
    pub(super) account: SessionAccount,
    protocol: Protocol,
    client: Option<Arc<str>>,
    since: OffsetDateTime,
    pub(super) traffic: Arc<Traffic>,
    /// The open files, by ascending number.
    transfers: Mutex<BTreeMap<u64, Arc<TransferProgress>>>,
    /// The mounts of the open files, also of a file that the client hasn't read or changed yet.
    open_mounts: Mutex<BTreeMap<u64, MountOfFile>>,
    /// The number of the next transfer or open mount.
    next_number: AtomicU64,
    cause: OnceLock<EndCause>,
    rights: Rights,
    /// True once the session was asked to end at once, without the grace of one that lost its rights.
    must_end: AtomicBool,
    end_asked: CancellationToken,
}

impl SessionEntry {
    pub(super) fn begin_transfer(&self, progress: Arc<TransferProgress>) -> u64 {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        self.transfers.lock().insert(number, progress);
        number
    }

    /// Notes that the file at `path` is open in `mount`. Returns `None` if the path no longer leads there: a reload
    /// changed the mounts while storage was asked for the file.
    ///
    /// # Errors
    /// [`Error::SessionEnds`] if the session lost its rights meanwhile.
    pub(super) fn open_mount(
        self: &Arc<Self>,
        path: &VirtualPath,
        mount: MountOfFile,
    ) -> Result<Option<OpenMount>, Error> {
        // A reload has this lock while it looks at the mounts, and changes the account or takes the rights. So it
        // either finds this mount here, or has done so before this look.
        let mut open_mounts = self.open_mounts.lock();
        self.check_rights()?;
        if !self.account.leads_to(path, &mount) {
            return Ok(None);
        }
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        open_mounts.insert(number, mount);
        Ok(Some(OpenMount { entry: Arc::clone(self), number }))
    }

    pub(super) fn end_transfer(&self, number: u64) {
        self.transfers.lock().remove(&number);
        self.rights.transfer_ended.notify_waiters();
    }

    /// Takes over the directory's values. Returns true if the session loses its rights by it.
    pub(super) fn follow(&self, tenants: &Tenants, grace: Duration) -> bool {
        let open_mounts = self.open_mounts.lock();
        let Err(cause) = self.account.follow(tenants, open_mounts.values()) else { return false };
        let is_first = self.cause.set(cause).is_ok();
        drop(open_mounts);
        let grace = if cause == EndCause::Disabled { Duration::ZERO } else { grace };
        if grace.is_zero() {
            self.end_at_once();
        }
        self.rights.lose(grace);
        is_first
    }

    /// # Errors
    /// [`Error::SessionEnds`] if the session lost its rights.
    pub(super) fn check_rights(&self) -> Result<(), Error> {
        match self.cause.get() {
            Some(cause) => Err(Error::SessionEnds(cause.as_str())),
            None => Ok(()),
        }
    }

    /// Waits until another part of the server asks the session to end, or until the open transfers of a session that
    /// lost its rights have ended.
    pub(super) async fn end_asked(&self) -> EndCause {
        tokio::select! {
            () = self.end_asked.cancelled() => {}
            () = self.rights.over(|| self.transfers.lock().is_empty()) => {}
        }
        // The cause is set before the end is asked for.
        self.cause.get().copied().unwrap_or(EndCause::Operator)
    }

    /// Asks the session to end. The first cause counts. Returns `false` if the session was already asked to end. A
    /// session that lost its rights, and whose open transfers may still finish, was not.
    fn end(&self, cause: EndCause) -> bool {
        let _ = self.cause.set(cause);
        self.end_at_once()
    }

    fn end_at_once(&self) -> bool {
        let is_first = !self.must_end.swap(true, Ordering::Relaxed);
        self.end_asked.cancel();
        is_first
    }

    fn info(&self) -> SessionInfo {
        let SessionUser { session, tenant, user, source, vpc_endpoint } = &*self.who;
        let transfers: Vec<_> = self.transfers.lock().values().cloned().collect();
        SessionInfo {
            id: Arc::clone(session),
            tenant: tenant.clone(),
            user: user.clone(),
            source: *source,
            vpc_endpoint: vpc_endpoint.clone(),
            protocol: self.protocol,
            client: self.client.clone(),
            since: self.since,
            received_bytes: self.traffic.received(),
            sent_bytes: self.traffic.sent(),
            transfers: transfers.iter().map(|progress| progress.info()).collect(),
        }
    }
}
