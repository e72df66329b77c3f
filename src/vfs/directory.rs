//! OPENDIR and READDIR: what lies in a directory, a page at a time.
//!
//! Names that could not be opened are left out; mounts hide what storage has of the same name. The session's own uploads
//! are shown as STAT shows them.

use super::{
    Error, Metadata, Mount, Node, Place, Result, Vfs, VirtualPath,
    cache::{Asked, CredentialScope},
    late::{KeptInPage, Named},
    listed_uploads::{ListedUploads, Merged},
    notes::{Live, Notes},
};
use crate::{
    account::Permission,
    store::{self, Bucket, EntryKind, Key, Listing, Prefix, Version},
};
use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

impl Vfs {
    /// Opens a directory and asks for its first page. Needs `list`, but for the names of mounts.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::NotDirectory`], [`Error::Denied`], or what the storage says.
    pub async fn open_directory(&self, path: &VirtualPath) -> Result<DirectoryHandle> {
        let mounted = self.mounts.names_in(path);
        // A mount's root and what leads to a mount exist whatever the storage has.
        let (mount, prefix, sought) = match self.mounts.resolve(path)? {
            Place::Virtual => (None, None, None),
            Place::Root(mount) => (Some(mount), Some(mount.prefix.clone()), None),
            Place::Parent { mount, key } => (Some(mount), Some(key.as_directory()), None),
            Place::Object { mount, key } => (Some(mount), Some(key.as_directory()), Some(key)),
            Place::Nowhere => return Err(Error::NotFound),
        };
        // Before S3 is asked: an upload that ends between the two is shown by S3.
        let uploads = ListedUploads::new(self.notes.live.in_directory(path));
        let listing = match (mount, prefix) {
            (Some(mount), Some(prefix)) if mount.allows(Permission::List) => {
                Some(self.begin(mount, prefix, sought).await?)
            }
            (Some(_), _) if mounted.is_empty() => return Err(Error::Denied(Permission::List)),
            _ => None,
        };
        let entries = self.first_entries(path, mount, &mounted)?;
        self.notes.ahead.begin_listing(path);
        Ok(DirectoryHandle {
            path: path.clone(),
            mount: mount.cloned(),
            mounted,
            listing,
            uploads,
            entries,
            node: Arc::clone(&self.node),
            notes: Arc::clone(&self.notes),
        })
    }

    /// Asks for the first page, which also tells whether the directory that is `sought` exists.
    async fn begin(&self, mount: &Mount, prefix: Prefix, sought: Option<Key>) -> Result<Stored> {
        let (bucket, scope) = (self.bucket(mount).await?, self.scope(mount));
        let asked = self.node.cache.stat.ask((bucket.id(), prefix.as_str()));
        let mut listing = Listing::new(Arc::clone(&bucket), prefix.clone());
        match sought {
            Some(key) if !listing.exists().await? => {
                if self.node.cache.markers.is_emptied(&scope, (bucket.id(), prefix.as_str())) {
                    return Ok(Stored { listing, bucket, prefix, scope, asked });
                }
                let is_file = bucket.head(&key).await.is_ok();
                Err(if is_file { Error::NotDirectory } else { Error::NotFound })
            }
            _ => {
                let name = (bucket.id(), prefix.as_str());
                if listing.has_marker() && self.node.cache.stat.is_unchanged(name, asked) {
                    self.node.cache.markers.note(&self.tenant.name, (bucket.id(), prefix.as_str()));
                }
                Ok(Stored { listing, bucket, prefix, scope, asked })
            }
        }
    }

    /// `.`, `..` and the mounts: what needs no request.
    fn first_entries(
        &self,
        path: &VirtualPath,
        mount: Option<&Mount>,
        mounted: &BTreeSet<String>,
    ) -> Result<VecDeque<Entry>> {
        let parent = path.parent().unwrap_or_else(VirtualPath::root);
        let mut entries = VecDeque::from([
            Entry { name: ".".to_owned(), metadata: self.directory_metadata(path, mount) },
            Entry { name: "..".to_owned(), metadata: self.directory_metadata(&parent, self.mount_of(&parent)?) },
        ]);
        for name in mounted {
            let Some(child) = path.child(name) else { continue };
            let metadata = self.directory_metadata(&child, self.mount_of(&child)?);
            entries.push_back(Entry { name: name.clone(), metadata });
        }
        Ok(entries)
    }

    fn mount_of(&self, path: &VirtualPath) -> Result<Option<&Mount>> {
        Ok(match self.mounts.resolve(path)? {
            Place::Root(mount) | Place::Parent { mount, .. } | Place::Object { mount, .. } => Some(mount),
            Place::Virtual | Place::Nowhere => None,
        })
    }
}

