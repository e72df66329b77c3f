//! The open handles of one channel, by number. The server never reuses a number.

use super::{directories::DirectoryReads, reads::Reads, updates::Updates, writes::Writes};
use crate::name::VirtualPath;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;

/// The handles that a channel may have open at once. `limits@openssh.com` tells clients.
pub(crate) const MAX_HANDLES: usize = 256;

/// The table of handles. Tasks hold it through their context. [`Handles::clear`] must be called when the channel ends,
/// or the tasks would keep their own inboxes open.
#[derive(Debug, Default)]
pub(crate) struct Handles(Mutex<HandleTable>);

#[derive(Debug, Default)]
struct HandleTable {
    open: HashMap<u32, OpenHandle>,
    opening: usize,
    next: u32,
    closed: bool,
}

/// The sending end of an open handle's task.
#[derive(Clone, Debug)]
pub(crate) enum OpenHandle {
    /// A file that the client reads.
    Read(Reads),
    /// A file that the client reads and may change.
    Update(Updates),
    /// A file that the client writes.
    Write(Writes),
    /// A directory that the client lists.
    Directory(DirectoryReads),
}

impl Handles {
    /// Reserves a place for a handle that is being opened. Returns false if the table is full. Release the place with
    /// [`Handles::fill`] or [`Handles::release`].
    pub(crate) fn reserve(&self) -> bool {
        let mut table = self.table();
        let free = table.open.len() + table.opening < MAX_HANDLES;
        table.opening += usize::from(free);
        free
    }

    /// Stores an open handle in its reserved place and returns its number.
    pub(crate) fn fill(&self, open: OpenHandle) -> u32 {
        let mut table = self.table();
        table.opening = table.opening.saturating_sub(1);
        let number = table.next;
        table.next = table.next.wrapping_add(1);
        if !table.closed {
            table.open.insert(number, open);
        }
        number
    }

    /// Releases the place of a handle that failed to open.
    pub(crate) fn release(&self) {
        let mut table = self.table();
        table.opening = table.opening.saturating_sub(1);
    }

    /// Returns the handle with this number.
    pub(crate) fn find(&self, number: Option<u32>) -> Option<OpenHandle> {
        self.table().open.get(&number?).cloned()
    }

    /// Returns the newest open file that the client writes under `path`.
    pub(crate) fn written(&self, path: &VirtualPath) -> Option<Writes> {
        let table = self.table();
        let newest = table.open.iter().filter_map(|(number, open)| match open {
            OpenHandle::Write(writes) if writes.path().is(path) => Some((number, writes)),
            OpenHandle::Write(_) | OpenHandle::Read(_) | OpenHandle::Update(_) | OpenHandle::Directory(_) => None,
        });
        newest.max_by_key(|(number, _)| **number).map(|(_, writes)| writes.clone())
    }

    /// Returns the newest file that the client opened for update under `path` and hasn't changed yet.
    pub(crate) fn unchanged(&self, path: &VirtualPath) -> Option<(u32, Updates)> {
        let table = self.table();
        let newest = table.open.iter().filter_map(|(number, open)| match open {
            OpenHandle::Update(updates) if updates.path() == path => Some((*number, updates)),
            OpenHandle::Update(_) | OpenHandle::Read(_) | OpenHandle::Write(_) | OpenHandle::Directory(_) => None,
        });
        newest.max_by_key(|(number, _)| *number).map(|(number, updates)| (number, updates.clone()))
    }

    /// Replaces the file that a handle has read so far by its upload.
    pub(crate) fn replace(&self, number: u32, writes: Writes) {
        if let Some(open) = self.table().open.get_mut(&number) {
            *open = OpenHandle::Write(writes);
        }
    }

    /// Removes and returns the handle with this number, for CLOSE.
    pub(crate) fn take(&self, number: Option<u32>) -> Option<OpenHandle> {
        self.table().open.remove(&number?)
    }

    /// Drops all handles, and all that `fill` adds later.
    pub(crate) fn clear(&self) {
        let mut table = self.table();
        table.closed = true;
        let open = std::mem::take(&mut table.open);
        drop(table);
        drop(open);
    }

    fn table(&self) -> MutexGuard<'_, HandleTable> {
        self.0.lock()
    }
}
