//! The open handles of one session: what the client's handle strings mean. A number is never used twice.

use super::{directories::Directory, reads::Reads, updates::Updates, writes::Writes};
use crate::name::VirtualPath;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;

/// Handles that a session may have open at once; told to clients by `limits@openssh.com`.
pub const MAX_HANDLES: usize = 256;

/// The table. Tasks hold it through their context, so [`Handles::clear`] must be called when the session ends, or the
/// tasks would keep their own inboxes open.
#[derive(Debug, Default)]
pub struct Handles(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    open: HashMap<u32, Open>,
    opening: usize,
    next: u32,
    closed: bool,
}

/// The way to the task of an open handle.
#[derive(Clone, Debug)]
pub enum Open {
    /// A file that is read.
    Read(Reads),
    /// A file that is read and may be changed.
    Update(Updates),
    /// A file that is written.
    Write(Writes),
    /// A directory that is listed.
    Directory(Directory),
}

impl Handles {
    /// A place for a handle that is being opened; `None` when the table is full. Give it back with
    /// [`Handles::fill`] or [`Handles::give_up`].
    pub fn reserve(&self) -> bool {
        let mut table = self.table();
        let free = table.open.len() + table.opening < MAX_HANDLES;
        table.opening += usize::from(free);
        free
    }

    /// Puts an open handle into its place, and numbers it.
    pub fn fill(&self, open: Open) -> u32 {
        let mut table = self.table();
        table.opening = table.opening.saturating_sub(1);
        let number = table.next;
        table.next = table.next.wrapping_add(1);
        if !table.closed {
            table.open.insert(number, open);
        }
        number
    }

    /// Gives back the place of a handle that couldn't be opened.
    pub fn give_up(&self) {
        let mut table = self.table();
        table.opening = table.opening.saturating_sub(1);
    }

    /// The handle of that number.
    pub fn find(&self, number: Option<u32>) -> Option<Open> {
        self.table().open.get(&number?).cloned()
    }

    /// The file that is written under `path`; of several the one that was opened last.
    pub fn written(&self, path: &VirtualPath) -> Option<Writes> {
        let table = self.table();
        let newest = table.open.iter().filter_map(|(number, open)| match open {
            Open::Write(writes) if writes.path().is(path) => Some((number, writes)),
            Open::Write(_) | Open::Read(_) | Open::Update(_) | Open::Directory(_) => None,
        });
        newest.max_by_key(|(number, _)| **number).map(|(_, writes)| writes.clone())
    }

    /// The file that was opened under `path` to be changed, and was not yet; of several the one that was opened last.
    pub fn unchanged(&self, path: &VirtualPath) -> Option<(u32, Updates)> {
        let table = self.table();
        let newest = table.open.iter().filter_map(|(number, open)| match open {
            Open::Update(updates) if updates.path() == path => Some((*number, updates)),
            Open::Update(_) | Open::Read(_) | Open::Write(_) | Open::Directory(_) => None,
        });
        newest.max_by_key(|(number, _)| *number).map(|(number, updates)| (number, updates.clone()))
    }

    /// Puts an upload in the place of the file that it was until now.
    pub fn replace(&self, number: u32, writes: Writes) {
        if let Some(open) = self.table().open.get_mut(&number) {
            *open = Open::Write(writes);
        }
    }

    /// Takes the handle of that number out, for CLOSE.
    pub fn take(&self, number: Option<u32>) -> Option<Open> {
        self.table().open.remove(&number?)
    }

    /// Lets go of all handles, and of those that are still to come.
    pub fn clear(&self) {
        let mut table = self.table();
        table.closed = true;
        let open = std::mem::take(&mut table.open);
        drop(table);
        drop(open);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock()
    }
}
