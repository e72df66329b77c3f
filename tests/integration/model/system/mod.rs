//! The real tree and the promises, side by side.

mod calls;
mod crashes;
mod downloads;
mod uploads;

use super::{
    action::{Action, TreeOperation},
    answer_kind::AnswerKind,
    check::{right_answer, same_metadata},
    promises::{Draft, Promises},
};
use crate::support::{
    partials::clear_away,
    promise::{CheckResult, ensure},
    tree::tree,
};
use calls::{listing, path, perform};
use std::{sync::Arc, time::Duration};
use tokio::time::sleep;
use wharfinger::{
    account::{Permission, Permissions},
    journal::MemoryJournal,
    memory::Budget,
    store::Bucket,
    testing::{FaultyBucket, MemoryBucket},
    vfs::{ReadHandle, Vfs, WriteHandle},
};

const SESSIONS: usize = 3;
/// Time for which a session may rely on its own view.
const VIEW_LIFETIME: Duration = Duration::from_secs(2);
/// Longer than any operation that ends.
const PATIENCE: Duration = Duration::from_mins(15);

pub struct System {
    memory: Arc<MemoryBucket>,
    faulty: Arc<FaultyBucket>,
    budget: Arc<Budget>,
    journal: Arc<MemoryJournal>,
    sessions: Vec<Vfs>,
    writing: Vec<WriteHandle>,
    reading: Vec<ReadHandle>,
    promises: Promises,
    acting: usize,
    /// Uploads that S3 created for a session that crashed before it got the id.
    orphans: usize,
}

impl System {
    /// Plays a sequence, and compares tree and promises after every action.
    pub async fn play(actions: &[Action]) -> CheckResult {
        let mut system = Self::new();
        for (index, action) in actions.iter().enumerate() {
            let kept = system.act(action).await.and_then(|()| system.compare());
            system.promises.note_free_names();
            system.promises.stored.forget_gone_directories();
            kept.map_err(|complaint| format!("action {index}, {action:?}: {complaint}"))?;
        }
        system.end().await
    }

    fn new() -> Self {
        let memory = Arc::new(MemoryBucket::new());
        let faulty = Arc::new(FaultyBucket::over(Arc::clone(&memory) as Arc<dyn Bucket>));
        let mut system = Self {
            memory,
            faulty,
            budget: Budget::new(1 << 30),
            journal: Arc::new(MemoryJournal::shared()),
            sessions: Vec::new(),
            writing: Vec::new(),
            reading: Vec::new(),
            promises: Promises::default(),
            acting: 0,
            orphans: 0,
        };
        system.sessions = (0..SESSIONS).map(|by| system.session(by)).collect();
        system
    }

    /// Returns a session on its own node. Sessions 0 and 1 are alice's, who has all permissions. Session 2 is bob's,
    /// who may not replace files.
    fn session(&self, by: usize) -> Vfs {
        let (user, permissions) =
            if by < 2 { ("alice", Permissions::ALL) } else { ("bob", Permissions::ALL.without(Permission::Overwrite)) };
        tree(user, permissions, Arc::clone(&self.faulty) as Arc<dyn Bucket>, &self.budget, &self.journal)
    }

    /// Makes it `by`'s turn. If another session acted last, it waits until the session's own view is too old to be
    /// used.
    async fn turn(&mut self, by: usize) {
        if by != self.acting {
            sleep(VIEW_LIFETIME + Duration::from_millis(1)).await;
            self.acting = by;
        }
    }

    fn compare(&self) -> CheckResult {
        ensure(self.promises.stored.is_in(&self.memory), || format!("stored is {:?}", self.memory.keys()))?;
        let renames = self.journal.renames();
        ensure(renames.is_empty(), || format!("{renames:?} are still under way"))
    }

    /// Ends all sessions, and checks that only stored files remain.
    async fn end(mut self) -> CheckResult {
        self.writing.clear();
        self.reading.clear();
        self.sessions.clear();
        sleep(PATIENCE).await;
        self.compare()?;
        let (left, orphans) = (clear_away(&self.memory, &self.journal).await, self.orphans);
        ensure(left.with_row == 0 && left.without_row <= orphans, || {
            format!("{left:?} in the end, and {orphans} are nobody's")
        })?;
        ensure(self.budget.used() == 0, || "in the end memory is still taken".into())
    }
}

/// Dispatch of the actions.
impl System {
    async fn act(&mut self, action: &Action) -> CheckResult {
        if let Some((by, names)) = action.named()
            && names.iter().any(|at| self.promises.may_show_part(by % SESSIONS, at))
        {
            return Ok(());
        }
        match *action {
            Action::Open { by, at, options, modified } => self.open(by % SESSIONS, at, options, modified).await,
            Action::OpenRead { by, at } => self.open_read(by % SESSIONS, at).await,
            Action::Stat { by, at } => self.stat(by % SESSIONS, at).await,
            Action::List { by, at } => self.list(by % SESSIONS, at).await,
            Action::Do { by, operation } => self.change(by % SESSIONS, operation).await,
            Action::Crash { by } => {
                self.crash(by % SESSIONS).await;
                Ok(())
            }
            Action::CrashIn { by, operation, request, done } => {
                Box::pin(self.crash_in(by % SESSIONS, operation, request, done)).await
            }
            Action::Read { .. } | Action::CloseRead { .. } => self.act_on_download(action).await,
            Action::Write { .. }
            | Action::ReadBack { .. }
            | Action::SetOpenTimes { .. }
            | Action::ResizeOpen { .. }
            | Action::Close { .. }
            | Action::Abandon { .. }
            | Action::CrashInClose { .. } => self.act_on_upload(action).await,
        }
    }

    async fn change(&mut self, by: usize, operation: TreeOperation) -> CheckResult {
        self.turn(by).await;
        let right = self.promises.answers(by, operation);
        let done = perform(&self.sessions[by], operation).await;
        let answered = right_answer(&done, &right)?;
        if answered {
            self.promises.done(by, operation);
        }
        self.promises.stored.adopt(&self.memory, &operation.paths());
        Ok(())
    }

    async fn stat(&mut self, by: usize, at: &'static str) -> CheckResult {
        self.turn(by).await;
        let metadata = self.sessions[by].stat(&path(at)).await;
        let poisoned = self.promises.newest(by, at).is_some_and(|draft| draft.poisoned);
        let right = self.promises.stat(by, at);
        right_answer(&metadata, &[right.as_ref().err().cloned().unwrap_or(AnswerKind::Ok)])?;
        if let (Ok(metadata), Ok(right), false) = (&metadata, right, poisoned) {
            same_metadata(*metadata, right)?;
        }
        Ok(())
    }

    async fn list(&mut self, by: usize, at: &'static str) -> CheckResult {
        self.turn(by).await;
        let listed = listing(&self.sessions[by], at).await;
        let right = self.promises.list(by, at);
        right_answer(&listed, &[right.as_ref().err().cloned().unwrap_or(AnswerKind::Ok)])?;
        let (Ok(listed), Ok(right)) = (listed, right) else { return Ok(()) };
        let names = || format!("listed are {:?}, and there are {:?}", listed.keys(), right.keys());
        ensure(listed.keys().eq(right.keys()), names)?;
        for (metadata, right) in listed.values().zip(right.values()) {
            same_metadata(*metadata, *right)?;
        }
        Ok(())
    }
}

impl System {
    fn take_upload(&mut self, handle: usize) -> (WriteHandle, Draft) {
        (self.writing.remove(handle), self.promises.drafts.remove(handle))
    }
}
