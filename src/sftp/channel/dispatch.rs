//! The dispatch table: every request of version 3 and its destination.
//!
//! Only a WRITE waits here, for its tenant's rate and its memory. A request on a handle goes to the handle's task. A
//! request on a path takes a ticket in the order and gets a task of its own.

use super::{
    attrs,
    copies::PendingCopy,
    directories,
    ended::Ended,
    handles::OpenHandle,
    inbound::Inbound,
    open,
    pending_reply::PendingReply,
    read_queue::{self, ReadRequest},
    reads::Reads,
    request_order::PathAccess,
    tree,
    writes::{self, NamedBy, Writes},
};
use crate::{
    session::MAX_HANDLES,
    sftp::wire::{Attrs, CopyData, Extended, Handle, Reply, Request, ServerLimits, StatusCode},
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
                open::open(&self.context, &self.handles, self.accept(id)?, &path, flags, &attrs);
            }
            Request::OpenDir { id, path } => {
                open::open_directory(&self.context, &self.handles, self.accept(id)?, &path);
            }
            // The server has no links, so STAT and LSTAT are the same.
            Request::Stat { id, path } | Request::Lstat { id, path } => {
                tree::stat(&self.context, &self.handles, self.accept(id)?, &path);
            }
            Request::SetStat { id, path, attrs } => {
                tree::set_attributes(&self.context, &self.handles, self.accept(id)?, &path, &attrs);
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

    fn extended(&self, pending_reply: PendingReply, request: &Extended) {
        match request {
            Extended::Limits => {
                let data = ServerLimits::new(MAX_HANDLES as u64).encode();
                pending_reply.answer(|id| Reply::ExtendedReply { id, data });
            }
            Extended::PosixRename { source, target } => {
                tree::rename(&self.context, pending_reply, source, target, Replace::Yes);
            }
            Extended::LsetStat { path, attrs } => {
                tree::set_attributes(&self.context, &self.handles, pending_reply, path, attrs);
            }
            Extended::ExpandPath { path } => tree::expand_path(&self.context, pending_reply, path),
            Extended::HomeDirectory { user } => tree::home_directory(&self.context, pending_reply, user),
            Extended::CopyData(copy) => self.copy(pending_reply, copy),
            Extended::Unknown(_) => {
                pending_reply.status(StatusCode::OpUnsupported, "this server does not have that extension");
            }
        }
    }

    fn accept(&self, id: u32) -> Result<PendingReply, Ended> {
        PendingReply::accept(id, &self.context.replies)
    }

    fn read(&mut self, id: u32, handle: &Handle, offset: u64, length: u32) -> Result<(), Ended> {
        match self.handles.find(handle.number()) {
            Some(OpenHandle::Read(reads)) => reads.read(ReadRequest { id, offset, length }),
            Some(OpenHandle::Update(updates)) => updates.reads().read(ReadRequest { id, offset, length }),
            Some(OpenHandle::Write(writes)) => {
                writes.command(writes::WriteCommand::Read { pending_reply: self.accept(id)?, offset, length });
                Ok(())
            }
            // A client's prefetch may continue after its CLOSE, so any number of READs must be harmless here.
            Some(OpenHandle::Directory(_)) | None => {
                let context = &self.context;
                self.refusing.get_or_insert_with(|| Reads::start_refusing(context)).read(ReadRequest {
                    id,
                    offset,
                    length,
                })
            }
        }
    }

    async fn write(&mut self, id: u32, handle: &Handle, offset: u64, data: Bytes) -> Result<(), Ended> {
        let pending_reply = PendingReply::accept_uncounted(id, &self.context.replies)?;
        match self.upload(handle) {
            Ok(writes) => {
                if self.context.replies.paces_uploads() {
                    self.context.replies.pace_upload(data.len(), self.paced_until).await;
                }
                let charges = (self.frame_charge.take(), self.of_connection.take());
                let load = self.context.write_brake.admit(data.len(), charges, writes.waiting()).await?;
                writes.command(writes::WriteCommand::Write { pending_reply, offset, data, load });
            }
            Err((code, sentence)) => pending_reply.status(code, sentence),
        }
        Ok(())
    }

    fn copy(&self, pending_reply: PendingReply, copy: &CopyData) {
        match self.upload(&copy.target) {
            Ok(writes) => {
                let source = match self.handles.find(copy.source.number()) {
                    Some(OpenHandle::Read(reads)) => reads.file(),
                    Some(OpenHandle::Update(_) | OpenHandle::Write(_) | OpenHandle::Directory(_)) | None => None,
                };
                let pending_copy = PendingCopy::new(&self.context, source, copy);
                writes.command(writes::WriteCommand::Copy(pending_reply, pending_copy));
            }
            Err((code, sentence)) => pending_reply.status(code, sentence),
        }
    }

    /// Returns the task of the upload that a request changes. Begins the upload if the client has only read the file so
    /// far.
    fn upload(&self, handle: &Handle) -> Result<Writes, (StatusCode, &'static str)> {
        let Some(number) = handle.number() else { return Err((StatusCode::Failure, NOT_OPEN)) };
        match self.handles.find(Some(number)) {
            Some(OpenHandle::Write(writes)) => Ok(writes),
            Some(OpenHandle::Update(updates)) => Ok(self.handles.begin_update(&self.context, number, &updates)),
            Some(OpenHandle::Read(_)) => Err((StatusCode::PermissionDenied, NOT_FOR_WRITING)),
            Some(OpenHandle::Directory(_)) | None => Err((StatusCode::Failure, NOT_OPEN)),
        }
    }

    fn close(&self, pending_reply: PendingReply, handle: &Handle) {
        match self.handles.take(handle.number()) {
            Some(OpenHandle::Read(reads)) => reads.command(read_queue::ReadCommand::Close(pending_reply)),
            Some(OpenHandle::Update(updates)) => updates.reads().command(read_queue::ReadCommand::Close(pending_reply)),
            Some(OpenHandle::Write(writes)) => {
                let path = writes.path().current();
                let pending = self.context.pending_close(&path);
                let ticket = self.context.order.enter_close(path);
                writes.command(writes::WriteCommand::Close(writes::Close { pending_reply, ticket, pending }));
            }
            Some(OpenHandle::Directory(directory)) => {
                directory.command(directories::DirectoryCommand::Close(pending_reply));
            }
            None => pending_reply.status(StatusCode::Failure, NOT_OPEN),
        }
    }

    fn fstat(&self, pending_reply: PendingReply, handle: &Handle) {
        match self.handles.find(handle.number()) {
            Some(OpenHandle::Read(reads)) => match reads.file() {
                Some(file) if !self.context.order.is_free(PathAccess::Look, file.path()) => {
                    tree::stat_open(&self.context, pending_reply, file);
                }
                _ => reads.command(read_queue::ReadCommand::Stat(pending_reply)),
            },
            Some(OpenHandle::Update(updates)) => updates.reads().command(read_queue::ReadCommand::Stat(pending_reply)),
            Some(OpenHandle::Write(writes)) => {
                writes.command(writes::WriteCommand::Stat(pending_reply, NamedBy::Handle));
            }
            Some(OpenHandle::Directory(directory)) => {
                tree::stat_directory(&self.context, pending_reply, directory.path().clone());
            }
            None => pending_reply.status(StatusCode::Failure, NOT_OPEN),
        }
    }

    fn fsetstat(&self, pending_reply: PendingReply, handle: &Handle, attrs: &Attrs) {
        match self.handles.find(handle.number()) {
            Some(OpenHandle::Write(writes)) => {
                writes.command(writes::WriteCommand::SetAttributes(pending_reply, NamedBy::Handle, attrs::set(attrs)));
            }
            Some(OpenHandle::Read(reads)) => match reads.file() {
                Some(file) => tree::set_attributes_of_open(&self.context, pending_reply, file, attrs),
                None => pending_reply.status(StatusCode::Failure, NOT_OPEN),
            },
            Some(OpenHandle::Directory(directory)) => {
                tree::set_attributes_of_directory(&self.context, pending_reply, directory.path().clone(), attrs);
            }
            Some(OpenHandle::Update(_)) if attrs::has_effect(attrs) => match self.upload(handle) {
                Ok(writes) => writes.command(writes::WriteCommand::SetAttributes(
                    pending_reply,
                    NamedBy::Handle,
                    attrs::set(attrs),
                )),
                Err((code, sentence)) => pending_reply.status(code, sentence),
            },
            // The request changes only the owner, not the file.
            Some(OpenHandle::Update(_)) => pending_reply.done(attrs::set(attrs).check_owner()),
            None => pending_reply.status(StatusCode::Failure, NOT_OPEN),
        }
    }

    fn readdir(&self, pending_reply: PendingReply, handle: &Handle) {
        match self.handles.find(handle.number()) {
            Some(OpenHandle::Directory(directory)) => {
                directory.command(directories::DirectoryCommand::Read(pending_reply));
            }
            Some(OpenHandle::Read(_) | OpenHandle::Update(_) | OpenHandle::Write(_)) => {
                pending_reply.status(StatusCode::Failure, "this handle is no directory");
            }
            None => pending_reply.status(StatusCode::Failure, NOT_OPEN),
        }
    }
}
