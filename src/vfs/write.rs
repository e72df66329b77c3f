//! OPEN for writing: decides if an upload may begin. The upload itself is in `upload/`.

use super::{
    Error, Mount, NewAttributes, Node, Place, Result, Unsupported, UploadPath, Vfs, WriteHandle,
    cache::CredentialScope,
    late::Named,
    notes::Notes,
    open_uploads::{UploadEntry, UploadView},
    partial::{self, OlderUpload},
    patch::BaseAttributes,
    room::Room,
    upload::Conflicting,
};
use crate::{
    account::{Permission, Tenant},
    journal::JournalDown,
    name::{Key, VirtualPath},
    objects::{Found, Lock},
    store::{self, Bucket, Object},
    upload::{Gaps, MIN_PART_BYTES, Origin, UploadError, UploadJournal},
};
use std::{sync::Arc, time::Duration};

/// The flags of an OPEN that has WRITE, APPEND or TRUNC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of one word on the wire, in any combination")]
pub struct WriteOptions {
    /// READ: bytes that were written can be read back while they are in memory. Only the file's former bytes need the
    /// permission `read`.
    pub read: bool,
    /// WRITE or APPEND. Without them no bytes can be written, and TRUNC empties the file.
    pub write: bool,
    /// CREAT: create a missing file.
    pub create: bool,
    /// TRUNC: begin with an empty file. Without it the file keeps its bytes.
    pub truncate: bool,
    /// EXCL: fail if the file exists. It has no effect without CREAT.
    pub exclusive: bool,
    /// APPEND: each WRITE goes to the end, whatever its offset.
    pub append: bool,
}

impl Vfs {
    /// Begins an upload to `path`, if it is allowed. Storage shows nothing of it before CLOSE.
    ///
    /// Asks S3 only if the flags need an answer. CREAT with TRUNC needs none, with two exceptions: the session knows
    /// the name as a directory, or the user may not replace files. Then it costs a LIST. Needs `write`, and `overwrite`
    /// to replace a file.
    ///
    /// # Errors
    /// - [`Error::IsDirectory`], [`Error::Denied`], [`Error::Archived`], and [`Error::NotFound`] without CREAT.
    /// - [`Error::AlreadyExists`] with EXCL, also if another session is creating the file with EXCL.
    /// - [`Error::Unsupported`] without TRUNC, if this session is uploading the file.
    /// - [`Error::BeingUploaded`] or [`Error::PartialLost`] if an interrupted upload can't be resumed.
    /// - [`Error::StorageFails`] or [`Error::UploadsDenied`] if uploads failed just now.
    pub async fn open_write(
        &self,
        path: &VirtualPath,
        options: WriteOptions,
        attributes: NewAttributes,
    ) -> Result<PendingWrite> {
        let lock = self.lock(path, options).await?;
        let (file, room, older) = self.find_writable(path, options, attributes, None).await?;
        Ok(file.begin(room, older)?.under(lock))
    }

