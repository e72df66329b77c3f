//! Uploads in parts that can go on after their connection, or the server, was lost. S3 keeps the parts; which upload they
//! belong to, and how much of it is as the client sent it, S3 can't say.
//!
//! Invariant: names in an entry are relative to the mount's prefix, so that [`PartialFile::key`] can't lie outside it,
//! whatever the entry says.

use super::{JournalDown, Lease, Owner};
use crate::{
    name::{BucketId, InvalidKey, Key, Prefix},
    store::{NewObject, UploadId},
};
use async_trait::async_trait;
use std::{fmt, time::Duration};

/// The file that an upload is to become, and whose: nobody else finds it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PartialFile {
    /// Where it lies.
    pub bucket: BucketId,
    /// Who uploads it.
    pub owner: Owner,
    /// The prefix of the mount that it is uploaded through.
    pub mount: Prefix,
    /// The file's name below the mount.
    pub name: String,
}

impl PartialFile {
    /// The object that it is to become.
    ///
    /// # Errors
    /// When the entry was changed into something that is no name.
    pub fn key(&self) -> Result<Key, InvalidKey> {
        self.mount.key(&self.name)
    }
}

/// How much of an upload is stored from its first byte on without a gap, and as the client sent it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// The first so many parts.
    pub parts: u32,
    /// What they hold, in bytes.
    pub bytes: u64,
    /// A checksum of their ETags, so that a part which is stored again later is noticed.
    pub etags: u64,
}

/// An upload in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartialUpload {
    /// Unique for ever.
    pub id: String,
    /// What it is to become.
    pub file: PartialFile,
    /// S3's name for it.
    pub upload: UploadId,
    /// What the object will be born with, its token included: S3 was told at the beginning.
    pub object: NewObject,
    /// How far it has come, when that was last noted.
    pub whole: Whole,
}

/// How an entry stands for who held it last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is held, and can go on when it is let go of.
    Kept,
    /// It is held, and nobody finds it any more.
    GivenUp,
    /// Somebody else holds it, or it was struck out.
    Lost,
}

/// The part of a [`Journal`](super::Journal) that uploads need. Every method is a few round trips at most.
///
/// An entry is *held* until its lease ends, *kept* until its time is over or it is given up, and stays until
/// [`end_partial`](Self::end_partial), so that whatever is open in S3 can be found and aborted.
#[async_trait]
pub trait PartialJournal: Send + Sync + fmt::Debug {
    /// Enters an upload that has begun, held under `lease`, kept for `keep` from now. Older ones of the file are given up.
    /// One that is entered already stays as it is.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn enter_partial(&self, partial: &PartialUpload, lease: &Lease, keep: Duration) -> Result<(), JournalDown>;

    /// Notes how far the upload `id` has come, and begins the lease's term and the time that it is kept anew; a term of
    /// zero lets go of it. What is given up stays so. Where the lease's holder holds it no more nothing is noted.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn hold_partial(
        &self,
        id: &str,
        whole: Whole,
        lease: &Lease,
        keep: Duration,
    ) -> Result<Standing, JournalDown>;

    /// The upload of a file that is kept, and whether somebody holds it.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn find_partial(&self, file: &PartialFile) -> Result<Option<(PartialUpload, bool)>, JournalDown>;

    /// Takes on the upload `id`, if it is kept and nobody holds it. `false` if not.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn take_partial(&self, id: &str, lease: &Lease) -> Result<bool, JournalDown>;

    /// Gives up the uploads of a file: nobody finds them any more. Who holds one may finish it.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn give_up_partials(&self, file: &PartialFile) -> Result<(), JournalDown>;

    /// Takes on an upload that is not kept any more and that nobody has held for the time `free_for`, to abort it: the one
    /// whose lease ended first.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn take_stale_partial(&self, lease: &Lease, free_for: Duration)
    -> Result<Option<PartialUpload>, JournalDown>;

    /// Strikes out an upload that is no longer open in S3.
    ///
    /// # Errors
    /// [`JournalDown`]: it may have happened all the same.
    async fn end_partial(&self, id: &str) -> Result<(), JournalDown>;

    /// Whether an upload that is open in S3 has an entry, given up or not.
    ///
    /// # Errors
    /// [`JournalDown`].
    async fn knows_upload(&self, bucket: &BucketId, upload: &UploadId) -> Result<bool, JournalDown>;
}
