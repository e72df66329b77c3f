//! OPENDIR and READDIR: the entries of a directory, a page at a time.
//!
//! Names that could not be opened are left out. A mount hides an entry of the same name in storage. The session's own
//! uploads show the same attributes as in STAT.

use super::{
    Error, Metadata, Node, Place, Result, Vfs,
    cache::{CredentialScope, Stamp},
    directory_attributes::{DirectoryName, TimesInPage},
    file_attributes::{AttributesInPage, NamedObject},
    listed_uploads::{ListedUploads, MergedEntry},
    open_uploads::UploadView,
    session_state::SessionState,
};
use crate::{
    account::{Mount, Permission},
    journal::Version,
    memory::Charge,
    name::{BucketId, Key, Prefix, VirtualPath},
    objects::{self, EntryKind, ListedPage, Listing},
    store::Bucket,
};
use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
};
use tokio::{join, time::Instant};

impl Vfs {
    /// Opens a directory and asks for its first page. Needs `list`, except for the names of mounts.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Denied`], or the storage's error.
    pub async fn open_directory(&self, path: &VirtualPath) -> Result<DirectoryHandle> {
        let mounted = self.user.mounts.names_in(path);
        // A mount's root, and the directories that lead to a mount, exist independently of the storage.
        let (mount, prefix, sought) = match self.resolve(path)? {
            Place::Virtual => (None, None, None),
            Place::Root(mount) => (Some(mount), Some(mount.prefix.clone()), None),
            Place::Parent { mount, key } => (Some(mount), Some(key.as_directory()), None),
            Place::Object { mount, key } => (Some(mount), Some(key.as_directory()), Some(key)),
            Place::Nowhere => return Err(Error::NotFound),
        };
        // Taken before S3 is asked: S3 then shows an upload that ends between the two.
        let uploads = ListedUploads::new(self.session.open_uploads.in_directory(path));
        let listing = match (mount, prefix) {
            (Some(mount), Some(prefix)) if mount.allows(Permission::List) => {
                Some(self.begin(mount, prefix, sought).await?)
            }
            (Some(_), _) if mounted.is_empty() => return Err(Error::Denied(Permission::List)),
            _ => None,
        };
        let entries = self.first_entries(path, &mounted).await?;
        self.session.prefetch.begin_listing(path);
        Ok(DirectoryHandle {
            path: path.clone(),
            mount: mount.cloned(),
            mounted,
            listing,
            uploads,
            pending: PendingEntries::new(entries, None),
            node: Arc::clone(&self.node),
            session: Arc::clone(&self.session),
        })
    }

    /// Asks for the first page, which also shows if the directory `sought` exists.
    async fn begin(&self, mount: &Mount, prefix: Prefix, sought: Option<Key>) -> Result<StoredListing> {
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let (stamp, asked_at) = (self.node.cache.stat.stamp((bucket.id(), prefix.as_str())), Instant::now());
        let memory = self.node.budget.of(&self.tenant.name);
        let mut listing = Listing::new(Arc::clone(&bucket), prefix.clone(), memory);
        match sought {
            Some(key) if !listing.exists().await? => {
                if self.node.cache.markers.is_emptied(&scope, (bucket.id(), prefix.as_str())) {
                    return Ok(StoredListing { listing, bucket, prefix, scope, stamp, asked_at });
                }
                let directory = DirectoryName { bucket: bucket.id(), prefix: &prefix };
                let dropped = self.session.directory_attributes.drop_gone(directory, asked_at);
                let is_file = join!(bucket.head(&key), dropped).0.is_ok();
                Err(if is_file { Error::NotDirectory } else { Error::NotFound })
            }
            _ => {
                let name = (bucket.id(), prefix.as_str());
                if listing.has_marker() && self.node.cache.stat.is_unchanged(name, stamp) {
                    self.node.cache.markers.note(&self.tenant.name, (bucket.id(), prefix.as_str()));
                }
                Ok(StoredListing { listing, bucket, prefix, scope, stamp, asked_at })
            }
        }
    }

