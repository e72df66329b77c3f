//! A logged-in user, whatever the protocol: its [`Session`], the [`SessionTree`]s that serve it, and the [`Registry`]
//! of all sessions.
//!
//! ```text
//! access (login) → Sessions::begin → Session ─→ open_tree → SessionTree { vfs, audit } ─→ FileDownload · FileUpload
//!                        └→ Registry: lists the session and its transfers, and asks it to end
//! ```
//!
//! An edge translates its protocol's requests to verbs of the tree, and of the files and directories that it opens.
//! Each verb leaves its record, in one form for every protocol.
//!
//! Invariant: an edge can't leave out a record. The vfs and its handles are private here. A file, a tree and a change
//! that are dropped record their end too. An OPEN that is dropped before it returns its file publishes nothing and
//! leaves no record; `SessionTree::open_create` says when it must not be dropped.
//!
//! A session has several trees, because an SSH connection may have several SFTP channels, whose uploads are apart.
//!
//! Logins are in `access`; the order of requests and the path of replies are in `sftp::channel`.

mod account;
mod activity;
mod audit;
mod directory;
mod download;
mod limits;
mod memory_waits;
mod outcome;
mod progress;
mod registry;
mod rights;
mod tree;
mod upload;

pub use crate::events::{ChangeKind, Outcome, SessionUser, Transfer};
pub(crate) use crate::policy::{
    ConnectionCounts, CountRefusal, HandlePermit, MAX_DATA_BYTES, MAX_HANDLES, MAX_REQUESTS, MAX_TENANT_REQUESTS,
};
pub use activity::{Activity, Serving};
pub use directory::OpenDirectory;
pub use download::{FileDownload, ReadableFile};
pub(crate) use outcome::{is_ordinary, outcome};
pub use progress::OpenTransferInfo;
pub(crate) use progress::Traffic;
pub(crate) use registry::EndSelection;
pub use registry::{EndCause, Protocol, Registration, Registry, SessionInfo};
use tree::{AccountView, OpenTransfer};
pub use tree::{OpenTree, SessionTree, TreeChange, WriteOpening};
pub use upload::{AdmittedUpload, FileUpload, PendingUpload, UnchangedFile};

use crate::{
    events::{ClientProgram, Event, Events, Who},
    name::{TenantName, UserName},
    policy::{ConnectionRefusal, CountTable, PacerTable},
    tenants::{GrantedLogin, Tenants},
    vfs::{ConnectionMemory, Node, Vfs},
};
use account::SessionAccount;
use audit::UploadRecorder;
use registry::SessionEntry;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

/// The factory of sessions, with the resources that they share in one process.
#[derive(Debug)]
pub struct Sessions {
    node: Arc<Node>,
    events: Events,
    registry: Arc<Registry>,
    counts: Arc<CountTable>,
    pacers: Arc<PacerTable>,
}

/// An accepted login.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The id, unique among the sessions of all nodes. Every record of the session contains it.
    pub id: Arc<str>,
    /// The login, as a provider granted it.
    pub grant: GrantedLogin,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that the connection came through, if any.
    pub vpc_endpoint: Option<Arc<str>>,
    /// The protocol that the client speaks.
    pub protocol: Protocol,
    /// The client's program.
    pub client: ClientProgram,
    /// The activity of the connection.
    pub activity: Arc<Activity>,
}

impl Sessions {
    /// Creates sessions over the storage of `node`. `events` takes their records.
    #[must_use]
    pub fn new(node: Arc<Node>, events: Events) -> Self {
        Self { node, events, registry: Arc::default(), counts: Arc::default(), pacers: Arc::default() }
    }

    /// The same, with sessions that keep to the rates of their tenants.
    #[must_use]
    pub fn paced_by(self, pacers: Arc<PacerTable>) -> Self {
        Self { pacers, ..self }
    }

    /// Waits until the rates of the user and of its tenant allow another session, for a few seconds at most.
    ///
    /// # Errors
    /// The rates allow none in that time.
    pub(crate) async fn admit_login(&self, tenant: &TenantName, user: &UserName) -> Result<(), ConnectionRefusal> {
        self.pacers.admit_login(tenant, user).await
    }

