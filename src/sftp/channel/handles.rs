//! The open handles of one channel, by number. The server never reuses a number.

use super::{
    context::ChannelContext, directories::DirectoryReads, reads::Reads, request_order::PathAccess, updates::Updates,
    writes::Writes,
};
use crate::{
    name::VirtualPath,
    session::{ConnectionCounts, CountRefusal, HandlePermit},
};
use parking_lot::Mutex;
use std::{collections::HashMap, sync::Arc};

/// The table of handles. An OPEN in flight holds it too: [`Handles::clear`] must be called when the channel ends, so that
/// the tasks of the handles end.
#[derive(Debug)]
pub(crate) struct Handles {
    table: Mutex<HandleTable>,
    counts: Arc<ConnectionCounts>,
}

#[derive(Debug, Default)]
struct HandleTable {
    open: HashMap<u32, (OpenHandle, HandlePermit)>,
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
    /// Creates an empty table of a channel. `counts` are those of its connection.
    pub(crate) fn new(counts: Arc<ConnectionCounts>) -> Self {
        Self { table: Mutex::default(), counts }
    }

    /// Returns the permit of a handle that is being opened.
    ///
    /// # Errors
    /// The connection, or its tenant, has too many open handles.
    pub(crate) fn permit(&self) -> Result<HandlePermit, CountRefusal> {
        self.counts.open_handle()
    }

    /// Stores an open handle and returns its number.
    pub(crate) fn insert(&self, open: OpenHandle, permit: HandlePermit) -> u32 {
        let mut table = self.table.lock();
        let number = table.next;
        table.next = table.next.wrapping_add(1);
        if !table.closed {
            table.open.insert(number, (open, permit));
        }
        number
    }

    /// Returns the handle with this number.
    pub(crate) fn find(&self, number: Option<u32>) -> Option<OpenHandle> {
        self.table.lock().open.get(&number?).map(|(open, _)| open.clone())
    }

    /// Returns the file that the session writes under `path`, if a request on the path only has to wait for the WRITEs
    /// before it. WRITEs have no ticket in the order.
    pub(crate) fn written(&self, context: &ChannelContext, access: PathAccess, path: &VirtualPath) -> Option<Writes> {
        self.newest_written(path).filter(|_| context.order.is_free(access, path))
    }

    /// Returns the newest open file that the client writes under `path`.
    fn newest_written(&self, path: &VirtualPath) -> Option<Writes> {
        let table = self.table.lock();
        let newest = table.open.iter().filter_map(|(number, (open, _))| match open {
            OpenHandle::Write(writes) if writes.path().is(path) => Some((number, writes)),
            OpenHandle::Write(_) | OpenHandle::Read(_) | OpenHandle::Update(_) | OpenHandle::Directory(_) => None,
        });
        newest.max_by_key(|(number, _)| **number).map(|(_, writes)| writes.clone())
    }

    /// Returns the newest file that the client opened for update under `path` and hasn't changed yet.
    fn unchanged(&self, path: &VirtualPath) -> Option<(u32, Updates)> {
        let table = self.table.lock();
        let newest = table.open.iter().filter_map(|(number, (open, _))| match open {
            OpenHandle::Update(updates) if updates.path() == path => Some((*number, updates)),
            OpenHandle::Update(_) | OpenHandle::Read(_) | OpenHandle::Write(_) | OpenHandle::Directory(_) => None,
        });
        newest.max_by_key(|(number, _)| *number).map(|(number, updates)| (number, updates.clone()))
    }

    /// Turns the file of a handle, so far only read, into an upload.
    pub(crate) fn begin_update(&self, context: &Arc<ChannelContext>, number: u32, updates: &Updates) -> Writes {
        let writes = updates.begin(context);
        if let Some((open, _)) = self.table.lock().open.get_mut(&number) {
            *open = OpenHandle::Write(writes.clone());
        }
        writes
    }

    /// Turns an unchanged open file into an upload when a request sets its size by path. Otherwise its CLOSE would find
    /// that another request changed the file.
    pub(crate) fn begin_update_of(&self, context: &Arc<ChannelContext>, path: &VirtualPath) {
        if !context.tree.is_uploading(path)
            && let Some((number, updates)) = self.unchanged(path)
        {
            self.begin_update(context, number, &updates);
        }
    }

    /// Removes and returns the handle with this number, for CLOSE.
    pub(crate) fn take(&self, number: Option<u32>) -> Option<OpenHandle> {
        self.table.lock().open.remove(&number?).map(|(open, _)| open)
    }

    /// Drops all handles, and all that `insert` adds later.
    pub(crate) fn clear(&self) {
        let mut table = self.table.lock();
        table.closed = true;
        let open = std::mem::take(&mut table.open);
        drop(table);
        drop(open);
    }
}