/// A name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// One segment; also `.` and `..`.
    pub name: String,
    /// What STAT would say, but for times and modes that only an object's metadata knows.
    pub metadata: Metadata,
}

/// An open directory.
#[derive(Debug)]
pub struct DirectoryHandle {
    path: VirtualPath,
    mount: Option<Mount>,
    /// The names that storage can't show here.
    mounted: BTreeSet<String>,
    /// What storage has, until all of it has come.
    listing: Option<Stored>,
    uploads: ListedUploads,
    /// What has come and was not asked for yet: at most a page.
    entries: VecDeque<Entry>,
    node: Arc<Node>,
    notes: Arc<Notes>,
}

/// A directory's listing, and where the directory lies.
#[derive(Debug)]
struct Stored {
    listing: Listing,
    bucket: Arc<dyn Bucket>,
    prefix: Prefix,
    scope: Arc<CredentialScope>,
    /// Before its first page was.
    asked: Asked,
}

impl DirectoryHandle {
    /// Hands the next entries to `take`, one by one, up to the first that it refuses, which is the first of the next call.
    /// Says how many were taken: none at the end. A page is asked for when all before it were taken.
    ///
    /// # Errors
    /// What the storage says, if no entry was taken. The next call tries again.
    pub async fn next(&mut self, mut take: impl FnMut(&Entry) -> bool) -> Result<usize> {
        let mut taken = 0;
        loop {
            while self.entries.pop_front_if(|entry| take(entry)).is_some() {
                taken += 1;
            }
            if !self.entries.is_empty() || self.listing.is_none() {
                return Ok(taken);
            }
            match self.turn().await {
                Ok(()) => {}
                Err(error) if taken == 0 => return Err(error),
                // What was taken is given out first: the next call meets the error, if it is still there.
                Err(_) => return Ok(taken),
            }
        }
    }

    /// Takes the next page in, or notes the end.
    async fn turn(&mut self) -> Result<()> {
        let Some(stored) = &mut self.listing else { return Ok(()) };
        let Some(page) = stored.listing.next_page().await? else {
            self.listing = None;
            self.entries = self.uploads.rest().into_iter().filter_map(|(name, live)| self.upload(name, live)).collect();
            return Ok(());
        };
        let mut late = self.notes.late.of_page(stored.bucket.id(), &stored.prefix, &page).await;
        let Some(stored) = &self.listing else { return Ok(()) };
        let page = self.uploads.merge(page).into_iter();
        let entry = |merged| match merged {
            Merged::Stored(entry) => self.entry(stored, entry, &mut late),
            Merged::Upload(name, live) => self.upload(name, live),
        };
        self.entries = page.filter_map(entry).collect();
        Ok(())
    }

    /// The path that it was opened under.
    #[must_use]
    pub fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// A file that S3 didn't have. Without a newer state of its upload, which has ended since, it shows the one it had.
    fn upload(&self, name: String, live: Live) -> Option<Entry> {
        let (mount, path) = (self.mount.as_ref()?, self.path.child(&name)?);
        let live = self.notes.live.newest(&path).unwrap_or(live);
        Some(Entry { name, metadata: Metadata::of_upload(live, mount) })
    }

    fn entry(&self, stored: &Stored, entry: store::Entry, late: &mut KeptInPage) -> Option<Entry> {
        let mount = self.mount.as_ref()?;
        let path = self.path.child(&entry.name).filter(|_| !self.mounted.contains(&entry.name))?;
        if let Some(live) = self.notes.live.newest(&path) {
            return Some(Entry { name: entry.name, metadata: Metadata::of_upload(live, mount) });
        }
        let metadata = match entry.kind {
            EntryKind::File { size, modified, etag } => {
                if mount.allows(Permission::Read) {
                    self.notes.ahead.list(&self.path, &entry.name, size, &etag);
                }
                let kept = self.notes.late.in_page(late, stored.bucket.id(), &stored.prefix, &entry.name);
                let late = kept.of(&Version { etag, modified });
                Metadata::of_file(size, late.modified(modified), late.set(), mount)
            }
            EntryKind::Directory => {
                if let Ok(key) = stored.prefix.key(&entry.name) {
                    let named = Named { path: &path, scope: &stored.scope, bucket: &*stored.bucket, key: &key };
                    let directory = (stored.bucket.id(), stored.prefix.as_str());
                    self.node.cache.stat.note_listed(named.at(), directory, stored.asked);
                }
                Metadata::of_directory(self.notes.late.of_directory(&path), Some(mount))
            }
        };
        Some(Entry { name: entry.name, metadata })
    }
}