    /// `.`, `..` and the mounts, which need no request to S3. The journal is asked only for the times of mounts,
    /// because clients don't show those of the other two.
    async fn first_entries(&self, path: &VirtualPath, mounted: &BTreeSet<String>) -> Result<VecDeque<Entry>> {
        let parent = path.parent().unwrap_or_else(VirtualPath::root);
        let mut entries = VecDeque::new();
        for (name, path) in [(".", path), ("..", &parent)] {
            let metadata = self.known_metadata(path, &self.resolve(path)?);
            entries.push_back(Entry { name: name.to_owned(), metadata });
        }
        let mut mounts = Vec::new();
        for name in mounted {
            let Some(child) = path.child(name) else { continue };
            let directory = self.resolve(&child)?.directory();
            mounts.push((name, child, directory));
        }
        let prefixes: Vec<&Prefix> =
            mounts.iter().filter_map(|(.., directory)| directory.as_ref().map(|(_, prefix)| prefix)).collect();
        let times = match self.node.buckets.id(&self.tenant.name) {
            Ok(bucket) => self.session.directory_attributes.times_of(&bucket, &prefixes).await,
            Err(_) => HashMap::new(),
        };
        entries.extend(mounts.iter().map(|(name, path, directory)| {
            let (mount, times) = directory.as_ref().map(|(mount, prefix)| (*mount, times.get(prefix).copied())).unzip();
            let metadata = self.session.directory_attributes.metadata(path, times.flatten(), mount);
            Entry { name: (*name).clone(), metadata }
        }));
        Ok(entries)
    }

    /// A directory, with the times that a session of this node set just now.
    fn known_metadata(&self, path: &VirtualPath, place: &Place<'_>) -> Metadata {
        let Some((mount, prefix)) = place.directory() else {
            return self.session.directory_attributes.metadata(path, None, None);
        };
        let newest = |bucket: BucketId| {
            self.session.directory_attributes.newest_times(DirectoryName { bucket: &bucket, prefix: &prefix }, None)
        };
        let times = self.node.buckets.id(&self.tenant.name).ok().and_then(newest);
        self.session.directory_attributes.metadata(path, times, Some(mount))
    }
}

/// An entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One segment of a path, or `.` or `..`.
    pub name: String,
    /// The attributes that STAT shows, except for times and modes that only the object's metadata has.
    pub metadata: Metadata,
}

/// An open directory.
#[derive(Debug)]
pub struct DirectoryHandle {
    path: VirtualPath,
    mount: Option<Mount>,
    /// The names of mounts, which hide entries in storage.
    mounted: BTreeSet<String>,
    /// The listing of the storage, until its last page was taken.
    listing: Option<StoredListing>,
    uploads: ListedUploads,
    pending: PendingEntries,
    node: Arc<Node>,
    session: Arc<SessionState>,
}

/// A directory's listing, and the directory's place.
#[derive(Debug)]
struct StoredListing {
    listing: Listing,
    bucket: Arc<dyn Bucket>,
    prefix: Prefix,
    scope: Arc<CredentialScope>,
    /// The stamp of the directory before its first page was requested.
    stamp: Stamp,
    asked_at: Instant,
}

/// Entries of the current page that were not taken yet.
#[derive(Debug, Default)]
struct PendingEntries {
    entries: VecDeque<Entry>,
    /// Their memory. `.`, `..`, mounts and the session's own uploads, of which there are few, are not charged.
    charge: Option<Charge>,
}

impl PendingEntries {
    fn new(entries: VecDeque<Entry>, charge: Option<Charge>) -> Self {
        let mut pending = Self { entries, charge };
        pending.shrink();
        pending
    }

    /// Returns the memory of the entries that were taken.
    fn shrink(&mut self) {
        if self.entries.is_empty() {
            *self = Self::default();
        } else if let Some(charge) = &mut self.charge {
            let names: usize = self.entries.iter().map(|entry| entry.name.capacity()).sum();
            charge.shrink((self.entries.capacity() * size_of::<Entry>() + names) as u64);
        }
    }
}

