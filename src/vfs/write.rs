//! OPEN for writing: may this upload begin? The upload itself is `upload.rs`.

use super::{
    Error, Mount, NewAttributes, Node, Place, Result, Unsupported, UploadPath, Vfs, WriteHandle,
    cache::CredentialScope,
    late::Named,
    locks::Lock,
    notes::{Live, LiveEntry, Notes},
    partial::CutOff,
    patch::Patched,
    room::Room,
    upload::{Conflicting, now},
};
use crate::{
    account::{Permission, Tenant},
    name::{Key, VirtualPath},
    store::{self, Bucket, Condition, Found, JournalDown, Keeping, MIN_PART_BYTES, Object},
};
use std::{sync::Arc, time::Duration};

/// The flags of an OPEN that has WRITE, APPEND or TRUNC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of one word on the wire, in any combination")]
pub struct WriteOptions {
    /// READ: what was written can be read back while it is in memory. Needs no permission `read`, but for what was in
    /// the file before.
    pub read: bool,
    /// WRITE or APPEND: without them nothing can be written, and TRUNC empties the file.
    pub write: bool,
    /// CREAT: make the file if it is missing.
    pub create: bool,
    /// TRUNC: begin with an empty file. Without it the file begins as it is.
    pub truncate: bool,
    /// EXCL: fail if the file exists. Means nothing without CREAT.
    pub exclusive: bool,
    /// APPEND: each WRITE goes to the end, whatever its offset.
    pub append: bool,
}

impl Vfs {
    /// Begins an upload to `path`, if that may be. Nothing is seen of it in storage before it is closed.
    ///
    /// Asks S3 only where the flags need an answer: never for CREAT with TRUNC, unless the session knows the name as a
    /// directory, or the user may not replace files: then a LIST for the name. Needs `write`, and `overwrite` to replace a
    /// file.
    ///
    /// # Errors
    /// [`Error::IsDirectory`], [`Error::Denied`], [`Error::NotFound`] without CREAT, [`Error::AlreadyExists`] with
    /// EXCL, also where another session is creating it with EXCL, [`Error::Unsupported`] without TRUNC for a file that this
    /// session is uploading, [`Error::BeingUploaded`] or [`Error::PartialLost`] where an upload that was cut off can't go on,
    /// [`Error::Archived`], [`Error::StorageFails`] or [`Error::UploadsDenied`] where uploads failed just now.
    pub async fn open_write(
        &self,
        path: &VirtualPath,
        options: WriteOptions,
        attributes: NewAttributes,
    ) -> Result<PendingWrite> {
        let lock = self.lock(path, options).await?;
        let (file, room, cut_off) = self.find_writable(path, options, attributes, None).await?;
        Ok(file.begin(room, cut_off)?.under(lock))
    }

    /// The file that an OPEN for writing means; its place, and what was cut off of it. SETSTAT of a size brings what it `found`
    /// there just now, and isn't refused where uploads fail: its client hears of its own failure.
    pub(super) async fn find_writable(
        &self,
        path: &VirtualPath,
        mut options: WriteOptions,
        attributes: NewAttributes,
        found: Option<Found>,
    ) -> Result<(Writable, Room, CutOff)> {
        options.exclusive &= options.create;
        let (mount, key) = match self.mounts.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::IsDirectory),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        mount.demand(Permission::Write)?;
        options.check_beside(self.notes.live.newest(path))?;
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
            // At CLOSE it would be too late: curl, and `with` in paramiko, don't look at that answer.
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
        let keeping = self.keeping(mount, &*bucket, &key);
        let cut_off = match stored {
            // What is there is changed; what was to be there stays behind it.
            Some(_) if !options.begins_anew() => CutOff::Nothing,
            _ => self.find_cut_off(path, keeping.clone(), options, stored.is_some()).await?,
        };
        let (condition, conflicting) = match options {
            WriteOptions { exclusive: true, .. } => (Condition::Absent, Conflicting::Exists),
            _ if !mount.allows(Permission::Overwrite) => (Condition::Absent, Conflicting::MayNotReplace),
            _ => (Condition::Always, Conflicting::Changed),
        };
        let patched = match stored.filter(|_| !options.truncate) {
            Some(file) => Some(Patched::find(&self.notes, named, file, mount).await),
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
            patched,
            keeping,
            options,
            attributes,
            condition,
            conflicting,
        };
        Ok((file, room, cut_off))
    }

    /// The file that is there already.
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

    /// The upload that was cut off and goes on. One that is of no use to the client is given up.
    async fn find_cut_off(
        &self,
        path: &VirtualPath,
        keeping: Option<Keeping>,
        options: WriteOptions,
        is_stored: bool,
    ) -> Result<CutOff> {
        if options.begins_anew() {
            if options.create || is_stored {
                self.notes.partials.forget(path);
                return Ok(CutOff::given_up(keeping));
            }
            return match self.give_up_partial(path, keeping.as_ref()).await {
                Ok(true) => Ok(CutOff::Nothing),
                Ok(false) | Err(JournalDown) => Err(Error::NotFound),
            };
        }
        let shown = self.notes.partials.shown(path);
        match self.partial(keeping).await {
            // Who appends to what it doesn't know of doesn't mean to go on with it.
            Ok(Some(partial)) if !options.append || shown.is_some() => {
                Ok(CutOff::GoesOn(Box::new(partial.demand(shown.as_ref())?)))
            }
            // A client that goes on where there is nothing would make a file of zeros and the rest.
            Err(down) if shown.is_some() => Err(Error::PartialNotFound(down.into())),
            Ok(None) if shown.is_some() => Err(Error::PartialLost),
            _ if !options.create => Err(Error::NotFound),
            Err(JournalDown) => Ok(CutOff::Unknown),
            Ok(_) => Ok(CutOff::Nothing),
        }
    }
}

