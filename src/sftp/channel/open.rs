//! OPEN and OPENDIR: opens a path and starts the handle's task.

use super::{
    attrs,
    context::ChannelContext,
    directories::DirectoryReads,
    handles::OpenHandle,
    pending_closes::Barrier,
    pending_reply::PendingReply,
    reads::Reads,
    request_order::PathAccess,
    tree::{self, Turn, behind_a_close, parse, turn},
    updates::Updates,
    writes::Writes,
};
use crate::{
    name::VirtualPath,
    session::{self, Outcome, Transfer},
    sftp::wire::{Attrs, Handle, OpenFlags, Reply, StatusCode},
    vfs::{
        Created, Error, NewAttributes, OpenedUpdate, ReadHandle, Result, Unsupported, WriteOptions, names_a_directory,
    },
};
use bytes::Bytes;
use std::sync::Arc;

/// OPEN, for reading or writing.
pub(crate) fn open(
    context: &Arc<ChannelContext>,
    pending_reply: PendingReply,
    raw: &Bytes,
    flags: OpenFlags,
    attrs: &Attrs,
) {
    let Some((pending_reply, path)) = parse(context, pending_reply, "OPEN", raw) else { return };
    let what = What::of(flags, attrs);
    if names_a_directory(raw) {
        return match what {
            What::Read => tree::refuse_directory(context, pending_reply, path),
            // Opening the file of that name would be wrong: `scp file host:new/` would create a file `new` and report
            // success.
            What::Create { .. } | What::Write(..) | What::Directory => pending_reply.fail(&Error::IsDirectory),
        };
    }
    begin(context, pending_reply, path, what);
}

/// OPENDIR.
pub(crate) fn open_directory(context: &Arc<ChannelContext>, pending_reply: PendingReply, raw: &Bytes) {
    if let Some((pending_reply, path)) = parse(context, pending_reply, "OPENDIR", raw) {
        begin(context, pending_reply, path, What::Directory);
    }
}

enum What {
    Read,
    /// The request reads an existing file, or creates an empty one.
    Create {
        exclusive: bool,
        attributes: NewAttributes,
    },
    Write(WriteOptions, NewAttributes),
    Directory,
}

impl What {
    /// Returns the meaning of the flags, as in open(2). EXCL without CREAT and bits outside version 3 mean nothing.
    fn of(flags: OpenFlags, attrs: &Attrs) -> Self {
        let has = |flag| flags.contains(flag);
        let options = WriteOptions {
            // Flags for neither reading nor writing mean reading.
            read: has(OpenFlags::READ) || !has(OpenFlags::WRITE) && !has(OpenFlags::APPEND),
            write: has(OpenFlags::WRITE) || has(OpenFlags::APPEND),
            create: has(OpenFlags::CREATE),
            truncate: has(OpenFlags::TRUNCATE),
            exclusive: has(OpenFlags::EXCLUSIVE),
            append: has(OpenFlags::APPEND),
        };
        match options {
            WriteOptions { write: true, .. } | WriteOptions { truncate: true, .. } => {
                Self::Write(options, attrs::new(attrs))
            }
            WriteOptions { create: true, exclusive, .. } => Self::Create { exclusive, attributes: attrs::new(attrs) },
            _ => Self::Read,
        }
    }

    /// Returns the barrier for the name that the request creates, now or at its own CLOSE.
    fn barrier(&self, context: &ChannelContext, path: &VirtualPath) -> Barrier {
        match self {
            Self::Create { .. } => context.barrier(path),
            Self::Write(..) => context.barrier_of_open(path),
            Self::Read | Self::Directory => Barrier::default(),
        }
    }

    fn request(&self) -> &'static str {
        match self {
            Self::Read | Self::Create { .. } | Self::Write(..) => "OPEN",
            Self::Directory => "OPENDIR",
        }
    }

    /// An upload is visible from its OPEN on, so a STAT right behind it must not overtake. sshfs sends one.
    fn access(&self) -> PathAccess {
        match self {
            Self::Read | Self::Directory => PathAccess::Look,
            Self::Create { .. } | Self::Write(..) => PathAccess::Change,
        }
    }
}

