//! The promises: the right answers, and the state after each action. This model ignores S3's requests, parts and
//! caches, except that a promise may allow several answers.

use super::{
    action::TreeOperation,
    answer_kind::AnswerKind,
    directories::DirectoryTime,
    stored_tree::{Modified, StoredFile, StoredTree, is_below},
};
use std::{collections::BTreeMap, sync::Arc};
use wharfinger::vfs::WriteOptions;

/// True if the tree can change a file that was opened without TRUNC, and set its size. The model supports both values.
pub const CHANGES_STORED_FILES: bool = true;
/// True if the tree can rename directories that aren't empty. The model supports both values.
pub const RENAMES_FULL_DIRECTORIES: bool = true;

/// Up to this size an upload is always in memory.
const IN_MEMORY_BYTES: u64 = 5 << 20;
const MAX_HOLE_BYTES: u64 = 64 << 20;
const MAX_OBJECT_BYTES: u64 = 512 << 30;

/// One open upload.
#[derive(Clone, Debug)]
pub struct Draft {
    pub by: usize,
    pub path: &'static str,
    pub bytes: Vec<u8>,
    pub modified: Modified,
    pub poisoned: bool,
    /// Order in which uploads got their names. `None` if the file was removed and must not appear.
    named: Option<usize>,
    options: WriteOptions,
    /// The stored file that the upload changes, if it changes one.
    base: Option<StoredFile>,
    /// The obstacle to a new file of its name at OPEN.
    blocked: Option<AnswerKind>,
    /// True if the name was free at some time since OPEN.
    was_free: bool,
    /// True if a WRITE or a change of size took effect.
    changed: bool,
    lock: CreateLock,
}

/// The lock that keeps other sessions from creating the file with EXCL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CreateLock {
    None,
    Owned,
    /// Another session removed the file.
    Lost,
}

/// One open download.
#[derive(Clone, Debug)]
pub struct OpenDownload {
    pub by: usize,
    path: &'static str,
    file: StoredFile,
}

#[derive(Clone, Debug, Default)]
pub struct Promises {
    pub stored: StoredTree,
    /// The open uploads, the oldest first.
    pub drafts: Vec<Draft>,
    pub downloads: Vec<OpenDownload>,
    /// Number of names given to uploads so far.
    names: usize,
}

/// Session 2, the last of three, belongs to the user who may not replace files.
fn may_replace(by: usize) -> bool {
    by != 2
}

/// True for the sessions of the other user.
fn is_alice(by: usize) -> bool {
    by < 2
}

/// EXCL has no meaning without CREAT.
fn is_exclusive(options: WriteOptions) -> bool {
    options.exclusive && options.create
}

/// Uploads.
impl Promises {
    pub fn open(&self, by: usize, at: &'static str, options: WriteOptions) -> Vec<AnswerKind> {
        let WriteOptions { create, truncate, .. } = options;
        let exclusive = is_exclusive(options);
        let file = self.stored.files.get(at);
        let directory = self.stored.is_directory(at);
        vec![match file {
            _ if at == "/" => AnswerKind::IsDirectory,
            _ if self.newest(by, at).is_some() && exclusive => AnswerKind::AlreadyExists,
            _ if self.newest(by, at).is_some() && !truncate => AnswerKind::Unsupported,
            _ if exclusive && self.is_locked(at) => AnswerKind::AlreadyExists,
            Some(_) if exclusive => AnswerKind::AlreadyExists,
            Some(_) if !may_replace(by) => AnswerKind::Denied,
            Some(file) if !truncate && !file.bytes.is_empty() && !CHANGES_STORED_FILES => AnswerKind::Unsupported,
            Some(_) => AnswerKind::Ok,
            // The server notices at OPEN, or later.
            None if directory && create && truncate && !exclusive => {
                return vec![AnswerKind::Ok, AnswerKind::IsDirectory];
            }
            None if directory => AnswerKind::IsDirectory,
            None if self.stored.is_below_file(at) => {
                return vec![if create { AnswerKind::Ok } else { AnswerKind::NotFound }, AnswerKind::BelowFile];
            }
            None if create => AnswerKind::Ok,
            None => AnswerKind::NotFound,
        }]
    }

