//! The state that all tasks of one channel share. The table of handles holds the tasks, so they don't hold it.

use super::{
    pending_closes::{Barrier, PendingClose, PendingCloses},
    replies::Replies,
    request_order::RequestOrder,
    settings::{ChannelSettings, Resources},
    waiting_uploads::WaitingUploads,
    write_brake::WriteBrake,
};
use crate::{
    memory::TenantMemory,
    name::{TenantName, VirtualPath},
    session::{Activity, SessionTree},
    shares::{Rounds, RunningRequest},
};
use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// The requests of one channel that use storage at the same time, transfers excluded.
const MAX_RUNNING: usize = 64;
/// The copies of one channel that run or wait. Each keeps a file open that its client may already have closed.
const MAX_COPIES: usize = 64;

/// The tree, the orders and the reply queue of one channel.
#[derive(Debug)]
pub(crate) struct ChannelContext {
    pub(crate) tree: Arc<SessionTree>,
    pub(crate) replies: Replies,
    pub(crate) write_brake: WriteBrake,
    pub(crate) settings: ChannelSettings,
    pub(crate) memory: TenantMemory,
    pub(crate) waiting_uploads: Arc<WaitingUploads>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) order: Arc<RequestOrder>,
    pub(crate) closes: Arc<PendingCloses>,
    /// Cancelled when the client is gone and no longer waits for replies.
    pub(crate) ended: CancellationToken,
    pub(crate) running: Semaphore,
    /// The permits for copies.
    pub(crate) copies: Arc<Semaphore>,
    rounds: Arc<Rounds<TenantName>>,
    tasks: TaskTracker,
}

impl ChannelContext {
    pub(crate) fn new(tree: Arc<SessionTree>, replies: Replies, resources: Resources) -> Self {
        let Resources { budget, waiting_uploads, settings, rounds, tasks } = resources;
        let memory = budget.of(&tree.who().tenant);
        Self {
            tree,
            activity: Arc::clone(replies.activity()),
            write_brake: WriteBrake::new(memory.clone(), Arc::clone(replies.memory()), Arc::clone(replies.activity())),
            replies,
            settings,
            memory,
            waiting_uploads,
            order: Arc::default(),
            closes: Arc::default(),
            ended: CancellationToken::new(),
            running: Semaphore::new(MAX_RUNNING),
            copies: Arc::new(Semaphore::new(MAX_COPIES)),
            rounds,
            tasks,
        }
    }

    /// Returns the barrier of a request that creates or removes the name `path`: it waits for the earlier CLOSEs.
    pub(crate) fn barrier(&self, path: &VirtualPath) -> Barrier {
        self.closes.barrier(self.tree.mount_number(path))
    }

    /// Returns the barrier of the upload that an OPEN of `path` begins.
    pub(crate) fn barrier_of_open(&self, path: &VirtualPath) -> Barrier {
        self.closes.barrier_of_open(self.tree.mount_number(path))
    }

    /// Registers the CLOSE of an upload to `path`.
    pub(crate) fn pending_close(&self, path: &VirtualPath) -> PendingClose {
        self.closes.enter(self.tree.mount_number(path))
    }

    /// Waits until a request may start, so that a flood of requests leaves the CPU to other tenants.
    pub(crate) async fn start(&self) -> RunningRequest<TenantName> {
        self.rounds.start(&self.tree.who().tenant).await
    }

    /// Runs `work` to its end, even if the client disconnects: a half-done rename is useless.
    pub(crate) fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Runs `work` until the client disconnects.
    pub(crate) fn run_while_wanted(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = ended.cancelled() => {}
            }
        });
    }

    /// Runs `work` until the client disconnects, or to its end once it has set `begun`.
    pub(crate) fn run_once_begun(
        self: &Arc<Self>,
        begun: Arc<AtomicBool>,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            tokio::pin!(work);
            tokio::select! {
                biased;
                () = &mut work => return,
                () = ended.cancelled() => {}
            }
            if begun.load(Ordering::Relaxed) {
                work.await;
            }
        });
    }
}