impl DirectoryHandle {
    /// Passes the next entries to `take`, one by one. An entry that it refuses comes first in the next call. Returns
    /// how many were taken: none at the end. A page is requested after all entries before it were taken. If it has to
    /// wait for memory, those that were taken are returned first.
    ///
    /// # Errors
    /// The storage's error, if no entry was taken. The next call tries again.
    pub async fn next(&mut self, mut take: impl FnMut(&Entry) -> bool) -> Result<usize> {
        let mut count = 0;
        loop {
            while self.pending.entries.pop_front_if(|entry| take(entry)).is_some() {
                count += 1;
            }
            // Before the next page waits for memory.
            self.pending.shrink();
            let Some(stored) = &mut self.listing else { return Ok(count) };
            if !self.pending.entries.is_empty() || count > 0 && !stored.listing.request_next() {
                return Ok(count);
            }
            match self.turn().await {
                Ok(()) => {}
                Err(error) if count == 0 => return Err(error),
                // The entries that were taken are returned first. The next call meets the error, if it persists.
                Err(_) => return Ok(count),
            }
        }
    }

    /// Loads the next page, or records the end.
    async fn turn(&mut self) -> Result<()> {
        let Some(stored) = &mut self.listing else { return Ok(()) };
        let Some(ListedPage { entries: page, charge }) = stored.listing.next_page().await? else {
            self.listing = None;
            let uploads = self.uploads.rest().into_iter();
            let entries = uploads.filter_map(|(name, view)| self.upload(name, view)).collect();
            self.pending = PendingEntries::new(entries, None);
            return Ok(());
        };
        let (bucket, prefix) = (stored.bucket.id(), &stored.prefix);
        let (mut attributes, mut times) = join!(
            self.session.file_attributes.of_page(bucket, prefix, &page),
            self.session.directory_attributes.of_page(bucket, prefix, &page, stored.asked_at),
        );
        let Some(stored) = &self.listing else { return Ok(()) };
        let page = self.uploads.merge(page).into_iter();
        let entry = |merged| match merged {
            MergedEntry::Stored(entry) => self.entry(stored, entry, &mut attributes, &mut times),
            MergedEntry::Upload(name, view) => self.upload(name, view),
        };
        let entries = page.filter_map(entry).collect();
        self.pending = PendingEntries::new(entries, Some(charge));
        Ok(())
    }

    /// True if the directory has entries from storage, whose listing needs the permission `list`.
    #[must_use]
    pub(crate) fn lists_storage(&self) -> bool {
        self.listing.is_some()
    }

    /// The path under which the directory was opened.
    #[must_use]
    pub(crate) fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// An uploaded file that S3 didn't have. If its upload has ended since, the entry shows the state at the listing's
    /// begin.
    fn upload(&self, name: String, view: UploadView) -> Option<Entry> {
        let (mount, path) = (self.mount.as_ref()?, self.path.child(&name)?);
        let view = self.session.open_uploads.newest(&path).unwrap_or(view);
        Some(Entry { name, metadata: Metadata::of_upload(view, mount) })
    }

    fn entry(
        &self,
        stored: &StoredListing,
        entry: objects::ListingEntry,
        attributes: &mut AttributesInPage,
        times: &mut TimesInPage,
    ) -> Option<Entry> {
        let mount = self.mount.as_ref()?;
        let path = self.path.child(&entry.name).filter(|_| !self.mounted.contains(&entry.name))?;
        if let Some(view) = self.session.open_uploads.newest(&path) {
            return Some(Entry { name: entry.name, metadata: Metadata::of_upload(view, mount) });
        }
        let metadata = match entry.kind {
            EntryKind::File { size, modified, etag } => {
                if mount.allows(Permission::Read) {
                    self.session.prefetch.list(&self.path, &entry.name, size, &etag);
                }
                let lookup =
                    self.session.file_attributes.in_page(attributes, stored.bucket.id(), &stored.prefix, &entry.name);
                let beside = lookup.of(&Version { etag, modified });
                Metadata::of_file(size, beside.modified(modified), beside.set(), mount)
            }
            EntryKind::Directory => {
                let key = stored.prefix.key(&entry.name).ok()?;
                let directory = DirectoryName { bucket: stored.bucket.id(), prefix: &key.as_directory() };
                let times = self.session.directory_attributes.in_page(times, directory, &entry.name);
                let named = NamedObject { path: &path, scope: &stored.scope, bucket: &*stored.bucket, key: &key };
                let listed = (stored.bucket.id(), stored.prefix.as_str());
                self.node.cache.stat.note_listed(named.scoped(), listed, stored.stamp, times);
                self.session.directory_attributes.metadata(&path, times, Some(mount))
            }
        };
        Some(Entry { name: entry.name, metadata })
    }
}
