//! Durable tasks: work of a session that another session or node can finish after this one is gone. An interrupted
//! upload waits to be resumed or aborted, and an interrupted rename to be finished or undone.
//!
//! All kinds have one lease protocol. A task is *leased* until its holder's lease ends, and no other holder works on it
//! before. It is *resumable* until its time is over or it is abandoned: until then a session can find and resume it,
//! and later only maintenance takes it over. A kind that no session resumes has no such time. The row of a task stays
//! until its work is finished or undone.
//!
//! Invariant: the names of a task lie below its mount. The journal parses them as it reads a row, and skips a row that
//! names anything else.

use super::{DirectoryRename, FileRename, JournalDown, Lease, MovedAttributes, ResumableUpload};
use crate::{
    account::Permissions,
    name::{BucketId, Key, MountedKey, TenantName, UserName},
    store::UploadId,
};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The user who owns a task. A node needs both names to reach the bucket again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The tenant of the user.
    pub tenant: TenantName,
    /// The user, which may be in no config file any more.
    pub user: UserName,
}

/// A durable task: of any kind, or of the kind that has the payload `P`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task<P = TaskPayload> {
    /// Unique for ever.
    pub id: String,
    /// The bucket that the task changes.
    pub bucket: BucketId,
    /// The user whose session began the task.
    pub owner: Owner,
    /// The owner's permissions in the mount when the task began. `None`: an earlier version entered it.
    pub permissions: Option<Permissions>,
    /// The work and its progress.
    pub payload: P,
}

/// The work of a task, and its progress.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "most tasks are uploads, which are the largest")]
pub enum TaskPayload {
    /// An upload in parts.
    Upload(ResumableUpload),
    /// The rename of a directory.
    DirectoryRename(DirectoryRename),
    /// The rename of a file.
    FileRename(FileRename),
}

/// The kind of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TaskKind {
    /// A new one abandons the older ones of its subject.
    Upload,
    /// It isn't entered while another one overlaps it: see [`DirectoryRename::overlaps`].
    DirectoryRename,
    /// It is always entered: a claim keeps other renames away.
    FileRename,
}

/// The progress of the work on a task.
pub(crate) trait TaskProgress: Send + Sync + 'static {
    /// Writes the progress into the task's payload.
    fn write_to(&self, payload: &mut TaskPayload);
}

/// The name that a task is about, and its owner. Only this owner can find the task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TaskSubject {
    /// The bucket of the name.
    pub bucket: BucketId,
    /// The user whose session began the task.
    pub owner: Owner,
    /// The key of the file or directory, and the mount that it is reached through.
    pub place: MountedKey,
}

/// The state of a task, as its last holder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This holder has it, and a session can resume it after the holder releases it.
    Resumable,
    /// This holder has it, and it is abandoned: no session finds it.
    Abandoned,
    /// Another holder has it, or its row was deleted.
    Lost,
}

impl TaskKind {
    /// All kinds that this version knows.
    const ALL: [Self; 3] = [Self::Upload, Self::DirectoryRename, Self::FileRename];

    /// The word that is written to the journal for this kind.
    #[must_use]
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Upload => "upload",
            Self::DirectoryRename => "directory_rename",
            Self::FileRename => "file_rename",
        }
    }

    /// The kind for a word from the journal. `None` for an unknown one.
    #[must_use]
    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

impl TaskPayload {
    /// The kind of the task.
    #[must_use]
    pub(crate) fn kind(&self) -> TaskKind {
        match self {
            Self::Upload(_) => TaskKind::Upload,
            Self::DirectoryRename(_) => TaskKind::DirectoryRename,
            Self::FileRename(_) => TaskKind::FileRename,
        }
    }

    /// The name that the task is about: the file of an upload, the source of a rename.
    #[must_use]
    pub(crate) fn place(&self) -> &MountedKey {
        match self {
            Self::Upload(upload) => &upload.place,
            Self::DirectoryRename(DirectoryRename { names, .. }) | Self::FileRename(FileRename { names }) => {
                names.source_place()
            }
        }
    }
}

impl TaskPayload {
    /// The names that the task creates or removes, in their order.
    #[must_use]
    pub(crate) fn changed_names(&self) -> Vec<&Key> {
        let mut names = match self {
            Self::Upload(upload) => vec![upload.place.key()],
            Self::DirectoryRename(DirectoryRename { names, .. }) | Self::FileRename(FileRename { names }) => {
                vec![names.source_file(), names.target_file()]
            }
        };
        names.sort_unstable();
        names.dedup();
        names
    }
}

impl Task {
    /// The name that the task is about, and its owner.
    #[must_use]
    pub fn subject(&self) -> TaskSubject {
        let (bucket, owner) = (self.bucket.clone(), self.owner.clone());
        TaskSubject { bucket, owner, place: self.payload.place().clone() }
    }

