//! The journal entry of an upload. It lets another session or node find the upload after its connection, or the server,
//! is lost.
//!
//! A background task writes it, so that no part waits for the journal. It writes when S3 has opened the upload, then as
//! the upload grows, at most every two seconds, and regularly so that the lease doesn't end. While the journal is down
//! the upload continues. The task notes its progress when the journal answers again.

use super::{
    held::Held,
    parts::{Created, id},
    whole::Contiguous,
};
use crate::{
    account::Permissions,
    journal::{Journal, JournalDown, Lease, ResumableUpload, Standing, Task, TaskKind, TaskSubject, Whole},
    name::{Key, MountedKey},
    store::{NewObject, Result},
};
use std::{mem, sync::Arc, time::Duration};
use tokio::{
    sync::watch::{self, error::RecvError},
    task::JoinHandle,
    time::timeout,
};

/// The shortest interval between two notes of the progress. A server that is killed loses the progress since the last
/// one.
const NOTED_EVERY: Duration = Duration::from_secs(2);
/// The time for which no other node takes over the upload of a server that was killed.
pub(super) const TERM: Duration = Duration::from_secs(30);
/// The time after which the lease is renewed in any case, so that one slow answer of the journal doesn't end it.
const RENEWED_AFTER: Duration = Duration::from_secs(8);

/// The journal, file and time for which an upload in parts is kept. With them, another session can resume it, or
/// another node abort it, after its own session and node are gone.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The journal that has the entry.
    pub(crate) journal: Arc<dyn Journal>,
    /// The file that the upload is to become, and its owner.
    pub(crate) file: TaskSubject,
    /// The owner's permissions in the mount. With them another node can abort the upload.
    pub(crate) permissions: Permissions,
    /// The time for which it can be resumed after an interruption. Zero: it can only be aborted.
    pub(crate) kept_for: Duration,
}

impl Keeping {
    /// Returns the interrupted upload of the file, and true if a session holds it. One question to the journal.
    ///
    /// # Errors
    /// [`JournalDown`].
    pub(crate) async fn find_upload(&self) -> Result<Option<(Task<ResumableUpload>, bool)>, JournalDown> {
        let found = self.journal.find_task(TaskKind::Upload, &self.file).await?;
        Ok(found.and_then(|(task, is_held)| Some((task.upload()?, is_held))))
    }

    /// Abandons the interrupted uploads of the file.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    pub(crate) async fn abandon_uploads(&self) -> Result<(), JournalDown> {
        self.journal.abandon_tasks(TaskKind::Upload, &self.file).await
    }

    /// The same settings for another file of the mount.
    pub(super) fn renamed(self, key: &Key) -> Option<Self> {
        let place = MountedKey::of(self.file.place.mount(), key)?;
        Some(Self { file: TaskSubject { place, ..self.file }, ..self })
    }
}

/// The progress of an upload, and the requested end of its entry.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) stored: Contiguous,
    end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The next session may resume it.
    LetGo,
    /// It is to be aborted: by this node, or else by the janitor.
    GivenUp,
    /// It is no longer open in S3.
    Struck,
}

/// One upload's entry, held until its end. If this is dropped, the entry stays as it was last noted, and its lease ends
/// by itself.
#[derive(Debug)]
pub(super) struct Entry {
    progress: watch::Sender<Progress>,
    held: Arc<Held>,
    task: JoinHandle<Standing>,
}

impl Entry {
    /// Enters an upload as soon as S3 has opened it.
    ///
    /// # Errors
    /// [`Error::Broken`](crate::store::Error::Broken) if the system has no random bytes.
    pub(super) fn enter(
        keeping: Keeping,
        object: NewObject,
        created: watch::Receiver<Created>,
        progress: watch::Sender<Progress>,
    ) -> Result<Self> {
        let held = Arc::new(Held::new(keeping.clone(), lease()?));
        let (tended, seen) = (Arc::clone(&held), progress.subscribe());
        let task = tokio::spawn(async move {
            let Ok(upload) = id(created).await else { return Standing::Abandoned };
            let (id, permissions) = (tended.id().to_owned(), Some(keeping.permissions));
            let TaskSubject { bucket, owner, place } = keeping.file;
            let payload = ResumableUpload { place, upload, object, whole: Whole::default() };
            let task = Task { id, bucket, owner, permissions, payload };
            Tending { held: tended, task, state: State::New, is_noted: false }.run(seen).await
        });
        Ok(Self { progress, held, task })
    }

