//! What all tasks of one session share.

use super::{
    Resources, Settings,
    handles::Handles,
    intake::Intake,
    order::{Claim, Order},
    pending_closes::{Barrier, PendingClose, PendingCloses},
    replies::Replies,
    updates::Updates,
    waiting_uploads::WaitingUploads,
    writes::Writes,
};
use crate::{
    name::VirtualPath,
    session::{Activity, SessionTree},
    vfs::Budget,
};
use std::{future::Future, sync::Arc};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// Requests of one channel that talk to storage at the same time, transfers aside.
const MAX_RUNNING: usize = 64;
/// Copies of one channel that run or wait for their turn: each keeps a file open that its client may have closed.
const MAX_COPIES: usize = 64;

/// One session's identity, tree, tables and ways out.
#[derive(Debug)]
pub struct Context {
    pub tree: SessionTree,
    pub replies: Replies,
    pub intake: Intake,
    pub settings: Settings,
    pub budget: Arc<Budget>,
    pub waiting_uploads: Arc<WaitingUploads>,
    pub activity: Arc<Activity>,
    pub handles: Handles,
    pub order: Arc<Order>,
    pub closes: Arc<PendingCloses>,
    /// Set when the client is gone: nobody waits for answers any more.
    pub ended: CancellationToken,
    pub running: Semaphore,
    /// The room for copies.
    pub copies: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Context {
    pub fn new(tree: SessionTree, replies: Replies, resources: Resources) -> Self {
        let Resources { budget, waiting_uploads, settings, tasks } = resources;
        Self {
            tree,
            activity: Arc::clone(replies.activity()),
            intake: Intake::new(Arc::clone(&budget), Arc::clone(replies.activity())),
            replies,
            settings,
            budget,
            waiting_uploads,
            handles: Handles::default(),
            order: Arc::default(),
            closes: Arc::default(),
            ended: CancellationToken::new(),
            running: Semaphore::new(MAX_RUNNING),
            copies: Arc::new(Semaphore::new(MAX_COPIES)),
            tasks,
        }
    }

    /// The file under `path` that the session is writing, if a request on it has only the WRITEs before it to wait for:
    /// those have no place in the order.
    pub fn written(&self, claim: Claim, path: &VirtualPath) -> Option<Writes> {
        self.handles.written(path).filter(|_| self.order.is_free(claim, path))
    }

    /// The place of a request that makes `path` appear or go, behind the CLOSEs that came before it.
    pub fn barrier(&self, path: &VirtualPath) -> Barrier {
        self.closes.barrier(self.tree.vfs().mount_number(path))
    }

    /// The place of the upload that an OPEN of `path` begins.
    pub fn barrier_of_open(&self, path: &VirtualPath) -> Barrier {
        self.closes.barrier_of_open(self.tree.vfs().mount_number(path))
    }

    /// Enters the CLOSE of an upload that is to appear under `path`.
    pub fn pending_close(&self, path: &VirtualPath) -> PendingClose {
        self.closes.enter(self.tree.vfs().mount_number(path))
    }

    /// Makes the file of a handle, which was only read until now, an upload.
    pub fn begin_update(self: &Arc<Self>, number: u32, updates: &Updates) -> Writes {
        let writes = updates.begin(self);
        self.handles.replace(number, writes.clone());
        writes
    }

    /// The same where a size is set by path: the upload is to have it, or its CLOSE would find that another has changed
    /// the file.
    pub fn begin_update_of(self: &Arc<Self>, path: &VirtualPath) {
        if !self.tree.vfs().is_uploading(path)
            && let Some((number, updates)) = self.handles.unchanged(path)
        {
            self.begin_update(number, &updates);
        }
    }

    /// Runs `work` to its end, also when the client goes away: half a rename helps nobody.
    pub fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn(work);
    }

    /// Runs `work` as long as the client is there.
    pub fn run_while_wanted(self: &Arc<Self>, work: impl Future<Output = ()> + Send + 'static) {
        let ended = self.ended.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = work => {}
                () = ended.cancelled() => {}
            }
        });
    }
}
