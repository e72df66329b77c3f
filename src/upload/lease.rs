//! The task in the journal of an upload in parts. It lets another session or node find the upload after its connection,
//! or the server, is lost.
//!
//! Its keeper writes it, so that no part waits for the journal: when S3 has opened the upload, then as the upload
//! grows.
//!
//! Invariant: this node aborts only an upload that is certainly its own, and takes only such an upload's object for its
//! own success.

use super::{
    parts::{CreateAnswer, id},
    whole::ContiguousParts,
};
use crate::{
    account::Permissions,
    journal::{
        Journal, JournalDown, KeeperPace, Lease, LeaseKeeper, LeasedRow, ResumableUpload, Standing, Task, TaskKind,
        TaskPayload, TaskProgress, TaskSubject, Whole,
    },
    name::{Key, MountedKey},
    store::{NewObject, Result},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::watch;

/// The time for which no other node takes over the upload of a server that was killed.
const TERM: Duration = Duration::from_secs(30);
const PACE: KeeperPace = KeeperPace { note_period: Duration::from_secs(2), renewed_after: Duration::from_secs(8) };

/// The journal that gets the task of an upload in parts. Another session can find the task there and resume the upload,
/// or another node abort it, after its own session and node are gone.
#[derive(Clone, Debug)]
pub struct UploadJournal {
    /// The journal itself.
    pub(crate) journal: Arc<dyn Journal>,
    /// The file that the upload is to become, and its owner.
    pub(crate) file: TaskSubject,
    /// The owner's permissions in the mount. With them another node can abort the upload.
    pub(crate) permissions: Permissions,
    /// The time for which it can be resumed after an interruption. Zero: it can only be aborted.
    pub(crate) resumable_for: Duration,
}

impl UploadJournal {
    /// Returns the interrupted upload of the file, and true if a session has its lease. One call to the journal.
    ///
    /// # Errors
    /// [`JournalDown`].
    pub(crate) async fn find_upload(&self) -> Result<Option<(Task<ResumableUpload>, bool)>, JournalDown> {
        let found = self.journal.find_task(TaskKind::Upload, &self.file).await?;
        Ok(found.and_then(|(task, is_leased)| Some((task.upload()?, is_leased))))
    }

    /// Abandons the interrupted uploads of the file.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    pub(crate) async fn abandon_uploads(&self) -> Result<(), JournalDown> {
        self.journal.abandon_tasks(TaskKind::Upload, &self.file).await
    }

    /// The row of an upload under this lease.
    fn row(&self, lease: Lease) -> LeasedRow {
        LeasedRow { journal: Arc::clone(&self.journal), lease, keep: self.resumable_for, pace: PACE }
    }

    /// The same settings for another file of the mount.
    pub(super) fn renamed(self, key: &Key) -> Option<Self> {
        let place = MountedKey::of(self.file.place.mount(), key)?;
        Some(Self { file: TaskSubject { place, ..self.file }, ..self })
    }
}

/// The stored beginning of an upload.
#[derive(Debug, Default)]
pub(super) struct Progress {
    pub(super) stored: ContiguousParts,
}

impl TaskProgress for Progress {
    fn write_to(&self, payload: &mut TaskPayload) {
        if let TaskPayload::Upload(upload) = payload {
            upload.whole = self.stored.so_far();
        }
    }
}

/// One upload's task, leased until its end. If this is dropped, the row stays as it was last noted, and its lease ends
/// by itself.
#[derive(Debug)]
pub(super) struct UploadLease {
    keeper: LeaseKeeper,
    /// True if a session may resume the upload. If not, only the janitor can take it.
    is_resumable: bool,
}

impl UploadLease {
    /// Enters an upload as soon as S3 has opened it.
    ///
    /// # Errors
    /// [`Error::Broken`](crate::store::Error::Broken) if the system has no random bytes.
    pub(super) fn enter(
        upload_journal: UploadJournal,
        object: NewObject,
        created: watch::Receiver<CreateAnswer>,
        progress: &watch::Sender<Progress>,
    ) -> Result<Self> {
        let lease = new_lease()?;
        let is_resumable = !upload_journal.resumable_for.is_zero();
        let (task_id, row) = (lease.holder.clone(), upload_journal.row(lease));
        let task = async move {
            let upload = id(created).await.ok()?;
            let TaskSubject { bucket, owner, place } = upload_journal.file;
            let payload = ResumableUpload { place, upload, object, whole: Whole::default() }.into();
            Some(Task { id: task_id, bucket, owner, permissions: Some(upload_journal.permissions), payload })
        };
        Ok(Self { keeper: LeaseKeeper::enter(row, task, progress.subscribe()), is_resumable })
    }

    /// The task of an upload that was taken over under `lease`.
    pub(super) fn resume(
        upload_journal: &UploadJournal,
        task: Task<ResumableUpload>,
        lease: Lease,
        progress: &watch::Sender<Progress>,
    ) -> Self {
        let keeper = LeaseKeeper::keep(upload_journal.row(lease), task.of_any_kind(), progress.subscribe());
        Self { keeper, is_resumable: !upload_journal.resumable_for.is_zero() }
    }

    /// True if a session may resume the upload after an interruption.
    pub(super) fn is_resumable(&self) -> bool {
        self.is_resumable
    }

    /// True if another session resumed the upload, as far as this node knows.
    pub(super) fn is_lost(&self) -> bool {
        self.keeper.is_lost()
    }

    /// True if no other session can have resumed the upload. At most one call to the journal.
    pub(super) async fn is_ours(&self) -> bool {
        if !self.is_resumable || !self.keeper.is_told() {
            return !self.is_lost();
        }
        match self.keeper.confirm().await {
            Ok(standing) => standing != Standing::Lost,
            Err(JournalDown) => self.keeper.is_certain(),
        }
    }

    /// Ends the lease, so that the next session can resume the upload if no session abandoned it.
    pub(super) async fn release(self) -> Standing {
        self.keeper.release().await
    }

    /// Abandons the upload. Returns `None` if another session resumed it. Else the caller can abort it, and then delete
    /// its row.
    pub(super) async fn abandon(self) -> Option<Self> {
        (self.keeper.abandon().await != Standing::Lost).then_some(self)
    }

    /// Deletes the upload's row. If the journal is down, the row stays until the janitor finds no such upload in S3.
    pub(super) async fn delete(self) {
        let _ = self.keeper.delete().await;
    }
}

/// A lease that ends sooner than a rename's, because a client waits to resume the upload.
pub(super) fn new_lease() -> Result<Lease> {
    Ok(Lease { term: TERM, ..Lease::new()? })
}