    /// The entry of an upload that was taken over under `lease`.
    pub(super) fn taken(
        keeping: Keeping,
        task: Task<ResumableUpload>,
        lease: Lease,
        progress: watch::Sender<Progress>,
    ) -> Self {
        let held = Arc::new(Held::taken(keeping, &task, lease));
        let tending = Tending { held: Arc::clone(&held), task, state: State::Entered, is_noted: true };
        let task = tokio::spawn(tending.run(progress.subscribe()));
        Self { progress, held, task }
    }

    /// True if the upload may be resumed after an interruption.
    pub(super) fn is_kept(&self) -> bool {
        self.held.is_kept()
    }

    /// True if another session resumed the upload, as far as this node knows.
    pub(super) fn is_lost(&self) -> bool {
        self.held.is_lost()
    }

    /// True if no other session can have resumed the upload. At most one call to the journal.
    pub(super) async fn is_ours(&self) -> bool {
        let whole = self.progress.borrow().stored.so_far();
        self.held.confirm(whole).await
    }

    /// Lets go of the upload, so that the next session can resume it if it is still kept.
    pub(super) async fn let_go(self) -> Standing {
        self.end(End::LetGo).await
    }

    /// Abandons the upload. Returns `None` if another session resumed it. Else the caller can abort it, and then delete
    /// its row.
    pub(super) async fn give_up(self) -> Option<Arc<Held>> {
        let held = Arc::clone(&self.held);
        (self.end(End::GivenUp).await != Standing::Lost).then_some(held)
    }

    /// Deletes the upload's row.
    pub(super) async fn strike(self) {
        self.end(End::Struck).await;
    }

    async fn end(self, end: End) -> Standing {
        self.progress.send_modify(|progress| progress.end = Some(end));
        // The task ends within two calls to the journal.
        self.task.await.unwrap_or(Standing::Lost)
    }
}

/// A lease that ends sooner than a rename's, because a client waits to resume the upload.
pub(super) fn lease() -> Result<Lease> {
    Ok(Lease { term: TERM, ..Lease::new()? })
}

/// An entry, and this node's knowledge of it.
struct Tending {
    held: Arc<Held>,
    task: Task<ResumableUpload>,
    state: State,
    /// True if the journal has noted a part.
    is_noted: bool,
}

/// The journal's knowledge of the entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    New,
    /// The journal didn't answer the call that enters it, and may have it.
    Doubtful,
    Entered,
}

impl Tending {
    async fn run(mut self, mut seen: watch::Receiver<Progress>) -> Standing {
        loop {
            let (whole, end) = state(&seen.borrow());
            let standing = self.write(whole, end).await;
            if end.is_some() || self.held.is_lost() || next(&mut seen, whole).await.is_err() {
                return standing;
            }
        }
    }

    async fn write(&mut self, whole: Whole, end: Option<End>) -> Standing {
        self.task.payload.whole = whole;
        let kept_for = self.held.kept_for();
        match end {
            None => self.hold(TERM, kept_for).await,
            Some(End::LetGo) => self.hold(Duration::ZERO, kept_for).await,
            Some(End::GivenUp) => self.hold(TERM, Duration::ZERO).await,
            Some(End::Struck) => {
                self.held.strike().await;
                Standing::Abandoned
            }
        }
    }

    async fn hold(&mut self, term: Duration, keep: Duration) -> Standing {
        if self.state != State::Entered {
            let before = mem::replace(&mut self.state, State::Doubtful);
            if self.held.enter(&self.task, term, keep).await.is_err() {
                // No session can rely on finding the entry.
                return Standing::Abandoned;
            }
            self.state = State::Entered;
            if before == State::New {
                return Standing::Kept;
            }
        }
        match self.held.hold(self.task.payload.whole, term, keep).await {
            Ok(Standing::Lost) => {
                self.held.lose();
                Standing::Lost
            }
            Ok(standing) => {
                self.is_noted |= self.task.payload.whole.parts > 0;
                standing
            }
            Err(JournalDown) if !self.held.is_certain() => Standing::Lost,
            // A session can find the progress that was noted before.
            Err(JournalDown) if self.is_noted => Standing::Kept,
            Err(JournalDown) => Standing::Abandoned,
        }
    }
}

fn state(progress: &Progress) -> (Whole, Option<End>) {
    (progress.stored.so_far(), progress.end)
}

/// Waits until there is more to write than was `written`: an end at once, progress at intervals. Fails if the sender
/// was dropped.
async fn next(seen: &mut watch::Receiver<Progress>, written: Whole) -> Result<(), RecvError> {
    if let Ok(ended) = timeout(NOTED_EVERY, seen.wait_for(|progress| progress.end.is_some())).await {
        return ended.map(drop);
    }
    let other = seen.wait_for(|progress| state(progress) != (written, None));
    timeout(RENEWED_AFTER, other).await.map_or(Ok(()), |other| other.map(drop))
}