    /// The upload, if the task is one.
    #[must_use]
    pub fn upload(self) -> Option<Task<ResumableUpload>> {
        let Self { id, bucket, owner, permissions, payload } = self;
        let TaskPayload::Upload(payload) = payload else { return None };
        Some(Task { id, bucket, owner, permissions, payload })
    }

    /// The rename of a directory, if the task is one.
    #[must_use]
    pub fn directory_rename(self) -> Option<Task<DirectoryRename>> {
        let Self { id, bucket, owner, permissions, payload } = self;
        let TaskPayload::DirectoryRename(payload) = payload else { return None };
        Some(Task { id, bucket, owner, permissions, payload })
    }

    /// The rename of a file, if the task is one.
    #[must_use]
    pub fn file_rename(self) -> Option<Task<FileRename>> {
        let Self { id, bucket, owner, permissions, payload } = self;
        let TaskPayload::FileRename(payload) = payload else { return None };
        Some(Task { id, bucket, owner, permissions, payload })
    }
}

impl<P: Into<TaskPayload>> Task<P> {
    /// The task, as the journal stores it.
    #[must_use]
    pub fn of_any_kind(self) -> Task {
        let Self { id, bucket, owner, permissions, payload } = self;
        Task { id, bucket, owner, permissions, payload: payload.into() }
    }
}

impl From<ResumableUpload> for TaskPayload {
    fn from(upload: ResumableUpload) -> Self {
        Self::Upload(upload)
    }
}

impl From<DirectoryRename> for TaskPayload {
    fn from(rename: DirectoryRename) -> Self {
        Self::DirectoryRename(rename)
    }
}

impl From<FileRename> for TaskPayload {
    fn from(rename: FileRename) -> Self {
        Self::FileRename(rename)
    }
}

/// The part of a [`Journal`](super::Journal) that tasks need. Every method is a few round trips at most.
#[async_trait]
pub trait TaskJournal: Send + Sync + fmt::Debug {
    /// Enters a task, leased under `lease` and resumable for `keep` from now. A task that is already entered stays as
    /// it is. Returns `false`, and enters nothing, if the task's kind forbids it: see [`TaskKind`]. Of several tasks
    /// that exclude each other and are entered at once, one is entered.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn enter_task(&self, task: &Task, lease: &Lease, keep: Duration) -> Result<bool, JournalDown>;

    /// Notes the progress of the task `id`, and restarts the lease's term and the time in which it is resumable. A term
    /// of zero releases it. An abandoned task stays abandoned. If the lease's holder no longer has it, nothing is
    /// noted.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn hold_task(
        &self,
        id: &str,
        payload: &TaskPayload,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown>;

    /// The newest resumable task of a kind and a subject, and true if it is leased.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn find_task(&self, kind: TaskKind, subject: &TaskSubject) -> Result<Option<(Task, bool)>, JournalDown>;

    /// Takes over the task `id`. Returns `false` if it isn't resumable or another session has its lease.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn take_task(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown>;

    /// Takes over a task of a kind that is no longer resumable, and whose lease ended at least `free_for` ago. Of
    /// several, takes the one whose lease ended first.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn take_next_task(
        &self,
        kind: TaskKind,
        lease: &Lease,
        free_for: Duration,
    ) -> Result<Option<Task>, JournalDown>;

    /// Abandons the tasks of a kind and a subject: no session finds them. The holder of a lease may still finish its
    /// task.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn abandon_tasks(&self, kind: TaskKind, subject: &TaskSubject) -> Result<(), JournalDown>;

    /// Deletes the row of the task `id`, or, with a `holder`, only if that still has its lease.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn end_task(&self, id: &str, holder: Option<&Lease>) -> Result<(), JournalDown>;

    /// Enters a task together with claims on the names that it changes. Returns `false`, and enters nothing, while
    /// another holder's claim on one of them lasts. Needs no more round trips than a claim. In a journal that no other
    /// node shares, there are no claims.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn enter_claimed_task(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown>;

    /// Deletes the row of a task, and its claims, if the lease's holder still has them. Of a file that was renamed,
    /// also moves the attributes, whoever has the lease. One round trip.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless, or that of the attributes alone.
    async fn end_claimed_task(
        &self,
        task: &Task,
        lease: &Lease,
        moved: Option<MovedAttributes<'_>>,
    ) -> Result<(), JournalDown>;

    /// Ends a claimed task as [`Self::end_claimed_task`] does, if no attributes are kept for the names that it changes.
    /// Returns `false`, and changes nothing, if some are, or if another holder has the task. One round trip.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn end_task_without_attributes(&self, task: &Task, lease: &Lease) -> Result<bool, JournalDown>;

    /// True if an upload that is open in S3 has a task, abandoned or not.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn has_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown>;

    /// True if the journal has the task of an upload of the tenant in the bucket, abandoned or not. If it has none,
    /// [`Self::find_task`] finds no upload there.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn has_uploads_of(&self, bucket: &BucketId, tenant: &TenantName) -> Result<bool, JournalDown>;
}