    /// True if `by` may see what S3 has of a large upload of its user's other session (S64). It depends on time if it
    /// does. The tests of interrupted uploads have the promises about that.
    pub fn may_show_part(&self, by: usize, at: &str) -> bool {
        let is_of_other = |draft: &Draft| draft.path == at && draft.by != by && is_alice(draft.by);
        is_alice(by) && self.drafts.iter().any(|draft| is_of_other(draft) && draft.bytes.len() as u64 > IN_MEMORY_BYTES)
    }

    /// True while a session is creating the file with EXCL.
    fn is_locked(&self, at: &str) -> bool {
        self.drafts.iter().any(|draft| draft.path == at && draft.lock == CreateLock::Owned)
    }

    /// A REMOVE without a stored file ends the locks of other sessions.
    pub fn lose_locks(&mut self, at: &str) {
        for draft in self.drafts.iter_mut().filter(|draft| draft.path == at && draft.lock == CreateLock::Owned) {
            draft.lock = CreateLock::Lost;
        }
    }

    /// Returns the answer to a new file of this name, if something is in its way.
    fn blocked(&self, at: &str) -> Option<AnswerKind> {
        match () {
            () if self.stored.files.contains_key(at) => None,
            () if self.stored.is_directory(at) => Some(AnswerKind::IsDirectory),
            () if self.stored.is_below_file(at) => Some(AnswerKind::BelowFile),
            () => None,
        }
    }

    pub fn opened(&mut self, by: usize, path: &'static str, options: WriteOptions, modified: Option<u32>) {
        let base = self.stored.files.get(path).filter(|_| !options.truncate).cloned();
        let bytes = base.as_ref().map(|file| file.bytes.to_vec()).unwrap_or_default();
        // Attributes of OPEN apply to new files. An existing file may show its own time until it is changed.
        let modified = match base {
            Some(_) if CHANGES_STORED_FILES => Modified::Unknown,
            _ => modified.map_or(Modified::Upload, Modified::Set),
        };
        self.names += 1;
        let blocked = self.blocked(path);
        self.drafts.push(Draft {
            by,
            path,
            bytes,
            modified,
            poisoned: false,
            named: Some(self.names),
            options,
            base,
            blocked,
            was_free: false,
            changed: false,
            lock: if is_exclusive(options) { CreateLock::Owned } else { CreateLock::None },
        });
    }

    pub fn newest(&self, by: usize, path: &str) -> Option<&Draft> {
        self.drafts.iter().filter(|draft| draft.is(by, path)).max_by_key(|draft| draft.named)
    }

    fn newest_mut(&mut self, by: usize, path: &str) -> Option<&mut Draft> {
        self.drafts.iter_mut().filter(|draft| draft.is(by, path)).max_by_key(|draft| draft.named)
    }

    pub fn close(&self, handle: usize) -> Vec<AnswerKind> {
        let Draft { path, poisoned, base, named, blocked, was_free, .. } = &self.drafts[handle];
        let right = self.close_in_room(handle);
        if named.is_none() || base.is_some() {
            return right;
        }
        match (blocked.clone(), self.blocked(path)) {
            (None, None) => right,
            // The obstacle was there the whole time.
            (Some(before), Some(now)) if !poisoned && !was_free => vec![before, now],
            (before, now) => right.into_iter().chain(before).chain(now).collect(),
        }
    }

    /// Records which uploads' names are free now. Their check from OPEN may have run too late to see the obstacle.
    pub fn note_free_names(&mut self) {
        let free: Vec<bool> = self.drafts.iter().map(|draft| self.blocked(draft.path).is_none()).collect();
        for (draft, is_free) in self.drafts.iter_mut().zip(free) {
            draft.was_free |= is_free;
        }
    }

    /// Returns the errors that a WRITE may get because something is in the way of its name.
    pub fn blocked_write(&self, handle: usize) -> Vec<AnswerKind> {
        let draft = &self.drafts[handle];
        // The check of the name may finish as late as now.
        let blocked = draft.blocked.clone().into_iter().chain(self.blocked(draft.path));
        blocked.filter(|_| draft.base.is_none() && draft.named.is_some()).collect()
    }

