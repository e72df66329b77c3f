//! Interrupted uploads, as the user who began them sees them: a file that doesn't exist yet, and that can be resumed.
//!
//! STAT shows them only if S3 has no object of the name: a stored file hides them.
//!
//! Invariant: only the tenant's user who began an upload can resume it, through the same mount and under the same path.

use super::{
    Error, Metadata, NewAttributes, Result, Vfs,
    open_uploads::{UploadStage, UploadView},
    session_state::ShownUpload,
};
use crate::{
    account::Mount,
    clock::Clock,
    journal::{JournalDown, ResumableUpload, Task, TaskSubject},
    name::{Key, MountedKey, VirtualPath},
    store::Bucket,
    upload::{InterruptedUpload, UploadJournal},
};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// The file of an interrupted upload as STAT shows it while no session uploads it.
pub(super) fn view(interrupted: &InterruptedUpload, clock: &dyn Clock) -> UploadView {
    let ResumableUpload { object, whole, .. } = &interrupted.task.payload;
    let new = UploadView::new(NewAttributes::read_from(&object.metadata), clock.unix_seconds());
    UploadView { size: whole.bytes, shipped: whole.bytes, stage: UploadStage::Named, ..new }
}

/// Fails if another session uploads the file, or if the upload is not the one that STAT showed this client, or has
/// grown since. A client to which STAT showed no upload may resume any.
pub(super) fn demand_shown(interrupted: &InterruptedUpload, shown: Option<&ShownUpload>) -> Result<()> {
    let Task { id, payload: ResumableUpload { whole, .. }, .. } = &interrupted.task;
    match shown {
        _ if interrupted.is_leased => Err(Error::BeingUploaded),
        Some(shown) if shown.id != *id || shown.bytes != whole.bytes => Err(Error::PartialGrown),
        _ => Ok(()),
    }
}

/// An older interrupted upload of a file that starts over.
#[derive(Debug)]
pub(super) enum OlderUpload {
    /// It is being abandoned, while the client sends the new file.
    InProgress(UploadJournal, JoinHandle<Result<bool, JournalDown>>),
    /// The journal could not abandon it.
    Remains(UploadJournal),
}

impl OlderUpload {
    /// Begins to abandon the interrupted upload of a file, if there is one.
    pub(super) fn abandon(upload_journal: UploadJournal) -> Self {
        let older = upload_journal.clone();
        Self::InProgress(upload_journal, tokio::spawn(async move { abandon(&older).await }))
    }

    /// Waits until the journal has answered. Returns true if the upload remains. Cancel-safe.
    pub(super) async fn remains(&mut self) -> bool {
        if let Self::InProgress(upload_journal, answer) = self {
            match answer.await {
                Ok(Ok(_)) => return false,
                Ok(Err(JournalDown)) | Err(_) => *self = Self::Remains(upload_journal.clone()),
            }
        }
        true
    }

    /// Abandons the upload, if that failed before.
    pub(super) async fn retry(self) {
        if let Self::Remains(upload_journal) = self {
            let _ = upload_journal.abandon_uploads().await;
        }
    }
}

async fn abandon(upload_journal: &UploadJournal) -> Result<bool, JournalDown> {
    if upload_journal.resumable_for.is_zero() {
        return Ok(false);
    }
    let Some((upload, _)) = upload_journal.find_upload().await? else { return Ok(false) };
    upload_journal.abandon_uploads().await?;
    Ok(upload.payload.whole.parts > 0)
}

impl Vfs {
    /// The journal's entry for the upload of a file. `None` if the key is no file of the mount.
    pub(super) fn upload_journal(&self, mount: &Mount, bucket: &dyn Bucket, key: &Key) -> Option<UploadJournal> {
        let resumable_for = self.tenant.partial_uploads_kept_for.unwrap_or_default();
        let place = MountedKey::of(&mount.prefix, key)?;
        let (bucket, permissions) = (bucket.id().clone(), mount.permissions);
        let file = TaskSubject { bucket, owner: self.owner(), place };
        Some(UploadJournal { journal: Arc::clone(&self.session.journal), file, permissions, resumable_for })
    }

    /// Returns the interrupted upload of a file, if there is a stored part to resume. One question to the journal.
    pub(super) async fn find_interrupted(
        &self,
        upload_journal: Option<UploadJournal>,
    ) -> Result<Option<InterruptedUpload>, JournalDown> {
        match upload_journal {
            Some(upload_journal) => InterruptedUpload::find(upload_journal).await,
            None => Ok(None),
        }
    }

    /// Abandons the interrupted upload of a file, if there is one, because the file starts over or is removed. Returns
    /// true if there was a stored part to resume.
    pub(super) async fn abandon_interrupted(
        &self,
        path: &VirtualPath,
        upload_journal: Option<&UploadJournal>,
    ) -> Result<bool, JournalDown> {
        self.session.shown_uploads.forget(path);
        match upload_journal {
            Some(upload_journal) => abandon(upload_journal).await,
            None => Ok(false),
        }
    }

    /// Returns the attributes of an interrupted upload of a missing file. While the journal is down there are none.
    pub(super) async fn stat_interrupted(
        &self,
        path: &VirtualPath,
        mount: &Mount,
        bucket: &dyn Bucket,
        key: &Key,
    ) -> Option<Metadata> {
        let Ok(Some(interrupted)) = self.find_interrupted(self.upload_journal(mount, bucket, key)).await else {
            self.session.shown_uploads.forget(path);
            return None;
        };
        let Task { id, payload: ResumableUpload { whole, .. }, .. } = &interrupted.task;
        self.session.shown_uploads.note(path, ShownUpload { id: id.clone(), bytes: whole.bytes });
        Some(Metadata::of_upload(view(&interrupted, &*self.node.clock), mount))
    }
}