fn begin(context: &Arc<ChannelContext>, pending_reply: PendingReply, path: VirtualPath, what: What) {
    let Some(place) = HandleReservation::reserve(context) else {
        return pending_reply.status(StatusCode::Failure, "too many open handles: close some first");
    };
    let ticket = context.order.enter(what.access(), vec![path.clone()]);
    let barrier = what.barrier(context, &path);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let mut turn = turn(&mine, ticket).await;
        // A READ must return the bytes that were written before it.
        if let What::Read | What::Create { .. } = what
            && mine.tree.vfs().is_uploading(&path)
        {
            drop(turn);
            turn = behind_a_close(&mine, what.access(), vec![path.clone()]).await;
        }
        let opened = match &what {
            What::Read => {
                mine.tree.vfs().open_read(&path).await.map(|handle| OpenHandle::Read(Reads::start(&mine, handle)))
            }
            What::Create { exclusive, attributes } => {
                let handle = Box::pin(create(&mine, &path, (*exclusive, *attributes), turn, barrier)).await;
                handle.map(|handle| OpenHandle::Read(Reads::start(&mine, handle)))
            }
            What::Directory => {
                let handle = mine.tree.vfs().open_directory(&path).await;
                handle.map(|handle| OpenHandle::Directory(DirectoryReads::start(&mine, handle)))
            }
            What::Write(options, attributes) => {
                let mut opened = mine.tree.vfs().open_update(&path, *options, *attributes).await;
                // This OPEN waits for memory, and the CLOSE that frees it may come later in the order.
                drop(turn);
                if let Err(Error::Unsupported(Unsupported::SecondWriter)) = opened {
                    let _turn = behind_a_close(&mine, what.access(), vec![path.clone()]).await;
                    opened = mine.tree.vfs().open_update(&path, *options, *attributes).await;
                }
                admit(&mine, opened, barrier).await
            }
        };
        match opened {
            Ok(open) => pending_reply.answer(|id| Reply::Handle { id, handle: Handle::from(place.fill(open)) }),
            Err(error) => {
                mine.tree.note(what.request(), &path, &error);
                pending_reply.fail(&error);
            }
        }
    });
}

async fn create(
    context: &Arc<ChannelContext>,
    path: &VirtualPath,
    (exclusive, attributes): (bool, NewAttributes),
    turn: Turn<'_>,
    barrier: Barrier,
) -> Result<ReadHandle> {
    let pending = match context.tree.vfs().open_create(path, exclusive, attributes).await? {
        Created::Found(handle) => return Ok(handle),
        Created::Missing(pending) => pending,
    };
    // The ticket is released here as for an upload.
    drop(turn);
    // This OPEN also acts as the file's CLOSE.
    barrier.passed().await?;
    context.tree.vfs().forget_failed_upload(path).await;
    let file = context.tree.begin_transfer(path, Transfer::Upload, None);
    match pending.make_empty(context.settings.upload_wait).await {
        Err(Error::AlreadyExists) if !exclusive => {
            file.fail(Outcome::Refused(Error::AlreadyExists.to_string()));
            context.tree.vfs().open_read(path).await
        }
        made => {
            match &made {
                Ok((_, published)) => file.done(0, published.as_ref()),
                Err(error) => file.fail(session::outcome(error)),
            }
            made.map(|(handle, _)| handle)
        }
    }
}

async fn admit(context: &Arc<ChannelContext>, opened: Result<OpenedUpdate>, barrier: Barrier) -> Result<OpenHandle> {
    match opened? {
        OpenedUpdate::Unchanged(handle, update) => {
            Ok(OpenHandle::Update(Updates::start(context, handle, update, barrier)))
        }
        OpenedUpdate::Upload(pending) => {
            let handle = pending.admit(context.settings.upload_wait).await?;
            Ok(OpenHandle::Write(Writes::start(context, handle, barrier)))
        }
    }
}

/// A reserved place in the table of handles. It is released on drop unless it was filled.
struct HandleReservation {
    context: Arc<ChannelContext>,
    filled: bool,
}

impl HandleReservation {
    fn reserve(context: &Arc<ChannelContext>) -> Option<Self> {
        context.handles.reserve().then(|| Self { context: Arc::clone(context), filled: false })
    }

    fn fill(mut self, open: OpenHandle) -> u32 {
        self.filled = true;
        self.context.handles.fill(open)
    }
}

impl Drop for HandleReservation {
    fn drop(&mut self) {
        if !self.filled {
            self.context.handles.release();
        }
    }
}