    /// Resolves an OPEN for writing to the file, its place and the interrupted upload that it doesn't resume. SETSTAT of
    /// a size passes what it `found` just now. It isn't refused while uploads fail, because its client is told of the
    /// failure itself.
    pub(super) async fn find_writable(
        &self,
        path: &VirtualPath,
        mut options: WriteOptions,
        attributes: NewAttributes,
        found: Option<Found>,
    ) -> Result<(Writable, Room, Option<OlderUpload>)> {
        options.exclusive &= options.create;
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::IsDirectory),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        mount.demand(Permission::Write)?;
        options.check_beside(self.notes.open_uploads.newest(path))?;
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        if found.is_none() {
            self.demand_storage(bucket.id(), &scope)?;
        }
        let named = Named { path, scope: &scope, bucket: &*bucket, key: &key };
        let replaces_whatever_is_there = options.create && options.truncate && !options.exclusive;
        let is_directory = || self.node.cache.stat.find(named.at()).is_some_and(|sight| sight.is_directory());
        let stored = if !replaces_whatever_is_there || is_directory() {
            self.check_stored(named, mount, options, found).await?
        } else if !mount.allows(Permission::Overwrite) && store::file_exists(&*bucket, &key).await? {
            // CLOSE would be too late: curl, and `with` in paramiko, ignore its answer.
            return Err(Error::Denied(Permission::Overwrite));
        } else {
            None
        };
        let mut room = match &stored {
            Some(_) => Room::known(&self.node, named, &bucket, mount),
            None => Room::ask(&self.node, named, &bucket, mount, !replaces_whatever_is_there),
        };
        if room.is_answered() || room.is_suspect() {
            room.confirm().await?;
        }
        let keeping = self.upload_journal(mount, &*bucket, &key);
        let (origin, older) = match stored {
            // An interrupted upload of the same name stays behind the stored file.
            Some(file) if !options.begins_anew() => (Origin::change(file), None),
            stored => self.origin_of_new(path, keeping.clone(), options, stored.is_some()).await?,
        };
        let conflicting = match options {
            WriteOptions { exclusive: true, .. } => Conflicting::Exists,
            _ if !mount.allows(Permission::Overwrite) => Conflicting::MayNotReplace,
            _ => Conflicting::Changed,
        };
        let base = match origin.older_object() {
            Some(file) => Some(BaseAttributes::find(&self.notes, named, file, mount).await),
            None => None,
        };
        let file = Writable {
            bucket: Arc::clone(&bucket),
            node: Arc::clone(&self.node),
            scope: Arc::clone(&scope),
            tenant: Arc::clone(&self.tenant),
            notes: Arc::clone(&self.notes),
            mount: mount.clone(),
            key,
            path: path.clone(),
            origin,
            base,
            keeping,
            options,
            attributes,
            conflicting,
        };
        Ok((file, room, older))
    }

    /// Finds the stored file, and checks that the flags and permissions allow to change it.
    async fn check_stored(
        &self,
        named: Named<'_>,
        mount: &Mount,
        options: WriteOptions,
        found: Option<Found>,
    ) -> Result<Option<Object>> {
        let found = match found {
            Some(found) => found,
            None => self.look(named).await?,
        };
        match found.file {
            Some(_) if options.exclusive => Err(Error::AlreadyExists),
            Some(_) if !mount.allows(Permission::Overwrite) => Err(Error::Denied(Permission::Overwrite)),
            Some(file) if file.archived && !options.truncate => Err(Error::Archived),
            Some(file) => Ok(Some(file)),
            None if found.directory => Err(Error::IsDirectory),
            None => Ok(None),
        }
    }

    /// Decides the origin of a file that isn't stored, or that starts over. Abandons an interrupted upload that is of no
    /// use to the client.
    async fn origin_of_new(
        &self,
        path: &VirtualPath,
        keeping: Option<UploadJournal>,
        options: WriteOptions,
        is_stored: bool,
    ) -> Result<(Origin, Option<OlderUpload>)> {
        let new = |gaps| Ok((Origin::New(gaps), None));
        if options.begins_anew() {
            if options.create || is_stored {
                self.notes.partials.forget(path);
                return Ok((Origin::New(Gaps::Zeros), keeping.map(OlderUpload::abandon)));
            }
            return match self.give_up_partial(path, keeping.as_ref()).await {
                Ok(true) => new(Gaps::Zeros),
                Ok(false) | Err(JournalDown) => Err(Error::NotFound),
            };
        }
        let shown = self.notes.partials.shown(path);
        match self.partial(keeping).await {
            // A client that appends to a file that it hasn't seen doesn't mean to resume it.
            Ok(Some(partial)) if !options.append || shown.is_some() => {
                partial::demand_shown(&partial, shown.as_ref())?;
                Ok((Origin::Resume(Box::new(partial)), None))
            }
            // A client that resumes an upload that is gone would create a file that begins with zeros.
            Err(down) if shown.is_some() => Err(Error::PartialNotFound(down)),
            Ok(None) if shown.is_some() => Err(Error::PartialLost),
            _ if !options.create => Err(Error::NotFound),
            Err(JournalDown) => new(Gaps::Refused),
            Ok(_) => new(Gaps::Zeros),
        }
    }

    /// Takes the lock that an OPEN with EXCL needs. Takes none if the OPEN will be refused anyway. One question to a
    /// shared journal.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if another session holds the lock, or this one uploads the file.
    pub(super) async fn lock(&self, path: &VirtualPath, options: WriteOptions) -> Result<Option<Lock>> {
        let Ok(Place::Object { mount, key }) = self.resolve(path) else { return Ok(None) };
        if !(options.exclusive && options.create && mount.allows(Permission::Write)) {
            return Ok(None);
        }
        if self.is_uploading(path) {
            return Err(Error::AlreadyExists);
        }
        let name = (self.bucket(mount).await?.id().clone(), key);
        Ok(Some(self.node.locks.take(&self.node.journal, self.session, name).await?))
    }
}

