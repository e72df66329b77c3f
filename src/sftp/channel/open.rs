//! OPEN and OPENDIR: opens a path and starts the handle's task.

use super::{
    attrs,
    context::Context,
    directories::Directory,
    handles::Open,
    order::Claim,
    pending_closes::Barrier,
    reads::Reads,
    slot::Slot,
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
pub fn open(context: &Arc<Context>, slot: Slot, raw: &Bytes, flags: OpenFlags, attrs: &Attrs) {
    let Some((slot, path)) = parse(context, slot, "OPEN", raw) else { return };
    let what = What::of(flags, attrs);
    if names_a_directory(raw) {
        return match what {
            What::Read => tree::refuse_directory(context, slot, path),
            // Opening the file of that name would be wrong: `scp file host:new/` would create a file `new` and report
            // success.
            What::Create { .. } | What::Write(..) | What::Directory => slot.fail(&Error::IsDirectory),
        };
    }
    begin(context, slot, path, what);
}

/// OPENDIR.
pub fn open_directory(context: &Arc<Context>, slot: Slot, raw: &Bytes) {
    if let Some((slot, path)) = parse(context, slot, "OPENDIR", raw) {
        begin(context, slot, path, What::Directory);
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
    fn barrier(&self, context: &Context, path: &VirtualPath) -> Barrier {
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
    fn claim(&self) -> Claim {
        match self {
            Self::Read | Self::Directory => Claim::Look,
            Self::Create { .. } | Self::Write(..) => Claim::Change,
        }
    }
}

fn begin(context: &Arc<Context>, slot: Slot, path: VirtualPath, what: What) {
    let Some(place) = Place::reserve(context) else {
        return slot.status(StatusCode::Failure, "too many open handles: close some first");
    };
    let ticket = context.order.enter(what.claim(), vec![path.clone()]);
    let barrier = what.barrier(context, &path);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let mut turn = turn(&mine, ticket).await;
        // A READ must return the bytes that were written before it.
        if let What::Read | What::Create { .. } = what
            && mine.tree.vfs().is_uploading(&path)
        {
            drop(turn);
            turn = behind_a_close(&mine, what.claim(), vec![path.clone()]).await;
        }
        let opened = match &what {
            What::Read => mine.tree.vfs().open_read(&path).await.map(|handle| Open::Read(Reads::start(&mine, handle))),
            What::Create { exclusive, attributes } => {
                let handle = Box::pin(create(&mine, &path, (*exclusive, *attributes), turn, barrier)).await;
                handle.map(|handle| Open::Read(Reads::start(&mine, handle)))
            }
            What::Directory => {
                let handle = mine.tree.vfs().open_directory(&path).await;
                handle.map(|handle| Open::Directory(Directory::start(&mine, handle)))
            }
            What::Write(options, attributes) => {
                let mut opened = mine.tree.vfs().open_update(&path, *options, *attributes).await;
                // This OPEN waits for memory, and the CLOSE that frees it may come later in the order.
                drop(turn);
                if let Err(Error::Unsupported(Unsupported::SecondWriter)) = opened {
                    let _turn = behind_a_close(&mine, what.claim(), vec![path.clone()]).await;
                    opened = mine.tree.vfs().open_update(&path, *options, *attributes).await;
                }
                admit(&mine, opened, barrier).await
            }
        };
        match opened {
            Ok(open) => slot.answer(|id| Reply::Handle { id, handle: Handle::from(place.fill(open)) }),
            Err(error) => {
                mine.tree.note(what.request(), &path, &error);
                slot.fail(&error);
            }
        }
    });
}

async fn create(
    context: &Arc<Context>,
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

async fn admit(context: &Arc<Context>, opened: Result<OpenedUpdate>, barrier: Barrier) -> Result<Open> {
    match opened? {
        OpenedUpdate::Unchanged(handle, update) => Ok(Open::Update(Updates::start(context, handle, update, barrier))),
        OpenedUpdate::Upload(pending) => {
            let handle = pending.admit(context.settings.upload_wait).await?;
            Ok(Open::Write(Writes::start(context, handle, barrier)))
        }
    }
}

/// A reserved place in the table of handles. It is released on drop unless it was filled.
struct Place {
    context: Arc<Context>,
    filled: bool,
}

impl Place {
    fn reserve(context: &Arc<Context>) -> Option<Self> {
        context.handles.reserve().then(|| Self { context: Arc::clone(context), filled: false })
    }

    fn fill(mut self, open: Open) -> u32 {
        self.filled = true;
        self.context.handles.fill(open)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.filled {
            self.context.handles.give_up();
        }
    }
}
