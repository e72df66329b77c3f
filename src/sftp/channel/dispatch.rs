//! The dispatch table: every request of version 3 and its destination.
//!
//! Only a WRITE waits here, for its memory. A request on a handle goes to the handle's task. A request on a path takes
//! a ticket in the order and gets a task of its own.

use super::{
    Ended, Inbound, attrs,
    copies::Copy,
    directories,
    handles::{MAX_HANDLES, Open},
    open,
    order::Claim,
    reads::Reads,
    runs::{self, Read},
    slot::Slot,
    tree,
    writes::{self, Writes},
};
use crate::{
    sftp::wire::{Attrs, CopyData, Extended, Handle, Limits, Reply, Request, StatusCode},
    vfs::Replace,
};
use bytes::Bytes;

const NOT_OPEN: &str = "this handle is not open";
const NOT_FOR_WRITING: &str = "the file was not opened for writing";
const NO_LINKS: &str = "the storage knows no symbolic links";

impl Inbound {
    /// Sends a request to its task.
    pub(super) async fn dispatch(&mut self, request: Request) -> Result<(), Ended> {
        match request {
            // The caller has answered INIT and refused a second one before any request arrives here.
            Request::Init { .. } => return Err(Ended::NotBegun),
            Request::Read { id, handle, offset, length } => return self.read(id, &handle, offset, length),
            Request::Write { id, handle, offset, data } => return self.write(id, &handle, offset, data).await,
            Request::Close { id, handle } => self.close(self.accept(id)?, &handle),
            Request::Fstat { id, handle } => self.fstat(self.accept(id)?, &handle),
            Request::FsetStat { id, handle, attrs } => self.fsetstat(self.accept(id)?, &handle, &attrs),
            Request::ReadDir { id, handle } => self.readdir(self.accept(id)?, &handle),
            Request::Open { id, path, flags, attrs } => {
                open::open(&self.context, self.accept(id)?, &path, flags, &attrs);
            }
            Request::OpenDir { id, path } => open::open_directory(&self.context, self.accept(id)?, &path),
            // The server has no links, so STAT and LSTAT are the same.
            Request::Stat { id, path } | Request::Lstat { id, path } => {
                tree::stat(&self.context, self.accept(id)?, &path);
            }
            Request::SetStat { id, path, attrs } => {
                tree::set_attributes(&self.context, self.accept(id)?, &path, &attrs);
            }
            Request::Remove { id, path } => tree::remove(&self.context, self.accept(id)?, &path),
            Request::Mkdir { id, path, attrs } => {
                tree::mkdir(&self.context, self.accept(id)?, &path, &attrs);
            }
            Request::Rmdir { id, path } => tree::rmdir(&self.context, self.accept(id)?, &path),
            Request::RealPath { id, path } => tree::realpath(&self.context, self.accept(id)?, &path),
            Request::Rename { id, source, target } => {
                tree::rename(&self.context, self.accept(id)?, &source, &target, Replace::No);
            }
            Request::ReadLink { id, .. } | Request::Symlink { id, .. } => {
                self.accept(id)?.status(StatusCode::OpUnsupported, NO_LINKS);
            }
            Request::Extended { id, request } => self.extended(self.accept(id)?, &request),
        }
        Ok(())
    }

    fn extended(&self, slot: Slot, request: &Extended) {
        match request {
            Extended::Limits => {
                let data = Limits::new(MAX_HANDLES as u64).encode();
                slot.answer(|id| Reply::ExtendedReply { id, data });
            }
            Extended::PosixRename { source, target } => {
                tree::rename(&self.context, slot, source, target, Replace::Yes);
            }
            Extended::LsetStat { path, attrs } => {
                tree::set_attributes(&self.context, slot, path, attrs);
            }
            Extended::ExpandPath { path } => tree::expand_path(&self.context, slot, path),
            Extended::HomeDirectory { user } => tree::home_directory(&self.context, slot, user),
            Extended::CopyData(copy) => self.copy(slot, copy),
            Extended::Unknown(_) => slot.status(StatusCode::OpUnsupported, "this server does not have that extension"),
        }
    }

    fn accept(&self, id: u32) -> Result<Slot, Ended> {
        self.context.replies.accept(id)
    }

    fn read(&mut self, id: u32, handle: &Handle, offset: u64, length: u32) -> Result<(), Ended> {
        match self.context.handles.find(handle.number()) {
            Some(Open::Read(reads)) => reads.read(Read { id, offset, length }),
            Some(Open::Update(updates)) => updates.reads().read(Read { id, offset, length }),
            Some(Open::Write(writes)) => {
                writes.command(writes::Command::Read { slot: self.accept(id)?, offset, length });
                Ok(())
            }
            // A client's prefetch may continue after its CLOSE, so any number of READs must be harmless here.
            Some(Open::Directory(_)) | None => {
                let context = &self.context;
                self.refusing.get_or_insert_with(|| Reads::start_refusing(context)).read(Read { id, offset, length })
            }
        }
    }

