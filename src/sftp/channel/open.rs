//! OPEN and OPENDIR: opens a path and starts the handle's task.

use super::{
    attrs,
    context::ChannelContext,
    directories::DirectoryReads,
    handles::{Handles, OpenHandle},
    pending_closes::Barrier,
    pending_reply::PendingReply,
    reads::Reads,
    request_order::PathAccess,
    tree::{self, Turn, behind_a_close, parse, turn},
    updates::Updates,
    writes::Writes,
};
use crate::{
    name::{VirtualPath, names_a_directory},
    session::{CountRefusal, WriteOpening},
    sftp::wire::{Attrs, Handle, OpenFlags, Reply, StatusCode},
    vfs::{Error, NewAttributes, Result, WriteOptions},
};
use bytes::Bytes;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// OPEN, for reading or writing.
pub(crate) fn open(
    context: &Arc<ChannelContext>,
    handles: &Arc<Handles>,
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
    begin(context, handles, pending_reply, path, what);
}

/// OPENDIR.
pub(crate) fn open_directory(
    context: &Arc<ChannelContext>,
    handles: &Arc<Handles>,
    pending_reply: PendingReply,
    raw: &Bytes,
) {
    if let Some((pending_reply, path)) = parse(context, pending_reply, "OPENDIR", raw) {
        begin(context, handles, pending_reply, path, What::Directory);
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

    /// An upload is visible from its OPEN on, so a STAT right behind it must not overtake. sshfs sends one.
    fn access(&self) -> PathAccess {
        match self {
            Self::Read | Self::Directory => PathAccess::Look,
            Self::Create { .. } | Self::Write(..) => PathAccess::Change,
        }
    }
}

fn begin(
    context: &Arc<ChannelContext>,
    handles: &Arc<Handles>,
    pending_reply: PendingReply,
    path: VirtualPath,
    what: What,
) {
    let permit = match handles.permit() {
        Ok(permit) => permit,
        Err(refusal) => return pending_reply.status(StatusCode::Failure, too_many_handles(refusal)),
    };
    let ticket = context.order.enter(what.access(), vec![path.clone()]);
    let barrier = what.barrier(context, &path);
    let (mine, handles) = (Arc::clone(context), Arc::clone(handles));
    let begun = Arc::new(AtomicBool::new(false));
    let creates = Arc::clone(&begun);
    context.run_once_begun(begun, async move {
        let turn = turn(&mine, ticket).await;
        // On the heap, so that a request that waits for its turn takes little memory.
        let opened = Box::pin(open_in_turn(&mine, turn, &path, what, barrier, &creates)).await;
        match opened {
            Ok(open) => {
                pending_reply.answer(|id| Reply::Handle { id, handle: Handle::from(handles.insert(open, permit)) });
            }
            Err(error) => {
                // Before the reply, so that the client has room for another OPEN when it reads it.
                drop(permit);
                pending_reply.fail(&error);
            }
        }
    });
}

/// Opens `path`. Sets `creates` when the request must no longer be cancelled.
async fn open_in_turn<'a>(
    context: &'a Arc<ChannelContext>,
    mut turn: Turn<'a>,
    path: &VirtualPath,
    what: What,
    barrier: Barrier,
    creates: &AtomicBool,
) -> Result<OpenHandle> {
    // A READ must return the bytes that were written before it.
    if let What::Read | What::Create { .. } = what
        && context.tree.is_uploading(path)
    {
        drop(turn);
        turn = behind_a_close(context, what.access(), vec![path.clone()]).await;
    }
    match &what {
        What::Read => context.tree.open_read(path).await.map(|file| OpenHandle::Read(Reads::start(context, file))),
        What::Create { exclusive, attributes } => {
            // The turn ends as for an upload. This OPEN also acts as the file's CLOSE.
            let turn = async {
                drop(turn);
                barrier.passed().await?;
                // S3 may store the file from here on, so the record needs its answer.
                creates.store(true, Ordering::Relaxed);
                Ok(())
            };
            let (new, upload_wait) = ((*exclusive, *attributes), context.settings.upload_wait);
            let file = context.tree.open_create(path, new, turn, upload_wait).await;
            file.map(|file| OpenHandle::Read(Reads::start(context, file)))
        }
        What::Directory => {
            let directory = context.tree.open_directory(path).await;
            directory.map(|directory| OpenHandle::Directory(DirectoryReads::start(context, directory)))
        }
        What::Write(options, attributes) => {
            // This OPEN waits for memory, and the CLOSE that frees it may come later in the order. So the turn ends
            // before.
            let later = async {
                drop(turn);
                behind_a_close(context, what.access(), vec![path.clone()]).await
            };
            match context.tree.open_write(path, *options, *attributes, later).await {
                Ok(opened) => admit(context, opened, barrier).await,
                Err(error) => Err(error),
            }
        }
    }
}

async fn admit(context: &Arc<ChannelContext>, opened: WriteOpening, barrier: Barrier) -> Result<OpenHandle> {
    match opened {
        WriteOpening::Unchanged(download, file) => {
            Ok(OpenHandle::Update(Updates::start(context, download, file, barrier)))
        }
        WriteOpening::Upload(pending) => {
            let upload = pending.admit(context.settings.upload_wait).await?;
            Ok(OpenHandle::Write(Writes::start(context, upload, barrier)))
        }
    }
}

/// Returns the sentence for the client of an OPEN that is refused.
const fn too_many_handles(refusal: CountRefusal) -> &'static str {
    match refusal {
        CountRefusal::Connection => "too many open handles: close some first",
        CountRefusal::Tenant => "too many open handles in all sessions of the tenant: close some first",
    }
}
