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

use crate::{session::Session, sftp::wire::FramePool, vfs::Budget};
use context::Context;
use std::{sync::Arc, time::Duration};
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

/// The source of SFTP channels: what all of them share in one process.
#[derive(Debug)]
pub struct SftpChannels {
    resources: Resources,
    frames: Arc<FramePool>,
}

/// The resources that the channels of the process share.
#[derive(Clone, Debug)]
struct Resources {
    budget: Arc<Budget>,
    waiting_uploads: Arc<WaitingUploads>,
    settings: Settings,
    tasks: TaskTracker,
}

impl SftpChannels {
    /// Channels with one budget for the memory of all their transfers.
    #[must_use]
    pub fn new(budget: Arc<Budget>, settings: Settings) -> Self {
        let (waiting_uploads, tasks) = (Arc::default(), TaskTracker::new());
        Self { resources: Resources { budget, waiting_uploads, settings, tasks }, frames: Arc::default() }
    }

    /// Opens a channel of `session`. No request to storage is made.
    #[must_use]
    pub fn open(&self, session: &Session) -> (Inbound, Outbound) {
        let (tree, resources) = (session.open_tree(), self.resources.clone());
        let (activity, traffic) = (Arc::clone(session.activity()), Arc::clone(tree.traffic()));
        let (replies, outbound) = replies::channel(activity, traffic, Arc::clone(&resources.budget));
        let context = Context::new(tree, replies, resources);
        (Inbound::new(Arc::new(context), Arc::clone(&self.frames)), outbound)
    }

    /// Waits until nothing is left of any channel: every upload is published or abandoned. Call it when no new channel can
    /// be opened.
    pub async fn drained(&self) {
        self.resources.tasks.close();
        self.resources.tasks.wait().await;
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
