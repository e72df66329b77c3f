//! The handle of an upload: WRITE, READ of what was just written, FSTAT, FSETSTAT, CLOSE.
//!
//! Invariant: the file appears when [`WriteHandle::close`] says so, whole, or never.

use super::{
    Error, Kind, Metadata, Mount, NewAttributes, PendingWrite, Result, SetAttributes, VirtualPath,
    late::Named,
    notes::{LiveEntry, Notes, Sight},
};
use crate::{
    account::Permission,
    store::{self, Bucket, Key, NewObject, Object, Reservation, Upload, UploadOptions},
};
use bytes::Bytes;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// What it means when S3 says, at the end, that the condition of the upload doesn't hold.
#[derive(Clone, Copy, Debug)]
pub(super) enum Conflicting {
    /// EXCL was asked for.
    Exists,
    /// The user may not replace files.
    MayNotReplace,
    /// There was no condition: two writers met.
    Changed,
}

/// An open upload. Its requests are served one after the other.
#[derive(Debug)]
pub struct WriteHandle {
    upload: Upload,
    live: LiveEntry,
    mount: Mount,
    bucket: Arc<dyn Bucket>,
    key: Key,
    notes: Arc<Notes>,
    conflicting: Conflicting,
    readable: bool,
    /// The attributes that the object will be born with; others have to be kept beside it.
    stored: NewAttributes,
}

impl WriteHandle {
    pub(super) fn new(pending: PendingWrite, reservation: Reservation) -> Self {
        let PendingWrite { bucket, budget, tenant, notes, mount, key, live, .. } = pending;
        let attributes = live.shown().attributes;
        let mut object = NewObject::default();
        attributes.write_to(&mut object, Kind::File);
        let options = UploadOptions { max_object_bytes: tenant.max_object_bytes, condition: pending.condition, object };
        Self {
            upload: Upload::new(Arc::clone(&bucket), key.clone(), reservation, budget, options),
            live,
            mount,
            bucket,
            key,
            notes,
            conflicting: pending.conflicting,
            readable: pending.readable,
            stored: attributes,
        }
    }

    /// Takes in bytes at `offset`. Whole parts leave in the background.
    ///
    /// # Errors
    /// [`Error::Shipped`], [`Error::HoleTooLarge`], [`Error::TooLarge`], or what an earlier part met in the storage.
    /// From then on nothing is published: further writes and the close fail too.
    pub async fn write(&mut self, offset: u64, data: Bytes) -> Result<()> {
        self.store_attributes();
        let written = self.upload.write(offset, data).await;
        let size = self.upload.size();
        self.live.update(|live| live.size = size);
        Ok(written?)
    }

    /// Up to `len` bytes from `offset`, of those that were written and are still in memory; none at the end.
    ///
    /// # Errors
    /// [`Error::NotOpenForReading`], or [`Error::NotReadableYet`] for bytes that have left.
    pub fn read(&self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        if !self.readable {
            return Err(Error::NotOpenForReading);
        }
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        let bytes = self.upload.read(offset, len).ok_or(Error::NotReadableYet)?;
        Ok(if bytes.is_empty() { Vec::new() } else { vec![bytes] })
    }

    /// The file as it would be if it were closed now.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        Metadata::of_upload(self.live.shown(), &self.mount)
    }

    /// The path that the file will appear under.
    #[must_use]
    pub fn path(&self) -> &VirtualPath {
        self.live.path()
    }

    /// Sets times and mode: of the object, while its metadata has not been sent, else beside it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for another size or owner than the present ones; then nothing is set.
    pub fn set_attributes(&mut self, wanted: SetAttributes) -> Result<()> {
        wanted.check_owner()?;
        wanted.check_size(self.upload.size())?;
        self.live.update(|live| live.attributes = live.attributes.updated(wanted.kept()));
        self.store_attributes();
        Ok(())
    }

    /// Publishes the file, and says how many bytes it has: they are stored when this answers.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] with EXCL and [`Error::Denied`] without `overwrite` when a file of this name came to be
    /// meanwhile, [`Error::Poisoned`] after a failed write, or what the storage says. Nothing is published then.
    pub async fn close(mut self) -> Result<u64> {
        self.store_attributes();
        let shown = self.live.shown();
        let Self { upload, live, bucket, key, notes, conflicting, stored, .. } = self;
        let path = live.path();
        let size = upload.size();
        let published = upload.finish().await.map_err(|error| match error {
            store::Error::Conflict { .. } => conflicting.error(),
            error => error.into(),
        })?;
        // A listing doesn't show an object's metadata, so times are kept for READDIR even where STAT could do without.
        let late = if shown.attributes != stored || shown.attributes.times.is_some() {
            shown.attributes
        } else {
            NewAttributes::default()
        };
        notes.ahead.forget(path);
        notes.late.replace(Named { path, bucket: &*bucket, key: &key }, &published.pin.etag, late).await;
        let mut object = NewObject::default();
        stored.write_to(&mut object, Kind::File);
        let file = Object { size, pin: published.pin, modified: now(), metadata: object.metadata, archived: false };
        notes.seen.note(path, Sight::File(file));
        if let Some(parent) = path.parent() {
            notes.seen.note(&parent, Sight::Directory);
            // There may be a file of this name beside it, which STAT, OPEN and SETSTAT reach.
            notes.seen.doubt(&parent);
        }
        Ok(size)
    }

    /// Gives the upload up. Nothing is published, and the storage keeps nothing of it.
    pub async fn discard(self) {
        self.upload.abort().await;
    }

    /// Writes what was asked for into the object, if its metadata has not been sent. SETSTAT of the path asks too.
    fn store_attributes(&mut self) {
        let wanted = self.live.shown().attributes;
        if wanted != self.stored
            && let Some(object) = self.upload.object_mut()
        {
            wanted.write_to(object, Kind::File);
            self.stored = wanted;
        }
    }
}

impl Conflicting {
    fn error(self) -> Error {
        match self {
            Self::Exists => Error::AlreadyExists,
            Self::MayNotReplace => Error::Denied(Permission::Overwrite),
            Self::Changed => Error::Changed,
        }
    }
}

/// Seconds since 1970.
pub(super) fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}