impl WriteOptions {
    /// True if the stored part of an interrupted upload is of no use to the client.
    fn begins_anew(self) -> bool {
        self.truncate || self.exclusive
    }

    /// Each handle is an upload of its own. A second handle on a file that the session is uploading can't add to it.
    fn check_beside(self, newest: Option<UploadView>) -> Result<()> {
        match newest {
            Some(_) if self.exclusive => Err(Error::AlreadyExists),
            Some(_) if !self.truncate => Err(Unsupported::SecondWriter.into()),
            _ => Ok(()),
        }
    }
}

/// A file that may be written, as OPEN resolved it.
#[derive(Clone, Debug)]
pub(super) struct Writable {
    pub(super) bucket: Arc<dyn Bucket>,
    pub(super) node: Arc<Node>,
    pub(super) scope: Arc<CredentialScope>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) notes: Arc<Notes>,
    pub(super) mount: Mount,
    pub(super) key: Key,
    pub(super) path: VirtualPath,
    pub(super) origin: Origin,
    /// The attributes of the stored file that is changed.
    pub(super) base: Option<BaseAttributes>,
    pub(super) keeping: Option<UploadJournal>,
    pub(super) options: WriteOptions,
    /// The attributes that OPEN asked for.
    pub(super) attributes: NewAttributes,
    pub(super) conflicting: Conflicting,
}

impl Writable {
    /// Adds the file to the session's uploads.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if the session already uploads the file. OPEN has checked this before, but another OPEN
    /// may have passed the same check since.
    pub(super) fn begin(self, room: Room, older: Option<OlderUpload>) -> Result<PendingWrite> {
        let view = match (&self.base, &self.origin) {
            (Some(base), _) => base.view(),
            (None, Origin::Resume(upload)) => partial::shown(upload, &*self.node.clock),
            (None, _) => UploadView::new(self.attributes, self.node.clock.unix_seconds()),
        };
        let entry = self.notes.open_uploads.enter(&self.path, view, |newest| self.options.check_beside(newest))?;
        Ok(PendingWrite { file: self, entry, room, older, lock: None })
    }

    pub(super) fn named(&self) -> Named<'_> {
        Named { path: &self.path, scope: &self.scope, bucket: &*self.bucket, key: &self.key }
    }
}

/// An upload that may begin as soon as its memory is reserved.
#[derive(Debug)]
pub struct PendingWrite {
    pub(super) file: Writable,
    pub(super) entry: UploadEntry,
    pub(super) room: Room,
    /// The interrupted upload that the file doesn't resume.
    pub(super) older: Option<OlderUpload>,
    /// The lock of an OPEN with EXCL.
    pub(super) lock: Option<Lock>,
}

impl PendingWrite {
    /// Gives the upload a lock on its name.
    pub(super) fn under(self, lock: Option<Lock>) -> Self {
        if let Some(lock) = &lock {
            lock.open();
        }
        Self { lock, ..self }
    }

    /// Waits in its tenant's queue for the memory of one part. With it the upload can always send the bytes that it
    /// took in. Then takes over the stored part of an interrupted upload.
    ///
    /// # Errors
    /// [`Error::Busy`] if no memory was free before `deadline`; [`Error::BeingUploaded`], [`Error::PartialLost`].
    pub async fn admit(self, deadline: Duration) -> Result<WriteHandle> {
        let Writable { node, tenant, .. } = &self.file;
        let charge = node.budget.of(&tenant.name).charge_in_turn(MIN_PART_BYTES, deadline).await?;
        match Box::pin(WriteHandle::open(self, charge)).await {
            Err(UploadError::Storage(store::Error::UploadGone)) => Err(Error::PartialLost),
            opened => Ok(opened?),
        }
    }

    /// The path under which the file will appear.
    #[must_use]
    pub(crate) fn path(&self) -> &UploadPath {
        self.entry.path()
    }
}
