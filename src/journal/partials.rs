//! Uploads in parts that can be resumed after their connection, or the server, was lost. S3 keeps the parts. The
//! journal keeps which upload they belong to, and how much of it is as the client sent it.
//!
//! Invariant: the key of an entry lies below its mount. The journal parses both as it reads a row, and skips a row that
//! names anything else.

use super::{JournalDown, Lease, Owner};
use crate::{
    account::Permissions,
    name::{BucketId, MountedKey},
    store::{NewObject, UploadId},
};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The file that an upload is to become, and its owner. Only this owner can find the upload.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartialFile {
    /// The bucket of the file.
    pub bucket: BucketId,
    /// The user who uploads it.
    pub owner: Owner,
    /// The key of the object that it is to become, and the mount that it is uploaded through.
    pub place: MountedKey,
}

/// An upload in parts, as the payload of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumableUpload {
    /// The key of the object that it is to become, and the mount that it is uploaded through.
    pub place: MountedKey,
    /// S3's id of the upload.
    pub upload: UploadId,
    /// The attributes that the object will get, its token included. S3 got them when the upload was created.
    pub object: NewObject,
    /// The stored beginning of it, when that was last noted.
    pub whole: Whole,
}

/// The part of an upload that is stored from its first byte on without a gap, and as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The number of these parts, counted from the first.
    pub parts: u32,
    /// The size of these parts, in bytes.
    pub bytes: u64,
    /// A checksum of their ETags. It detects a part that is stored again later.
    pub etags: u64,
}

/// An upload in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialUpload {
    /// Unique for ever.
    pub id: String,
    /// The file that it is to become.
    pub file: PartialFile,
    /// The owner's permissions in the mount when the upload began. `None`: an earlier version entered it.
    pub permissions: Option<Permissions>,
    /// S3's id of the upload.
    pub upload: UploadId,
    /// The attributes that the object will get, its token included. S3 got them when the upload was created.
    pub object: NewObject,
    /// The stored beginning of it, when that was last noted.
    pub whole: Whole,
}

/// The state of an entry, as its last holder sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// This holder has it, and the upload can be resumed after the holder lets go of it.
    Kept,
    /// This holder has it, and the upload is abandoned: no session finds it.
    GivenUp,
    /// Another holder has it, or its row was deleted.
    Lost,
}

/// The part of a [`Journal`](super::Journal) that uploads need. Every method is a few round trips at most.
///
/// An entry is *held* until its lease ends. It is *kept* until its time is over or it is abandoned. Its row stays until
/// [`end_partial`](Self::end_partial), so that every upload that is open in S3 can be found and aborted.
#[async_trait]
pub trait PartialJournal: Send + Sync + fmt::Debug {
    /// Enters an upload that has begun, held under `lease` and kept for `keep` from now. Abandons older uploads of the
    /// file. An upload that is already entered stays as it is.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn enter_partial(&self, partial: &PartialUpload, lease: &Lease, keep: Duration) -> Result<(), JournalDown>;

    /// Notes the progress of the upload `id`, and restarts the lease's term and the time for which it is kept. A term
    /// of zero lets go of it. An abandoned upload stays abandoned. If the lease's holder no longer holds it, nothing is
    /// noted.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn hold_partial(
        &self,
        id: &str,
        whole: Whole,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown>;

    /// The kept upload of a file, and true if a session holds it.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn find_partial(&self, file: &PartialFile) -> Result<Option<(PartialUpload, bool)>, JournalDown>;

    /// Takes over the upload `id`. Returns `false` if it isn't kept or another session holds it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn take_partial(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown>;

    /// Abandons the uploads of a file: no session finds them. A session that holds one may still finish it.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn give_up_partials(&self, file: &PartialFile) -> Result<(), JournalDown>;

    /// Takes over an upload to abort it. It must be kept no longer, and have been held by no session for the time
    /// `free_for`. Of several, takes the one whose lease ended first.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn take_stale_partial(&self, lease: &Lease, free_for: Duration)
    -> Result<Option<PartialUpload>, JournalDown>;

    /// Deletes the row of an upload that is no longer open in S3.
    ///
    /// # Errors
    /// [`JournalDown`]: the change may have happened nevertheless.
    async fn end_partial(&self, id: &str) -> Result<(), JournalDown>;

    /// True if an upload that is open in S3 has an entry, abandoned or not.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn knows_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown>;
}