    fn close_in_room(&self, handle: usize) -> Vec<AnswerKind> {
        let Draft { by, path, options, poisoned, base, changed, named, lock, .. } = &self.drafts[handle];
        let present = self.stored.files.get(*path);
        vec![match (present, base) {
            _ if named.is_none() => AnswerKind::Ok,
            _ if *lock == CreateLock::Lost => AnswerKind::LockLost,
            _ if *poisoned => AnswerKind::Poisoned,
            (Some(_), _) if is_exclusive(*options) => AnswerKind::AlreadyExists,
            (Some(_), _) if !may_replace(*by) => AnswerKind::Denied,
            (_, None) => AnswerKind::Ok,
            (Some(present), Some(base)) if present.version == base.version => AnswerKind::Ok,
            // Equal bytes may count as the same version. An upload that changed nothing may keep the present file.
            (Some(present), Some(base)) if present.bytes == base.bytes => {
                return vec![AnswerKind::Ok, AnswerKind::Changed];
            }
            _ if !changed || !CHANGES_STORED_FILES => {
                return vec![AnswerKind::Ok, AnswerKind::Changed, AnswerKind::NotFound];
            }
            (None, _) => return vec![AnswerKind::Changed, AnswerKind::NotFound],
            _ => AnswerKind::Changed,
        }]
    }

    /// Answers to a READ of an upload. The server fetches the old bytes only now, so they must still be stored.
    pub fn read_back(&self, handle: usize) -> Vec<AnswerKind> {
        let draft = &self.drafts[handle];
        let present = self.stored.files.get(draft.path).map(|file| file.version);
        let mut right = draft.read_back();
        if draft.options.read && draft.base.as_ref().is_some_and(|base| present != Some(base.version)) {
            right.push(AnswerKind::Changed);
        }
        right
    }

    pub fn closed(&mut self, draft: Draft) {
        if draft.named.is_none() {
            return;
        }
        // A file that was opened and not changed keeps its version.
        if CHANGES_STORED_FILES && draft.base.is_some() && !draft.changed {
            if let (Modified::Set(_), Some(file)) = (draft.modified, self.stored.files.get_mut(draft.path)) {
                file.modified = draft.modified;
            }
            return;
        }
        self.stored.put(draft.path, Arc::new(draft.bytes), draft.modified);
    }
}

impl Draft {
    /// True if it must appear as this session's upload of `path`.
    fn is(&self, by: usize, path: &str) -> bool {
        self.by == by && self.path == path && self.named.is_some()
    }

    fn shown(&self) -> ShownEntry {
        if self.poisoned { ShownEntry::Poisoned } else { ShownEntry::File(self.bytes.len() as u64, self.modified) }
    }

    pub fn is_writable(&self) -> bool {
        self.options.write
    }

    /// With APPEND every WRITE goes to the end.
    fn place(&self, offset: u64) -> u64 {
        if self.options.append { self.bytes.len() as u64 } else { offset }
    }

    pub fn write(&self, offset: u64, len: usize) -> Vec<AnswerKind> {
        let offset = self.place(offset);
        let (size, end) = (self.bytes.len() as u64, offset.checked_add(len as u64));
        vec![match end {
            _ if !self.is_writable() => AnswerKind::NotOpenForWriting,
            _ if self.poisoned => AnswerKind::Poisoned,
            // Empty data at any offset.
            _ if len == 0 => return vec![AnswerKind::Ok, AnswerKind::TooLarge],
            None => AnswerKind::TooLarge,
            Some(end) if end > MAX_OBJECT_BYTES => AnswerKind::TooLarge,
            _ if offset.saturating_sub(size) > MAX_HOLE_BYTES => AnswerKind::HoleTooLarge,
            _ if size > IN_MEMORY_BYTES && offset < size => return vec![AnswerKind::Ok, AnswerKind::Shipped],
            _ => AnswerKind::Ok,
        }]
    }

    pub fn written(&mut self, offset: u64, len: usize, fill: u8) {
        let start = usize::try_from(self.place(offset)).unwrap_or(usize::MAX);
        if len > 0 {
            self.bytes.resize(self.bytes.len().max(start + len), 0);
            self.bytes[start..start + len].fill(fill);
            self.change();
        }
    }

    fn read_back(&self) -> Vec<AnswerKind> {
        match self.bytes.len() as u64 {
            _ if !self.options.read => vec![AnswerKind::NotOpenForReading],
            size if size > IN_MEMORY_BYTES => vec![AnswerKind::Ok, AnswerKind::NotReadableYet],
            _ => vec![AnswerKind::Ok],
        }
    }

