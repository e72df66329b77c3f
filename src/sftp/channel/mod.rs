//! One SFTP channel: requests in, replies out, the session's tree in between. It uses neither russh nor S3.
//!
//! The channel decides on the order of requests, and translates them and their replies. The tree and its files do the
//! work and record it.
//!
//! ```text
//! Handler::data → Inbound::feed → dispatch ─┬→ one task per open handle (reads · writes · directories; updates: first
//!                                           │  reads, then writes)
//!                                           └→ one task per other request, in `request_order`
//! data_bytes  ←  Outbound::next  ←  replies ←── all of them
//! ```
//!
//! The channel can't deadlock:
//! 1. [`Inbound::feed`] is the only place that makes a connection wait. It waits for its tenant's rates, each time
//!    for at most a minute (`replies`), and for upload memory (`write_brake`), which storage frees.
//! 2. Replies go into a queue. No sender waits for room in it.
//! 3. A large reply takes a permit before its data is fetched (`replies`). After that it waits only for storage and for
//!    earlier replies of its handle (`reads`). A READDIR waits for its page's memory before (`directories`). Channels of
//!    one connection share these permits, but each has one reply of its own (`replies`), so no channel waits until the
//!    client reads another.
//! 4. A READ that would block WRITEs, and so the connection, until its client reads is refused first (`patience`).
//! 5. A request that waits for its turn (`request_order`) holds no upload memory. A waiting CLOSE does, but releases
//!    the memory when other uploads need it (`waiting_uploads`).
//! 6. A request that waits for a rate holds no permits, and no upload memory but that of its frame and of the upload
//!    that it reads. Its turn comes with time alone.
//! 7. A frame that has arrived in part takes memory of the connection when its tenant has none left, without a wait
//!    (`inbound`).
//! 8. An upload that waits for the READs before it holds no upload memory either (`updates`).
//!
//! The channel can't grow: see the limits in those files, in `read_queue` and in `handles`. They are limits of the
//! connection, whose channels share its counts, and of its tenant.

mod attrs;
mod context;
mod copies;
mod directories;
mod dispatch;
mod ended;
mod handles;
mod inbound;
mod longname;
mod open;
mod outbound;
mod patience;
mod pending_closes;
mod pending_reply;
mod read_queue;
mod reads;
mod replies;
mod request_order;
mod settings;
mod status;
mod tree;
mod updates;
mod waiting_uploads;
mod write_brake;
mod writes;

pub use ended::Ended;
pub use inbound::Inbound;
pub use outbound::{Outbound, Outgoing};
pub use settings::ChannelSettings;

use crate::{memory::Budget, session::Session, sftp::wire::FramePool, shares::Rounds};
use context::ChannelContext;
use handles::Handles;
use settings::Resources;
use std::sync::Arc;
use tokio_util::task::TaskTracker;

/// The factory of SFTP channels, with the resources that they share in one process.
#[derive(Debug)]
pub struct SftpChannels {
    resources: Resources,
    frames: Arc<FramePool>,
}

impl SftpChannels {
    /// Creates the factory. The memory of all transfers comes from one `budget`.
    #[must_use]
    pub fn new(budget: Arc<Budget>, settings: ChannelSettings) -> Self {
        let (waiting_uploads, rounds, tasks) = (Arc::default(), Rounds::new(), TaskTracker::new());
        Self { resources: Resources { budget, waiting_uploads, settings, rounds, tasks }, frames: Arc::default() }
    }

    /// Opens a channel of `session`. Makes no request to storage.
    #[must_use]
    pub fn open(&self, session: &Session) -> (Inbound, Outbound) {
        let (open_tree, resources) = (session.open_tree(), self.resources.clone());
        let (tree, handles) = (Arc::clone(open_tree.tree()), Handles::new(Arc::clone(session.counts())));
        let (traffic, memory) = (Arc::clone(tree.traffic()), resources.budget.of(&tree.who().tenant));
        let (replies, outbound) = outbound::channel(session, traffic, memory);
        let context = ChannelContext::new(tree, replies, resources);
        (Inbound::new(open_tree, Arc::new(context), handles, Arc::clone(&self.frames)), outbound)
    }

    /// Waits until every upload of every channel is published or abandoned. Call it when no new channel can open.
    pub async fn drained(&self) {
        self.resources.tasks.close();
        self.resources.tasks.wait().await;
    }
}
