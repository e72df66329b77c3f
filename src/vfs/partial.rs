//! Uploads that were cut off, as the user sees them who began them: a file that isn't there yet, which can go on.
//!
//! They are seen only where no object is: what is there counts more than what was to be there.
//!
//! Invariant: nobody goes on with an upload but its tenant's user, through the same mount and under the same path.

use super::{
    Error, Metadata, Mount, NewAttributes, Result, Vfs,
    notes::{Live, Shown},
    upload::now,
};
use crate::{
    name::{Key, VirtualPath},
    store::{self, Bucket, JournalDown, Keeping, Owner, PartialFile, PartialUpload},
};
use std::sync::Arc;
use tokio::task::JoinHandle;

/// An upload that was cut off.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) upload: PartialUpload,
    pub(super) keeping: Keeping,
    /// Whether another session uploads it, or did so a moment ago.
    is_held: bool,
}

/// What OPEN found of an upload that was cut off.
#[derive(Debug)]
pub(super) enum CutOff {
    /// There is none that matters.
    Nothing,
    /// This one goes on.
    GoesOn(Box<Partial>),
    /// The file begins anew, and what there may be is given up.
    GivingUp(GivingUp),
    /// The journal is down: there may be one, with which the client means to go on.
    Unknown,
}

impl CutOff {
    /// What there may be is no use, whatever it is.
    pub(super) fn given_up(keeping: Option<Keeping>) -> Self {
        keeping.map_or(Self::Nothing, |keeping| Self::GivingUp(GivingUp::begin(keeping)))
    }
}

impl Partial {
    /// The file as it is shown while nobody goes on with it.
    pub(super) fn live(&self) -> Live {
        let PartialUpload { object, whole, .. } = &self.upload;
        let live = Live::new(NewAttributes::read_from(&object.metadata), now());
        Live { size: whole.bytes, shipped: whole.bytes, ..live }
    }

    /// Goes on only when nobody else does, and only where the client means to, who was shown it so, if at all.
    pub(super) fn demand(self, shown: Option<&Shown>) -> Result<Self> {
        let PartialUpload { id, whole, .. } = &self.upload;
        match shown {
            _ if self.is_held => Err(Error::BeingUploaded),
            Some(shown) if shown.id != *id || shown.bytes != whole.bytes => Err(Error::PartialGrown),
            _ => Ok(self),
        }
    }

    /// Takes the upload on.
    pub(super) async fn take(self, bucket: &dyn Bucket) -> Result<(Keeping, store::Taken)> {
        let Self { upload, keeping, .. } = self;
        match store::Taken::take(bucket, &keeping, upload).await {
            Ok(taken) => Ok((keeping, taken)),
            Err(store::Error::UploadGone) => Err(Error::PartialLost),
            Err(error @ store::Error::Journal(_)) => Err(Error::PartialNotFound(error)),
            Err(error) => Err(error.into()),
        }
    }
}

/// What was cut off before is given up, while the client sends what is in the file now.
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

    /// Waits for the end, and says what could not be given up. Once it has answered it must not be asked again.
    pub(super) async fn owed(&mut self) -> Option<Keeping> {
        match (&mut self.done).await {
            Ok(Ok(_)) => None,
            Ok(Err(JournalDown)) | Err(_) => Some(self.keeping.clone()),
        }
    }
}

async fn give_up(keeping: &Keeping) -> Result<bool, JournalDown> {
    let Keeping { journal, file, kept_for } = keeping;
    if kept_for.is_zero() {
        return Ok(false);
    }
    let Some((upload, _)) = journal.find_partial(file).await? else { return Ok(false) };
    journal.give_up_partials(file).await?;
    Ok(upload.whole.parts > 0)
}

impl Vfs {
    /// Where the upload of a file is entered; `None` for what is no file of the mount.
    pub(super) fn keeping(&self, mount: &Mount, bucket: &dyn Bucket, key: &Key) -> Option<Keeping> {
        let kept_for = self.tenant.partial_uploads_kept_for.unwrap_or_default();
        let name = key.as_str().strip_prefix(mount.prefix.as_str())?.to_owned();
        let (tenant, user) = (self.tenant.name.to_string(), self.user.name.to_string());
        let (bucket, mount) = (bucket.id().clone(), mount.prefix.clone());
        let file = PartialFile { bucket, owner: Owner { tenant, user }, mount, name };
        Some(Keeping { journal: Arc::clone(&self.node.journal), file, kept_for })
    }

    /// The upload of a file that was cut off, if there is something to go on with. One question to the journal.
    pub(super) async fn partial(&self, keeping: Option<Keeping>) -> Result<Option<Partial>, JournalDown> {
        let Some(keeping) = keeping.filter(|keeping| !keeping.kept_for.is_zero()) else { return Ok(None) };
        let found = keeping.journal.find_partial(&keeping.file).await?;
        let begun = found.filter(|(upload, _)| upload.whole.parts > 0);
        Ok(begun.map(|(upload, is_held)| Partial { upload, keeping, is_held }))
    }

    /// Gives up what was cut off before, or may be, because the file begins anew or is removed. Says whether there was
    /// something to go on with.
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

    /// What STAT says of a file that isn't there. While the journal is down nothing is.
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
        let shown = Shown { id: partial.upload.id.clone(), bytes: partial.upload.whole.bytes };
        self.notes.partials.note(path, shown);
        Some(Metadata::of_upload(partial.live(), mount))
    }
}