    pub fn resize(&self, size: u64) -> Vec<AnswerKind> {
        if self.is_writable() { self.resize_by_path(size) } else { vec![AnswerKind::NotOpenForWriting] }
    }

    /// Answers to SETSTAT by path. They don't depend on how the handle was opened.
    fn resize_by_path(&self, size: u64) -> Vec<AnswerKind> {
        match self.bytes.len() as u64 {
            _ if self.poisoned => vec![AnswerKind::Ok, AnswerKind::Poisoned, AnswerKind::Unsupported],
            present if present != size && !CHANGES_STORED_FILES => vec![AnswerKind::Unsupported],
            present if present > IN_MEMORY_BYTES && size < present => vec![AnswerKind::Ok, AnswerKind::Shipped],
            _ => vec![AnswerKind::Ok],
        }
    }

    pub fn resized(&mut self, size: u64) {
        if self.bytes.len() as u64 != size {
            self.bytes.resize(usize::try_from(size).unwrap(), 0);
            self.change();
        }
    }

    /// The upload's own session removed or renamed it.
    fn release(&mut self) {
        if self.lock == CreateLock::Owned {
            self.lock = CreateLock::None;
        }
    }

    fn change(&mut self) {
        self.changed = true;
        if self.modified == Modified::Unknown {
            self.modified = Modified::Upload;
        }
    }
}

/// Downloads.
impl Promises {
    pub fn open_read(&self, at: &str) -> AnswerKind {
        match self.stored.files.get(at) {
            Some(_) => AnswerKind::Ok,
            None if self.stored.is_directory(at) => AnswerKind::IsDirectory,
            None => AnswerKind::NotFound,
        }
    }

    pub fn opened_read(&mut self, by: usize, path: &'static str) {
        let file = self.stored.files[path].clone();
        self.downloads.push(OpenDownload { by, path, file });
    }

    /// Answers to a READ: the bytes of the opened version, or an error if that version is gone.
    pub fn read(&self, handle: usize) -> Vec<AnswerKind> {
        let OpenDownload { path, file, .. } = &self.downloads[handle];
        let is_there = self.stored.files.get(*path).is_some_and(|present| present.version == file.version);
        // Prefetched bytes may still be available.
        if is_there { vec![AnswerKind::Ok] } else { vec![AnswerKind::Ok, AnswerKind::Changed, AnswerKind::NotFound] }
    }
}

impl OpenDownload {
    pub fn bytes(&self) -> &[u8] {
        &self.file.bytes
    }
}

/// STAT and listings.
impl Promises {
    /// Returns size and time of a file, or the time of a directory.
    pub fn stat(&self, by: usize, at: &str) -> Result<ShownEntry, AnswerKind> {
        if let Some(draft) = self.newest(by, at) {
            return Ok(ShownEntry::File(draft.bytes.len() as u64, draft.modified));
        }
        match self.stored.files.get(at) {
            Some(file) => Ok(ShownEntry::File(file.bytes.len() as u64, file.modified)),
            None if self.stored.is_directory(at) => Ok(ShownEntry::Directory(self.stored.directories.find(at))),
            None => Err(AnswerKind::NotFound),
        }
    }

    /// Returns the names in a directory, each with the result of its STAT.
    pub fn list(&self, by: usize, at: &str) -> Result<BTreeMap<String, ShownEntry>, AnswerKind> {
        match self.stored.files.get(at) {
            _ if self.stored.is_directory(at) => Ok(self.entries(by, at)),
            Some(_) => Err(AnswerKind::NotDirectory),
            None => Err(AnswerKind::NotFound),
        }
    }

    fn entries(&self, by: usize, at: &str) -> BTreeMap<String, ShownEntry> {
        let shown = |(name, file): (String, Option<&StoredFile>)| {
            let directory = || self.stored.directories.find(&format!("{}/{name}", at.trim_end_matches('/')));
            let shown = match file {
                Some(file) => ShownEntry::File(file.bytes.len() as u64, file.modified),
                None => ShownEntry::Directory(directory()),
            };
            (name, shown)
        };
        let mut entries: BTreeMap<_, _> = self.stored.entries(at).into_iter().map(shown).collect();
        let drafts = self.drafts.iter().filter_map(|draft| self.newest(by, draft.path));
        for draft in drafts.filter(|draft| is_below(draft.path, at)) {
            let name = &draft.path[at.trim_end_matches('/').len() + 1..];
            if !name.contains('/') {
                entries.insert(name.to_owned(), draft.shown());
            }
        }
        entries
    }
}

