//! The parts of a running server that an operator's commands ask.

use super::Reload;
use crate::{
    clock::{Clock as _, SystemClock},
    session::Sessions,
    vfs::Budget,
};
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::time::Instant;

/// The sessions, the memory and the config of one running server.
pub(crate) struct Operator {
    pub(crate) sessions: Arc<Sessions>,
    /// `None` for a server without config files.
    pub(crate) reload: Option<Arc<Reload>>,
    /// The name of the node.
    pub(crate) node: String,
    pub(crate) started_at: OffsetDateTime,
    pub(crate) started: Instant,
    budget: Arc<Budget>,
}

impl Operator {
    pub(super) fn new(sessions: Arc<Sessions>, budget: Arc<Budget>, node: String, reload: Option<Arc<Reload>>) -> Self {
        let (started_at, started) = (SystemClock.now().into(), Instant::now());
        Self { sessions, reload, node, started_at, started, budget }
    }

    /// Returns the bytes of the memory for transfers that are in use, and all of them.
    #[must_use]
    pub(crate) fn buffer_bytes(&self) -> (u64, u64) {
        (self.budget.used(), self.budget.total())
    }
}