    /// Begins a session. The registry lists it until [`Registration`] is dropped. Does no IO.
    #[must_use]
    pub fn begin(&self, new: NewSession) -> (Arc<Session>, Registration) {
        let NewSession { id, grant, source, vpc_endpoint, protocol, client, activity } = new;
        let (tenant, user) = (grant.tenant.name.clone(), grant.user.name.clone());
        let counts = Arc::new(self.counts.connection(&tenant, self.pacers.session(&tenant, &user)));
        let memory = self.node.connection_memory(&tenant);
        let who = SessionUser { session: id, tenant, user, source, vpc_endpoint };
        let account = SessionAccount::new(grant);
        let registration = self.registry.add(Arc::new(who), account, protocol, client.version);
        let session = Session {
            node: Arc::clone(&self.node),
            events: self.events.clone(),
            activity,
            counts,
            memory,
            entry: Arc::clone(registration.entry()),
            trees: AtomicU32::new(0),
        };
        (Arc::new(session), registration)
    }

    /// Returns the registry of all sessions of the process.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Ends the sessions that an operator selected, with a record of each. `uid` is the operator's. Returns how many were
    /// not asked to end before.
    pub(crate) fn end_for_operator(&self, selection: &EndSelection, uid: u32) -> usize {
        let asked = self.registry.end_selected(selection, EndCause::Operator);
        let sessions = asked.len();
        for who in asked {
            self.events.record(Who::Session(who), Event::SessionEndAsked { operator_uid: uid });
        }
        sessions
    }

    /// Gives the sessions the values of the directory, from their next request on. A session ends if its user or tenant
    /// was removed or disabled, if the user no longer has the credential that it logged in with, or if a mount with
    /// open files was removed or leads to another place. Its requests are refused, its open transfers may finish for
    /// `grace`, and then it ends; a disabled user's session ends at once. Returns how many sessions end.
    pub fn follow(&self, tenants: &Tenants, grace: Duration) -> usize {
        self.registry.follow(tenants, grace)
    }

    /// Waits until the journal holds every note of the sessions. Call it when no session can begin and every task of a
    /// session has ended.
    pub async fn finish_journal(&self) {
        self.node.flush().await;
    }
}

/// A user who is logged in on one connection.
#[derive(Debug)]
pub struct Session {
    node: Arc<Node>,
    events: Events,
    activity: Arc<Activity>,
    counts: Arc<ConnectionCounts>,
    memory: Arc<ConnectionMemory>,
    entry: Arc<SessionEntry>,
    trees: AtomicU32,
}

impl Session {
    /// Returns the user, with the session's id and source.
    #[must_use]
    pub fn who(&self) -> &Arc<SessionUser> {
        &self.entry.who
    }

    /// Returns the activity of the connection.
    #[must_use]
    pub(crate) fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Returns the counts of the connection.
    #[must_use]
    pub(crate) fn counts(&self) -> &Arc<ConnectionCounts> {
        &self.counts
    }

    /// Returns the memory of the connection's requests and replies.
    #[must_use]
    pub(crate) fn memory(&self) -> &Arc<ConnectionMemory> {
        &self.memory
    }

    /// Opens the user's tree: once for each SFTP channel. Its records carry the session's id with a number appended.
    /// Makes no request to storage.
    #[must_use]
    pub fn open_tree(&self) -> OpenTree {
        let version = self.entry.account.version();
        let (user, tenant, bucket) = self.entry.account.current();
        let number = self.trees.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let session: Arc<str> = format!("{}-{number}", self.entry.who.session).into();
        let who = Arc::new(SessionUser { session: Arc::clone(&session), ..SessionUser::clone(&self.entry.who) });
        let observer = Arc::new(UploadRecorder::new(Arc::clone(&who), self.events.clone()));
        let vfs =
            Vfs::observed(session, &user, &tenant, &self.node, observer).paced_by(Arc::clone(&self.counts.pacers));
        let view = AccountView { version, vfs: Arc::new(vfs), bucket };
        OpenTree::begin(who, view, self.events.clone(), Arc::clone(&self.entry))
    }

    /// Takes over the values of the directory.
    ///
    /// # Errors
    /// The reason why the directory no longer grants the login.
    pub(crate) fn follow(&self, tenants: &Tenants) -> Result<(), EndCause> {
        self.entry.account.follow(tenants, [])
    }

    /// Waits until the session is asked to end, or until the transfers of a session that lost its rights have ended,
    /// and returns the cause.
    pub async fn end_asked(&self) -> EndCause {
        self.entry.end_asked().await
    }
}