/// A name as STAT and a listing show it.
#[derive(Clone, Copy, Debug)]
pub enum ShownEntry {
    Directory(DirectoryTime),
    /// Size and time.
    File(u64, Modified),
    /// A file whose upload failed. It may show any size.
    Poisoned,
}

/// Changes of the tree.
impl Promises {
    pub fn answers(&self, by: usize, operation: TreeOperation) -> Vec<AnswerKind> {
        match operation {
            TreeOperation::Mkdir(at) => vec![self.mkdir(by, at)],
            TreeOperation::Rmdir(at) => vec![self.rmdir(by, at)],
            TreeOperation::Remove(at) => vec![self.remove(by, at)],
            TreeOperation::Rename { source, target, replace } => self.rename(by, source, target, replace),
            TreeOperation::SetTimes { at, .. } => vec![self.stat(by, at).err().unwrap_or(AnswerKind::Ok)],
            TreeOperation::Resize { at, size } => self.resize(by, at, size),
        }
    }

    fn mkdir(&self, by: usize, at: &str) -> AnswerKind {
        let taken = self.newest(by, at).is_some() || self.stored.files.contains_key(at) || self.stored.is_directory(at);
        match () {
            () if taken => AnswerKind::AlreadyExists,
            () if self.stored.is_below_file(at) => AnswerKind::BelowFile,
            () => AnswerKind::Ok,
        }
    }

    fn rmdir(&self, by: usize, at: &str) -> AnswerKind {
        let is_uploading = || self.drafts.iter().any(|draft| draft.is(by, draft.path) && is_below(draft.path, at));
        match () {
            () if at == "/" => AnswerKind::Mounted,
            () if self.stored.holds_something(at) => AnswerKind::NotEmpty,
            () if self.stored.markers.contains(at) && is_uploading() => AnswerKind::NotEmpty,
            () if self.stored.markers.contains(at) => AnswerKind::Ok,
            () if self.stored.files.contains_key(at) => AnswerKind::NotDirectory,
            () => AnswerKind::NotFound,
        }
    }

    fn remove(&self, by: usize, at: &str) -> AnswerKind {
        match () {
            () if at == "/" => AnswerKind::Mounted,
            () if self.stored.files.contains_key(at) => AnswerKind::Ok,
            () if self.stored.is_directory(at) => AnswerKind::IsDirectory,
            () if self.newest(by, at).is_some() || self.is_locked(at) => AnswerKind::Ok,
            () => AnswerKind::NotFound,
        }
    }

    /// True if this renames a directory that isn't empty.
    pub fn renames_much(&self, operation: TreeOperation) -> bool {
        let TreeOperation::Rename { source, .. } = operation else { return false };
        !self.stored.files.contains_key(source) && self.stored.holds_something(source)
    }

    fn rename(&self, by: usize, source: &str, target: &str, replace: bool) -> Vec<AnswerKind> {
        let is_stored = self.stored.files.contains_key(source) || self.stored.is_directory(source);
        let draft = self.newest(by, source).filter(|_| !is_stored);
        let is_file = self.stored.files.contains_key(source) || draft.is_some();
        let target_is_file = self.stored.files.contains_key(target);
        let is_full_directory = !is_file && self.stored.holds_something(source);
        let answer = match () {
            () if source == "/" => AnswerKind::Mounted,
            () if target == "/" => AnswerKind::AlreadyExists,
            () if is_below(target, source) => AnswerKind::BelowItself,
            () if !replace && self.newest(by, target).is_some() => AnswerKind::AlreadyExists,
            () if self.stored.is_below_file(target) && (draft.is_some() || !are_siblings(source, target)) => {
                AnswerKind::BelowFile
            }
            () if !is_file && !is_stored => AnswerKind::NotFound,
            () if source == target && is_stored => AnswerKind::Ok,
            () if is_full_directory && !RENAMES_FULL_DIRECTORIES => AnswerKind::Unsupported,
            () if self.stored.is_directory(target) && replace && !is_full_directory => AnswerKind::IsDirectory,
            () if self.stored.is_directory(target) => AnswerKind::AlreadyExists,
            () if target_is_file && replace && !may_replace(by) && !is_full_directory => AnswerKind::Denied,
            () if target_is_file && !(replace && is_file) => AnswerKind::AlreadyExists,
            () => match draft {
                Some(draft) if draft.base.is_some() => AnswerKind::NotFound,
                // S3 may already hold a part under the old name.
                Some(draft) if draft.bytes.len() as u64 > IN_MEMORY_BYTES => {
                    return vec![AnswerKind::Ok, AnswerKind::NotFound];
                }
                _ => AnswerKind::Ok,
            },
        };
        vec![answer]
    }

