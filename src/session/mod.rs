//! A user who is in, whatever the protocol: [`Session`], the [`SessionTree`]s through which it is served, and the
//! [`Registry`] of all of them.
//!
//! ```text
//! access (login) → Sessions::begin → Session ─→ open_tree → SessionTree { who, vfs, records } → vfs
//!                        └→ Registry: lists the session and its transfers, and asks it to end
//! ```
//!
//! An edge translates its protocol's requests into the tree's verbs. What happened is recorded here, so that no edge can
//! forget it: changes, transfers, failures, the beginning and the end.
//!
//! Not here: the login (`access`), the order of requests and the way that replies take (`sftp::channel`).

mod activity;
mod outcome;
mod registry;
mod traffic;
mod transfer;
mod tree;

pub use crate::events::{Change, Outcome, SessionUser, Transfer};
pub use activity::{Activity, Serving};
pub use outcome::{detail, is_ordinary, outcome};
pub use registry::{EndCause, OpenTransferInfo, Protocol, Registered, Registry, SessionInfo};
pub use traffic::Traffic;
pub use transfer::OpenTransfer;
pub use tree::{PendingChange, SessionTree, TreeChange};

use crate::{
    account::{Tenant, User},
    events::{ClientProgram, Events},
    vfs::{Node, Vfs},
};
use registry::Entry;
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

/// The source of sessions: what all of them share in one process.
#[derive(Debug)]
pub struct Sessions {
    node: Arc<Node>,
    events: Events,
    registry: Arc<Registry>,
}

/// A login that was accepted.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Unique among the sessions of all nodes; it stands in every record of the session.
    pub id: Arc<str>,
    /// The user that logged in.
    pub user: Arc<User>,
    /// The user's tenant.
    pub tenant: Arc<Tenant>,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that the connection came through, if through any.
    pub vpc_endpoint: Option<Arc<str>>,
    /// The protocol that the client speaks.
    pub protocol: Protocol,
    /// The client's program.
    pub client: ClientProgram,
    /// The sign of life of the connection.
    pub activity: Arc<Activity>,
}

impl Sessions {
    /// Sessions over the storage of `node`, recorded by `events`.
    #[must_use]
    pub fn new(node: Arc<Node>, events: Events) -> Self {
        Self { node, events, registry: Arc::default() }
    }

    /// Begins a session, which the registry lists until [`Registered`] is dropped. No IO.
    #[must_use]
    pub fn begin(&self, new: NewSession) -> (Arc<Session>, Registered) {
        let NewSession { id, user, tenant, source, vpc_endpoint, protocol, client, activity } = new;
        let (tenant_name, user_name) = (tenant.name.clone(), user.name.clone());
        let who = SessionUser { session: id, tenant: tenant_name, user: user_name, source, vpc_endpoint };
        let registered = self.registry.add(Arc::new(who), protocol, client.version);
        let session = Session {
            user,
            tenant,
            node: Arc::clone(&self.node),
            events: self.events.clone(),
            activity,
            entry: Arc::clone(registered.entry()),
            trees: AtomicU32::new(0),
        };
        (Arc::new(session), registered)
    }

    /// All sessions of the process.
    #[must_use]
    pub fn registry(&self) -> &Arc<Registry> {
        &self.registry
    }

    /// Waits until the journal knows everything that the sessions noted. Call it when no session can begin and no task of
    /// one is left.
    pub async fn settle(&self) {
        self.node.settle().await;
    }
}

/// One user who is logged in on one connection.
#[derive(Debug)]
pub struct Session {
    user: Arc<User>,
    tenant: Arc<Tenant>,
    node: Arc<Node>,
    events: Events,
    activity: Arc<Activity>,
    entry: Arc<Entry>,
    trees: AtomicU32,
}

impl Session {
    /// The user and the way that it came.
    #[must_use]
    pub fn who(&self) -> &Arc<SessionUser> {
        &self.entry.who
    }

    /// The sign of life of the connection.
    #[must_use]
    pub fn activity(&self) -> &Arc<Activity> {
        &self.activity
    }

    /// Opens the user's tree: once for each SFTP channel. Its records have the session's id with a number behind it. No
    /// request to storage is made.
    #[must_use]
    pub fn open_tree(&self) -> SessionTree {
        let vfs = Vfs::new(&self.user, &self.tenant, &self.node);
        let number = self.trees.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        let session = format!("{}-{number}", self.entry.who.session).into();
        let who = Arc::new(SessionUser { session, ..SessionUser::clone(&self.entry.who) });
        SessionTree::new(who, vfs, self.events.clone(), Arc::clone(&self.entry))
    }

    /// Waits until the session is asked to end, and returns the cause.
    pub async fn end_asked(&self) -> EndCause {
        self.entry.end_asked().await
    }
}
