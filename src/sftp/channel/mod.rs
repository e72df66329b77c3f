//! One SFTP channel: requests in, replies out, the vfs in between. It knows neither russh nor S3.
//!
//! ```text
//! Handler::data → Inbound::feed → dispatch ─┬→ one task per open handle (reads · writes · directories; updates: first
//!                                           │  reads, then writes)
//!                                           └→ one task per other request, in `order`
//! data_bytes  ←  Outbound::next  ←  replies ←── all of them
//! ```
//!
//! Why it can't deadlock: [`Inbound::feed`] is the only place that makes a connection wait, and it waits for upload
//! memory alone (`intake`), which storage frees; replies go into a queue that nobody waits for; what is large takes a
//! permit before it is fetched (`replies`), and then waits for storage and for earlier ones of its handle (`reads`); a
//! READ that would hold up WRITEs, and so the connection, until its client reads is refused before (`patience`); a
//! request that waits for its turn (`order`) holds no upload memory, but for a CLOSE, which gives it up when others need it
//! (`waiting_uploads`); nor does an upload that waits for the READs before it (`updates`).
//! Why it can't grow: see the limits in those files, in `runs` and in `handles`.

mod attrs;
mod context;
mod copies;
mod directories;
mod dispatch;
mod files;
mod handles;
mod inbound;
mod intake;
mod longname;
mod open;
mod order;
mod outbound;
mod patience;
mod pending_closes;
mod reads;
mod replies;
mod runs;
mod slot;
mod status;
mod tree;
mod updates;
mod waiting_uploads;
mod writes;

pub use inbound::Inbound;
pub use outbound::{Outbound, Outgoing};

use crate::{
    account::{Tenant, User},
    events::{Event, Events, Who},
    session::Activity,
    sftp::wire::FramePool,
    vfs::{Buckets, Budget, Journal, Node, Vfs},
};
use context::Context;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;
use waiting_uploads::WaitingUploads;

/// How long sessions wait for what they share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long an OPEN for writing waits for upload memory before it is answered "server busy".
    pub upload_wait: Duration,
    /// How long an upload may hold memory that others wait for without sending anything.
    pub upload_silence: Duration,
    /// How long an upload with a lock of which nothing is stored may send nothing before others may have the name.
    pub idle_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            upload_wait: Duration::from_secs(40),
            upload_silence: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(30),
        }
    }
}

/// What all sessions of the process share, and where new ones come from.
#[derive(Debug)]
pub struct Sessions {
    node: Arc<Node>,
    resources: Resources,
    frames: Arc<FramePool>,
}

/// The resources that the sessions of the process share.
#[derive(Clone, Debug)]
struct Resources {
    budget: Arc<Budget>,
    waiting_uploads: Arc<WaitingUploads>,
    events: Events,
    settings: Settings,
    tasks: TaskTracker,
}

/// Who is at the other end of a channel.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The user that logged in.
    pub user: Arc<User>,
    /// Their tenant.
    pub tenant: Arc<Tenant>,
    /// The client's address.
    pub source: SocketAddr,
    /// The VPC endpoint that they came through, if through any.
    pub vpc_endpoint: Option<Arc<str>>,
    /// The connection's id.
    pub connection: Arc<str>,
    /// The connection's sign of life, shared by its channels.
    pub activity: Arc<Activity>,
}

impl Sessions {
    /// Sessions over these buckets and what is kept beside them, with one budget for the memory of all their transfers.
    #[must_use]
    pub fn new(
        buckets: Arc<dyn Buckets>,
        budget: Arc<Budget>,
        journal: Arc<dyn Journal>,
        events: Events,
        settings: Settings,
    ) -> Self {
        let node = Node::new(buckets, Arc::clone(&budget), journal);
        let (waiting_uploads, tasks) = (Arc::default(), TaskTracker::new());
        let resources = Resources { budget, waiting_uploads, events, settings, tasks };
        Self { node, resources, frames: Arc::default() }
    }

    /// Begins the session of a channel, `channel` being its number in the connection. No request to storage is made.
    #[must_use]
    pub fn open(&self, peer: &Peer, channel: u32) -> (Inbound, Outbound) {
        let vfs = Vfs::new(&peer.user, &peer.tenant, &self.node);
        let who = Who {
            session: format!("{}-{channel}", peer.connection).into(),
            tenant: peer.tenant.name.clone(),
            user: peer.user.name.clone(),
            source: peer.source,
            vpc_endpoint: peer.vpc_endpoint.clone(),
        };
        let resources = self.resources.clone();
        resources.events.record(&Event::SessionStarted(who.clone()));
        let (replies, outbound) = replies::channel(Arc::clone(&peer.activity), Arc::clone(&resources.budget));
        let context = Context::new(who, vfs, replies, resources);
        (Inbound::new(Arc::new(context), Arc::clone(&self.frames)), outbound)
    }

    /// Waits until nothing is left of any session: every upload is published or given up, and the journal knows of it. Call
    /// it when no new session can begin.
    pub async fn drained(&self) {
        self.resources.tasks.close();
        self.resources.tasks.wait().await;
        self.node.settle().await;
    }
}

/// Why a channel must be closed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// What came is no SFTP.
    #[error("the client sent a malformed SFTP packet: {0}")]
    Malformed(String),
    /// Something came before INIT, or INIT came twice.
    #[error("the client did not begin with one SFTP INIT")]
    NotBegun,
    /// The client has more requests open than any that means well.
    #[error("the client sent more than {} requests without waiting for replies", replies::MAX_OUTSTANDING)]
    TooManyRequests,
    /// The client sent READs in more scattered runs than any that means well.
    #[error("the client sent more than {} scattered READs without waiting for replies", runs::MAX_RUNS)]
    TooManyReads,
    /// The client doesn't read its replies.
    #[error("the client left {} bytes of replies unread", replies::MAX_SMALL_BYTES)]
    RepliesUnread,
    /// Storage took nothing of the channel's uploads for a minute.
    #[error("uploads came to a standstill: storage took nothing for a minute")]
    UploadStalled,
    /// The channel is closed.
    #[error("the client is gone")]
    ClientGone,
}