    fn resize(&self, by: usize, at: &str, size: u64) -> Vec<AnswerKind> {
        match (self.newest(by, at), self.stored.files.get(at)) {
            (Some(draft), _) => draft.resize_by_path(size),
            (None, Some(file)) if file.bytes.len() as u64 != size && !CHANGES_STORED_FILES => {
                vec![AnswerKind::Unsupported]
            }
            (None, Some(file)) if file.bytes.len() as u64 != size && !may_replace(by) => vec![AnswerKind::Denied],
            (None, Some(_)) => vec![AnswerKind::Ok],
            (None, None) if self.stored.is_directory(at) => vec![AnswerKind::IsDirectory],
            (None, None) => vec![AnswerKind::NotFound],
        }
    }

    /// Applies the effects of a successful operation.
    pub fn done(&mut self, by: usize, operation: TreeOperation) {
        match operation {
            TreeOperation::Mkdir(at) => {
                self.stored.markers.insert(at.to_owned());
                self.stored.directories.clear(at);
            }
            TreeOperation::Rmdir(at) => {
                self.stored.markers.remove(at);
                self.stored.directories.clear(at);
            }
            TreeOperation::Remove(at) => {
                let is_stored = self.stored.files.remove(at).is_some();
                match self.newest_mut(by, at) {
                    _ if is_stored => {}
                    Some(draft) => {
                        draft.named = None;
                        draft.release();
                    }
                    None => self.lose_locks(at),
                }
            }
            TreeOperation::Rename { source, target, replace } => self.renamed(by, source, target, replace),
            TreeOperation::SetTimes { at, modified } => {
                if let Some(draft) = self.newest_mut(by, at) {
                    draft.modified = Modified::Set(modified);
                } else if let Some(file) = self.stored.files.get_mut(at) {
                    file.modified = Modified::Set(modified);
                } else {
                    self.stored.directories.set(at, modified);
                }
            }
            TreeOperation::Resize { at, size } => {
                if let Some(draft) = self.newest_mut(by, at) {
                    // A failed upload stores nothing.
                    if !draft.poisoned {
                        draft.resized(size);
                    }
                } else if let Some(file) = self.stored.files.get(at).filter(|file| file.bytes.len() as u64 != size) {
                    let mut bytes = file.bytes.to_vec();
                    bytes.resize(usize::try_from(size).unwrap(), 0);
                    self.stored.put(at, Arc::new(bytes), Modified::Upload);
                }
            }
        }
    }
}

impl Promises {
    fn renamed(&mut self, by: usize, source: &str, target: &'static str, replace: bool) {
        let is_stored = self.stored.files.contains_key(source) || self.stored.is_directory(source);
        if source == target {
            return;
        }
        self.names += 1;
        let named = Some(self.names);
        if is_stored {
            self.stored.rename(source, target);
        } else if let Some(draft) = self.newest_mut(by, source) {
            (draft.path, draft.named, draft.options.exclusive) = (target, named, !replace);
            draft.blocked = None;
            draft.release();
        }
    }
}

fn are_siblings(one: &str, other: &str) -> bool {
    one.rsplit_once('/').map(|(outer, _)| outer) == other.rsplit_once('/').map(|(outer, _)| outer)
}

impl TreeOperation {
    /// Returns the names that the operation may change.
    pub fn paths(self) -> Vec<&'static str> {
        match self {
            Self::Rename { source, target, .. } => vec![source, target],
            Self::Mkdir(at)
            | Self::Rmdir(at)
            | Self::Remove(at)
            | Self::SetTimes { at, .. }
            | Self::Resize { at, .. } => vec![at],
        }
    }
}
