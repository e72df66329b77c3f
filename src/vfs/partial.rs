//! Interrupted uploads, as the user who began them sees them: a file that doesn't exist yet, and that can be resumed.
//!
//! They show only if S3 has no object of the name: a stored file hides them.
//!
//! Invariant: only the tenant's user who began an upload can resume it, through the same mount and under the same path.

use super::{
    Error, Metadata, Mount, NewAttributes, Result, Vfs,
    notes::{Live, Shown},
};
use crate::{
    clock::Clock,
    journal::{JournalDown, ResumableUpload, Task, TaskSubject},
    name::{Key, MountedKey, VirtualPath},
    store::{self, Bucket},
    upload::{self, Keeping, UploadError},
};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// An interrupted upload.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) upload: Task<ResumableUpload>,
    pub(super) keeping: Keeping,
    /// True if another session uploads the file, or did so a moment ago.
    is_held: bool,
}

/// The interrupted upload that OPEN found, and what becomes of it.
#[derive(Debug)]
pub(super) enum CutOff {
    /// No interrupted upload matters.
    Nothing,
    /// This upload is resumed.
    GoesOn(Box<Partial>),
    /// The file starts over. A possible interrupted upload is being abandoned.
    GivingUp(GivingUp),
    /// The journal is down: the client may mean to resume an interrupted upload.
    Unknown,
}

impl CutOff {
    /// Abandons a possible interrupted upload, whatever it is.
    pub(super) fn given_up(keeping: Option<Keeping>) -> Self {
        keeping.map_or(Self::Nothing, |keeping| Self::GivingUp(GivingUp::begin(keeping)))
    }
}

impl Partial {
    /// The file as STAT shows it while no session uploads it.
    pub(super) fn live(&self, clock: &dyn Clock) -> Live {
        let ResumableUpload { object, whole, .. } = &self.upload.payload;
        let live = Live::new(NewAttributes::read_from(&object.metadata), clock.unix_seconds());
        Live { size: whole.bytes, shipped: whole.bytes, ..live }
    }

    /// Fails if another session uploads the file, or if the upload is not the one that this client was shown, or has
    /// grown since. A client that wasn't shown an upload may resume any.
    pub(super) fn demand(self, shown: Option<&Shown>) -> Result<Self> {
        let (id, whole) = (&self.upload.id, self.upload.payload.whole);
        match shown {
            _ if self.is_held => Err(Error::BeingUploaded),
            Some(shown) if shown.id != *id || shown.bytes != whole.bytes => Err(Error::PartialGrown),
            _ => Ok(self),
        }
    }

    /// Takes the upload over.
    pub(super) async fn take(self, bucket: &dyn Bucket) -> Result<(Keeping, upload::Taken)> {
        let Self { upload, keeping, .. } = self;
        match upload::Taken::take(bucket, &keeping, upload).await {
            Ok(taken) => Ok((keeping, taken)),
            Err(UploadError::Storage(store::Error::UploadGone)) => Err(Error::PartialLost),
            Err(error) => Err(error.into()),
        }
    }
}

/// Abandons an interrupted upload, while the client sends the new file.
#[derive(Debug)]
pub(super) struct GivingUp {
    keeping: Keeping,
    done: JoinHandle<Result<bool, JournalDown>>,
}

impl GivingUp {
    fn begin(keeping: Keeping) -> Self {
        let giving_up = keeping.clone();
        Self { keeping, done: tokio::spawn(async move { give_up(&giving_up).await }) }
    }

    /// Waits for the end. Returns the file if its upload could not be abandoned. Must not be called again after it
    /// returned.
    pub(super) async fn owed(&mut self) -> Option<Keeping> {
        match (&mut self.done).await {
            Ok(Ok(_)) => None,
            Ok(Err(JournalDown)) | Err(_) => Some(self.keeping.clone()),
        }
    }
}

async fn give_up(keeping: &Keeping) -> Result<bool, JournalDown> {
    if keeping.kept_for.is_zero() {
        return Ok(false);
    }
    let Some((upload, _)) = keeping.find_upload().await? else { return Ok(false) };
    keeping.abandon_uploads().await?;
    Ok(upload.payload.whole.parts > 0)
}

impl Vfs {
    /// The journal's entry for the upload of a file; `None` if the key is no file of the mount.
    pub(super) fn keeping(&self, mount: &Mount, bucket: &dyn Bucket, key: &Key) -> Option<Keeping> {
        let kept_for = self.tenant.partial_uploads_kept_for.unwrap_or_default();
        let place = MountedKey::of(&mount.prefix, key)?;
        let (bucket, permissions) = (bucket.id().clone(), mount.permissions);
        let file = TaskSubject { bucket, owner: self.owner(), place };
        Some(Keeping { journal: Arc::clone(&self.node.journal), file, permissions, kept_for })
    }

    /// Returns the interrupted upload of a file, if there is a stored part to resume. One question to the journal.
    pub(super) async fn partial(&self, keeping: Option<Keeping>) -> Result<Option<Partial>, JournalDown> {
        let Some(keeping) = keeping.filter(|keeping| !keeping.kept_for.is_zero()) else { return Ok(None) };
        let found = keeping.find_upload().await?;
        let begun = found.filter(|(upload, _)| upload.payload.whole.parts > 0);
        Ok(begun.map(|(upload, is_held)| Partial { upload, keeping, is_held }))
    }

    /// Abandons a possible interrupted upload, because the file starts over or is removed. Returns true if there was a
    /// stored part to resume.
    pub(super) async fn give_up_partial(
        &self,
        path: &VirtualPath,
        keeping: Option<&Keeping>,
    ) -> Result<bool, JournalDown> {
        self.notes.partials.forget(path);
        match keeping {
            Some(keeping) => give_up(keeping).await,
            None => Ok(false),
        }
    }

    /// Returns the attributes of an interrupted upload of a missing file. While the journal is down there are none.
    pub(super) async fn stat_partial(
        &self,
        path: &VirtualPath,
        mount: &Mount,
        bucket: &dyn Bucket,
        key: &Key,
    ) -> Option<Metadata> {
        let Ok(Some(partial)) = self.partial(self.keeping(mount, bucket, key)).await else {
            self.notes.partials.forget(path);
            return None;
        };
        let shown = Shown { id: partial.upload.id.clone(), bytes: partial.upload.payload.whole.bytes };
        self.notes.partials.note(path, shown);
        Some(Metadata::of_upload(partial.live(&*self.node.clock), mount))
    }
}