impl WriteOptions {
    /// Whether what was stored of an upload that was cut off is of no use to the client.
    fn begins_anew(self) -> bool {
        self.truncate || self.exclusive
    }

    /// Each handle is an upload of its own, so a second one on a file that the session is uploading can't add to it.
    fn check_beside(self, newest: Option<Live>) -> Result<()> {
        match newest {
            Some(_) if self.exclusive => Err(Error::AlreadyExists),
            Some(_) if !self.truncate => Err(Unsupported::SecondWriter.into()),
            _ => Ok(()),
        }
    }
}

/// A file that may be written, as OPEN found it.
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
    pub(super) patched: Option<Patched>,
    pub(super) keeping: Option<Keeping>,
    pub(super) options: WriteOptions,
    /// Those of OPEN.
    pub(super) attributes: NewAttributes,
    pub(super) condition: Condition,
    pub(super) conflicting: Conflicting,
}

impl Writable {
    /// Enters the upload among those of the session.
    ///
    /// # Errors
    /// [`Error::Unsupported`] beside another upload of the file. OPEN has asked for that already, but another may have come
    /// this far since.
    pub(super) fn begin(self, room: Room, cut_off: CutOff) -> Result<PendingWrite> {
        let shown = match (&self.patched, &cut_off) {
            (Some(patched), _) => patched.live(),
            (None, CutOff::GoesOn(partial)) => partial.live(),
            (None, _) => Live::new(self.attributes, now()),
        };
        let live = self.notes.live.enter(&self.path, shown, |newest| self.options.check_beside(newest))?;
        Ok(PendingWrite { file: self, live, room, cut_off, lock: None })
    }

    pub(super) fn named(&self) -> Named<'_> {
        Named { path: &self.path, scope: &self.scope, bucket: &*self.bucket, key: &self.key }
    }
}

/// An upload that may begin as soon as there is memory for it.
#[derive(Debug)]
pub struct PendingWrite {
    pub(super) file: Writable,
    pub(super) live: LiveEntry,
    pub(super) room: Room,
    pub(super) cut_off: CutOff,
    /// With EXCL.
    pub(super) lock: Option<Lock>,
}

impl PendingWrite {
    /// Has the upload hold a lock on its name.
    pub(super) fn under(self, lock: Option<Lock>) -> Self {
        if let Some(lock) = &lock {
            lock.open();
        }
        Self { lock, ..self }
    }

    /// Waits its tenant's turn for the memory of one part, so that the upload can always ship what it took in. Then takes
    /// on what was stored of one that was cut off.
    ///
    /// # Errors
    /// [`Error::Busy`] when none was free before `deadline`; [`Error::BeingUploaded`], [`Error::PartialLost`].
    pub async fn admit(mut self, deadline: Duration) -> Result<WriteHandle> {
        let Writable { bucket, node, tenant, .. } = &self.file;
        let reservation = node.budget.reserve(tenant.name.as_str(), MIN_PART_BYTES, deadline).await?;
        let taken = match self.cut_off {
            CutOff::GoesOn(partial) => {
                self.cut_off = CutOff::Nothing;
                Some(Box::pin(partial.take(&**bucket)).await?)
            }
            _ => None,
        };
        Ok(WriteHandle::new(self, reservation, taken))
    }

    /// The path that the file will appear under.
    #[must_use]
    pub fn path(&self) -> &UploadPath {
        self.live.path()
    }
}
