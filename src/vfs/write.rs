//! OPEN for writing: decides if an upload may begin. The upload itself is in `upload/`.

use super::{
    Error, NewAttributes, Place, Result, Vfs,
    cache::CredentialScope,
    file_attributes::NamedObject,
    former_attributes::FormerAttributes,
    interrupted::{self, OlderUpload},
    name_check::NameCheck,
    upload::{ConflictCause, PendingWrite, WritableFile, WriteOptions},
};
use crate::{
    account::{Mount, Permission},
    journal::JournalDown,
    name::{BucketId, VirtualPath},
    objects::{Found, Lock},
    store::{self, Object},
    upload::{Gaps, Origin, UploadJournal},
};
use std::sync::Arc;

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
    /// - [`Error::DailyLimit`] if the tenant has no requests left today.
    pub async fn open_write(
        &self,
        path: &VirtualPath,
        options: WriteOptions,
        attributes: NewAttributes,
    ) -> Result<PendingWrite> {
        let lock = self.lock(path, options).await?;
        let (file, name_check, older) = self.find_writable(path, options, attributes, None).await?;
        Ok(file.begin(name_check, older)?.under(lock))
    }

    /// Resolves an OPEN for writing to the file, its place and the interrupted upload that it doesn't resume. SETSTAT
    /// of a size passes what it `found` just now. It isn't refused while uploads fail, because its client is told of
    /// the failure itself.
    pub(super) async fn find_writable(
        &self,
        path: &VirtualPath,
        mut options: WriteOptions,
        attributes: NewAttributes,
        found: Option<Found>,
    ) -> Result<(WritableFile, NameCheck, Option<OlderUpload>)> {
        options.exclusive &= options.create;
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::IsDirectory),
            Place::Nowhere => return Err(Error::OnlyLists),
        };
        mount.demand(Permission::Write)?;
        options.check_beside(self.session.open_uploads.newest(path))?;
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        bucket.usage().demand_requests()?;
        if found.is_none() {
            self.demand_storage(bucket.id(), &scope)?;
        }
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key: &key };
        let replaces_whatever_is_there = options.create && options.truncate && !options.exclusive;
        let is_directory = || self.node.cache.stat.find(named.scoped()).is_some_and(|cached| cached.is_directory());
        let stored = if !replaces_whatever_is_there || is_directory() {
            self.check_stored(named, mount, options, found).await?
        } else if !mount.allows(Permission::Overwrite) && store::file_exists(&*bucket, &key).await? {
            // CLOSE would be too late: curl, and `with` in paramiko, ignore its answer.
            return Err(Error::Denied(Permission::Overwrite));
        } else {
            None
        };
        let mut name_check = match &stored {
            Some(_) => NameCheck::known(&self.node, named, &bucket, mount),
            None => NameCheck::ask(&self.node, named, &bucket, mount, !replaces_whatever_is_there),
        };
        if name_check.is_answered() || name_check.is_suspect() {
            name_check.confirm().await?;
        }
        let upload_journal = self.upload_journal(mount, &*bucket, &key);
        let (origin, older) = match stored {
            // An interrupted upload of the same name stays behind the stored file.
            Some(file) if !options.starts_over() => (Origin::change(file), None),
            stored => self.origin_of_new(path, upload_journal.clone(), options, stored.is_some()).await?,
        };
        let conflict_cause = match options {
            WriteOptions { exclusive: true, .. } => ConflictCause::Exists,
            _ if !mount.allows(Permission::Overwrite) => ConflictCause::MayNotReplace,
            _ => ConflictCause::Changed,
        };
        let former_attributes = match origin.older_object() {
            Some(file) => Some(FormerAttributes::find(&self.session, named, file, mount).await),
            None => None,
        };
        let file = WritableFile {
            bucket: Arc::clone(&bucket),
            node: Arc::clone(&self.node),
            scope: Arc::clone(&scope),
            tenant: Arc::clone(&self.tenant),
            session: Arc::clone(&self.session),
            mount: mount.clone(),
            key,
            path: path.clone(),
            origin,
            former_attributes,
            upload_journal,
            options,
            attributes,
            conflict_cause,
        };
        Ok((file, name_check, older))
    }

    /// Finds the stored file, and checks that the flags and permissions allow to change it.
    async fn check_stored(
        &self,
        named: NamedObject<'_>,
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

    /// Decides the origin of a file that isn't stored, or that starts over. Abandons an interrupted upload if the file
    /// starts over.
    async fn origin_of_new(
        &self,
        path: &VirtualPath,
        upload_journal: Option<UploadJournal>,
        options: WriteOptions,
        is_stored: bool,
    ) -> Result<(Origin, Option<OlderUpload>)> {
        let new = |gaps| Ok((Origin::New(gaps), None));
        if options.starts_over() {
            if options.create || is_stored {
                self.session.shown_uploads.forget(path);
                return Ok((Origin::New(Gaps::Zeros), upload_journal.map(OlderUpload::abandon)));
            }
            return match self.abandon_interrupted(path, upload_journal.as_ref()).await {
                Ok(true) => new(Gaps::Zeros),
                Ok(false) | Err(JournalDown) => Err(Error::NotFound),
            };
        }
        let shown = self.session.shown_uploads.find(path);
        match self.find_interrupted(upload_journal).await {
            // A client that appends to a file that STAT didn't show doesn't mean to resume it.
            Ok(Some(interrupted)) if !options.append || shown.is_some() => {
                interrupted::demand_shown(&interrupted, shown.as_ref())?;
                Ok((Origin::Resume(Box::new(interrupted)), None))
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
        Ok(Some(self.node.locks.take(&self.session.journal, self.session_id, name).await?))
    }

    /// Refuses an OPEN for writing while uploads fail. No IO.
    ///
    /// # Errors
    /// [`Error::StorageFails`], [`Error::UploadsDenied`].
    fn demand_storage(&self, bucket: &BucketId, scope: &Arc<CredentialScope>) -> Result<()> {
        // `check` comes first: an OPEN that the outage refuses must not use up the probe of `denials`.
        self.node.cache.outages.check(bucket, scope).map_err(Error::StorageFails)?;
        self.session.denials.admit(bucket, scope).map_err(Error::UploadsDenied)?;
        self.node.cache.outages.admit(bucket, scope).map_err(Error::StorageFails)
    }
}
