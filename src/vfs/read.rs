//! Downloads: OPEN for reading, and the handle that it returns.

use super::{
    Error, Metadata, NewAttributes, Place, Result, Vfs, cache::CachedStat, file_attributes::NamedObject,
    upload::WritableFile,
};
use crate::{
    account::{Mount, Permission},
    download::{FilePrefetch, Reader},
    journal::Version,
    memory::TenantMemory,
    name::{BucketId, Key, VirtualPath},
    objects,
    store::{self, Bucket, Object, Pin},
};
use bytes::Bytes;
use parking_lot::Mutex;
use std::sync::Arc;
use tokio::join;

impl Vfs {
    /// Opens a file for reading. The handle stays on one version of the file. Needs `read`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::IsDirectory`], [`Error::Denied`], [`Error::Archived`], or the storage's error.
    pub async fn open_read(&self, path: &VirtualPath) -> Result<ReadHandle> {
        let (mount, key) = match self.resolve(path)? {
            Place::Object { mount, key } => (mount, key),
            Place::Virtual | Place::Root(_) | Place::Parent { .. } => return Err(Error::IsDirectory),
            Place::Nowhere => return Err(Error::NotFound),
        };
        mount.demand(Permission::Read)?;
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let named = NamedObject { path, scope: &scope, bucket: &*bucket, key: &key };
        let cached = self.node.cache.stat.find(named.scoped()).and_then(CachedStat::file);
        let prefetch = self.session.prefetch.open(path, bucket.id(), &key);
        if let Some(directory) = path.parent() {
            let key_of = |path: &VirtualPath| match self.resolve(path) {
                Ok(Place::Object { mount: found, key }) if found.entry == mount.entry => Some(key),
                _ => None,
            };
            self.session.prefetch.fetch(&directory, &bucket, key_of);
        }
        let (opened, attributes) = join!(
            self.open_reader(&bucket, &key, cached.as_deref(), prefetch),
            self.session.file_attributes.of_file(named),
        );
        let reader = match opened {
            Err(store::Error::NotFound) if objects::directory_exists(&*bucket, &key.as_directory()).await? => {
                return Err(Error::IsDirectory);
            }
            opened => opened?,
        };
        let file = reader.object();
        let metadata = Metadata::of_object(file, attributes.of(&Version::of(file)), mount);
        Ok(ReadHandle::new(reader, mount.clone(), key, path.clone(), metadata))
    }

    /// Uses the prefetched file if it is still valid, or else requests the file.
    async fn open_reader(
        &self,
        bucket: &Arc<dyn Bucket>,
        key: &Key,
        cached: Option<&Object>,
        prefetch: Option<FilePrefetch>,
    ) -> store::Result<Reader> {
        if let Some(prefetch) = prefetch {
            let reader = prefetch.take().await;
            self.session.prefetch.judge(reader.is_some());
            if let Some(reader) = reader {
                return Ok(reader);
            }
        }
        Reader::open(Arc::clone(bucket), key.clone(), cached, self.node.budget.of(&self.tenant.name)).await
    }
}

/// An open file. Its reads may run concurrently.
#[derive(Debug)]
pub struct ReadHandle {
    reader: Reader,
    mount: Mount,
    /// False if a user without `read` opened the file for changing.
    may_read: bool,
    key: Key,
    path: VirtualPath,
    metadata: Mutex<Metadata>,
}

impl ReadHandle {
    /// The bucket, the key and the version of the file.
    pub(crate) fn object(&self) -> (&BucketId, &Key, &Pin) {
        (self.reader.bucket(), &self.key, &self.reader.object().pin)
    }

    fn new(reader: Reader, mount: Mount, key: Key, path: VirtualPath, metadata: Metadata) -> Self {
        let may_read = mount.allows(Permission::Read);
        Self { reader, mount, may_read, key, path, metadata: Mutex::new(metadata) }
    }

    /// A file that is known to be empty. No request.
    pub(super) fn of_empty(
        bucket: Arc<dyn Bucket>,
        memory: TenantMemory,
        mount: Mount,
        key: Key,
        path: VirtualPath,
        metadata: Metadata,
    ) -> Self {
        Self::new(Reader::of_empty(bucket, key.clone(), memory), mount, key, path, metadata)
    }

    /// The former version of a file that is open for changing too. The first READ sends the first request. `None` for a
    /// new file.
    pub(super) fn of_older_object(file: &WritableFile) -> Option<Self> {
        let WritableFile { bucket, node, tenant, mount, key, path, .. } = file;
        let (object, former) = (file.origin.older_object()?.clone(), file.former_attributes.as_ref()?);
        let reader = Reader::of(Arc::clone(bucket), key.clone(), object, node.budget.of(&tenant.name));
        Some(Self::new(reader, mount.clone(), key.clone(), path.clone(), former.metadata))
    }

    /// Returns up to `len` bytes from `offset`, in pieces: fewer only at the end of the file, none behind it.
    ///
    /// # Errors
    /// [`Error::Denied`] if a user without `read` opened the file for changing, [`Error::Changed`] if the file was
    /// replaced and the storage keeps no old versions, or the storage's error.
    pub async fn read(&self, offset: u64, len: u32) -> Result<Vec<Bytes>> {
        if !self.may_read {
            return Err(Error::Denied(Permission::Read));
        }
        Ok(self.fetch(offset, len).await?)
    }

    /// [`read`](Self::read), with the storage's own errors.
    pub(super) async fn fetch(&self, offset: u64, len: u32) -> store::Result<Vec<Bytes>> {
        self.reader.read(offset, len).await
    }

    /// The mount of the file.
    pub(super) fn mount(&self) -> &Mount {
        &self.mount
    }

    /// The object's key, and the pinned version.
    pub(super) fn version(&self) -> (&Key, &Pin) {
        (&self.key, &self.reader.object().pin)
    }

    /// The metadata at the time of OPEN, with the changes made through this handle.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        *self.metadata.lock()
    }

    /// Shows attributes that were set through this handle.
    pub(super) fn show(&self, set: NewAttributes) {
        let mut metadata = self.metadata.lock();
        *metadata = metadata.updated(set, &self.mount);
    }

    /// The path under which the file was opened.
    #[must_use]
    pub(crate) fn path(&self) -> &VirtualPath {
        &self.path
    }
}
