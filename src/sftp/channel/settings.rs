//! The time limits of channels, and the resources that they share.

use super::waiting_uploads::WaitingUploads;
use crate::{memory::Budget, name::TenantName, shares::Rounds};
use std::{sync::Arc, time::Duration};
use tokio_util::task::TaskTracker;

/// The time limits for waiting on shared resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChannelSettings {
    /// The time that an OPEN for writing waits for upload memory before the answer "server busy".
    pub upload_wait: Duration,
    /// The time for which an upload whose client sends next to nothing may hold memory that other uploads wait for.
    pub(crate) upload_stall: Duration,
    /// The same for an upload whose WRITE waits for storage.
    pub(crate) storage_patience: Duration,
    /// The time for which an upload whose CLOSE waits may hold memory that other uploads wait for.
    pub(crate) close_patience: Duration,
    /// The time for which a silent upload with a lock and no stored bytes keeps its name from other sessions.
    pub idle_timeout: Duration,
}

impl Default for ChannelSettings {
    fn default() -> Self {
        Self {
            upload_wait: Duration::from_secs(40),
            upload_stall: Duration::from_secs(10),
            storage_patience: Duration::from_mins(1),
            close_patience: Duration::from_secs(30),
            idle_timeout: Duration::from_mins(30),
        }
    }
}

/// The resources that all channels of the process share.
#[derive(Clone, Debug)]
pub(super) struct Resources {
    pub(super) budget: Arc<Budget>,
    pub(super) waiting_uploads: Arc<WaitingUploads>,
    pub(super) settings: ChannelSettings,
    pub(super) rounds: Arc<Rounds<TenantName>>,
    pub(super) tasks: TaskTracker,
}