    async fn write(&mut self, id: u32, handle: &Handle, offset: u64, data: Bytes) -> Result<(), Ended> {
        let slot = self.context.replies.accept_uncounted(id)?;
        match self.upload(handle) {
            Ok(writes) => {
                let load = self.context.intake.admit(data.len(), writes.waiting()).await?;
                writes.command(writes::Command::Write { slot, offset, data, load });
            }
            Err((code, sentence)) => slot.status(code, sentence),
        }
        Ok(())
    }

    fn copy(&self, slot: Slot, copy: &CopyData) {
        match self.upload(&copy.target) {
            Ok(writes) => writes.command(writes::Command::Copy(slot, Copy::new(&self.context, copy))),
            Err((code, sentence)) => slot.status(code, sentence),
        }
    }

    /// Returns the task of the upload that a request changes. Begins the upload if the client has only read the file so
    /// far.
    fn upload(&self, handle: &Handle) -> Result<Writes, (StatusCode, &'static str)> {
        let Some(number) = handle.number() else { return Err((StatusCode::Failure, NOT_OPEN)) };
        match self.context.handles.find(Some(number)) {
            Some(Open::Write(writes)) => Ok(writes),
            Some(Open::Update(updates)) => Ok(self.context.begin_update(number, &updates)),
            Some(Open::Read(_)) => Err((StatusCode::PermissionDenied, NOT_FOR_WRITING)),
            Some(Open::Directory(_)) | None => Err((StatusCode::Failure, NOT_OPEN)),
        }
    }

    fn close(&self, slot: Slot, handle: &Handle) {
        match self.context.handles.take(handle.number()) {
            Some(Open::Read(reads)) => reads.command(runs::Command::Close(slot)),
            Some(Open::Update(updates)) => updates.reads().command(runs::Command::Close(slot)),
            Some(Open::Write(writes)) => {
                let path = writes.path().current();
                let pending = self.context.pending_close(&path);
                let ticket = self.context.order.enter_close(path);
                writes.command(writes::Command::Close(writes::Close { slot, ticket, pending }));
            }
            Some(Open::Directory(directory)) => directory.command(directories::Command::Close(slot)),
            None => slot.status(StatusCode::Failure, NOT_OPEN),
        }
    }

    fn fstat(&self, slot: Slot, handle: &Handle) {
        match self.context.handles.find(handle.number()) {
            Some(Open::Read(reads)) => match reads.file() {
                Some(file) if !self.context.order.is_free(Claim::Look, file.path()) => {
                    tree::stat_open(&self.context, slot, file);
                }
                _ => reads.command(runs::Command::Stat(slot)),
            },
            Some(Open::Update(updates)) => updates.reads().command(runs::Command::Stat(slot)),
            Some(Open::Write(writes)) => writes.command(writes::Command::Stat(slot)),
            Some(Open::Directory(directory)) => tree::stat_directory(&self.context, slot, directory.path().clone()),
            None => slot.status(StatusCode::Failure, NOT_OPEN),
        }
    }

    fn fsetstat(&self, slot: Slot, handle: &Handle, attrs: &Attrs) {
        match self.context.handles.find(handle.number()) {
            Some(Open::Write(writes)) => writes.command(writes::Command::SetAttributes(slot, attrs::set(attrs))),
            Some(Open::Read(reads)) => match reads.file() {
                Some(file) => tree::set_attributes_of_open(&self.context, slot, file, attrs),
                None => slot.status(StatusCode::Failure, NOT_OPEN),
            },
            Some(Open::Directory(directory)) => {
                tree::set_attributes_of_directory(&self.context, slot, directory.path().clone(), attrs);
            }
            Some(Open::Update(_)) if attrs::are_kept(attrs) => match self.upload(handle) {
                Ok(writes) => writes.command(writes::Command::SetAttributes(slot, attrs::set(attrs))),
                Err((code, sentence)) => slot.status(code, sentence),
            },
            // The request changes only the owner, not the file.
            Some(Open::Update(_)) => slot.done(attrs::set(attrs).check_owner()),
            None => slot.status(StatusCode::Failure, NOT_OPEN),
        }
    }

    fn readdir(&self, slot: Slot, handle: &Handle) {
        match self.context.handles.find(handle.number()) {
            Some(Open::Directory(directory)) => directory.command(directories::Command::Read(slot)),
            Some(Open::Read(_) | Open::Update(_) | Open::Write(_)) => {
                slot.status(StatusCode::Failure, "this handle is no directory");
            }
            None => slot.status(StatusCode::Failure, NOT_OPEN),
        }
    }
}
