//! Requests on paths: each parses its path, takes a ticket in the order, and runs in a task of its own.

use super::{
    attrs,
    context::ChannelContext,
    handles::Handles,
    pending_closes::Barrier,
    pending_reply::PendingReply,
    request_order::{OrderTicket, PathAccess},
    writes::{NamedBy, WriteCommand},
};
use crate::{
    name::{TenantName, VirtualPath, ends_in_dots, names_a_directory},
    session::{ReadableFile, TreeChange},
    sftp::wire::{Attrs, NameEntry, Reply, StatusCode},
    shares::RunningRequest,
    vfs::{Replace, Result},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{sync::SemaphorePermit, time::timeout};

/// The delay by which a CLOSE may arrive after a request that was sent beside it. sshfs answers a program before it
/// sends the CLOSE, and sends the program's next request from another thread.
const BESIDE: Duration = Duration::from_millis(200);

const ANOTHER_FILE: &str = "the last upload of this file failed, and what is there is another one: upload it again";

const NOT_BY_DOTS: &str = "nothing is removed or renamed under the name `.` or `..`";

/// STAT and LSTAT.
pub(crate) fn stat(context: &Arc<ChannelContext>, handles: &Handles, pending_reply: PendingReply, raw: &Bytes) {
    match parse(context, pending_reply, "STAT", raw) {
        Some((pending_reply, path)) if names_a_directory(raw) => stat_directory(context, pending_reply, path),
        Some((pending_reply, path)) => stat_path(context, handles, pending_reply, path),
        None => {}
    }
}

/// STAT of a directory, even if a file has the same name.
pub(crate) fn stat_directory(context: &Arc<ChannelContext>, pending_reply: PendingReply, path: VirtualPath) {
    let ticket = context.order.enter(PathAccess::Look, vec![path.clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        pending_reply.metadata(mine.tree.stat_directory(&path).await);
    });
}

/// FSTAT of a file that is open for reading. Waits for earlier requests that set its attributes.
pub(crate) fn stat_open(context: &Arc<ChannelContext>, pending_reply: PendingReply, file: Arc<ReadableFile>) {
    let ticket = context.order.enter(PathAccess::Look, vec![file.path().clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        pending_reply.metadata(Ok(file.metadata()));
    });
}

/// Refuses an OPEN for reading of a path in a directory's form.
pub(crate) fn refuse_directory(context: &Arc<ChannelContext>, pending_reply: PendingReply, path: VirtualPath) {
    let ticket = context.order.enter(PathAccess::Look, vec![path.clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        pending_reply.fail(&mine.tree.refuse_to_open_directory(&path).await);
    });
}

/// STAT of a parsed path.
fn stat_path(context: &Arc<ChannelContext>, handles: &Handles, pending_reply: PendingReply, path: VirtualPath) {
    if let Some(written) = handles.written(context, PathAccess::Look, &path) {
        return written.command(WriteCommand::Stat(pending_reply, NamedBy::Path));
    }
    let ticket = context.order.enter(PathAccess::Look, vec![path.clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        // On the heap, so that a request that waits for its turn takes little memory. So do the others.
        Box::pin(async {
            let result = mine.tree.stat(&path).await;
            if let Ok(found) = &result
                && mine.tree.looks_like_failed_upload(&path, found.size).await
            {
                return pending_reply.status(StatusCode::Failure, ANOTHER_FILE);
            }
            pending_reply.metadata(result);
        })
        .await;
    });
}

/// SETSTAT and lsetstat.
pub(crate) fn set_attributes(
    context: &Arc<ChannelContext>,
    handles: &Handles,
    pending_reply: PendingReply,
    raw: &Bytes,
    attrs: &Attrs,
) {
    match parse(context, pending_reply, "SETSTAT", raw) {
        Some((pending_reply, path)) if names_a_directory(raw) => {
            set_attributes_of_directory(context, pending_reply, path, attrs);
        }
        Some((pending_reply, path)) => set_attributes_of(context, handles, pending_reply, path, attrs),
        None => {}
    }
}

/// SETSTAT of a directory, even if a file has the same name.
pub(crate) fn set_attributes_of_directory(
    context: &Arc<ChannelContext>,
    pending_reply: PendingReply,
    path: VirtualPath,
    attrs: &Attrs,
) {
    change(context, pending_reply, path, TreeChange::SetDirectoryAttributes(attrs::set(attrs)));
}

/// FSETSTAT of a file that is open for reading.
pub(crate) fn set_attributes_of_open(
    context: &Arc<ChannelContext>,
    pending_reply: PendingReply,
    file: Arc<ReadableFile>,
    attrs: &Attrs,
) {
    change(context, pending_reply, file.path().clone(), TreeChange::SetOpenAttributes(file, attrs::set(attrs)));
}

/// SETSTAT of a parsed path.
fn set_attributes_of(
    context: &Arc<ChannelContext>,
    handles: &Handles,
    pending_reply: PendingReply,
    path: VirtualPath,
    attrs: &Attrs,
) {
    if attrs.size.is_some() {
        handles.begin_update_of(context, &path);
    }
    // It changes the file only for its task, so it waits for changes of the path, but not for looks at it.
    if let Some(written) = handles.written(context, PathAccess::Look, &path) {
        return written.command(WriteCommand::SetAttributes(pending_reply, NamedBy::Path, attrs::set(attrs)));
    }
    change(context, pending_reply, path, TreeChange::SetAttributes(attrs::set(attrs)));
}

pub(crate) fn remove(context: &Arc<ChannelContext>, pending_reply: PendingReply, raw: &Bytes) {
    if let Some((pending_reply, path)) = parse(context, pending_reply, "REMOVE", raw) {
        let work = if names_a_directory(raw) { TreeChange::RemoveDirectory } else { TreeChange::Remove };
        change(context, pending_reply, path, work);
    }
}

pub(crate) fn mkdir(context: &Arc<ChannelContext>, pending_reply: PendingReply, raw: &Bytes, attrs: &Attrs) {
    if let Some((pending_reply, path)) = parse(context, pending_reply, "MKDIR", raw) {
        change(context, pending_reply, path, TreeChange::Mkdir(attrs::new(attrs)));
    }
}

pub(crate) fn rmdir(context: &Arc<ChannelContext>, pending_reply: PendingReply, raw: &Bytes) {
    if ends_in_dots(raw) {
        return pending_reply.status(StatusCode::Failure, NOT_BY_DOTS);
    }
    if let Some((pending_reply, path)) = parse(context, pending_reply, "RMDIR", raw) {
        change(context, pending_reply, path, TreeChange::Rmdir);
    }
}

/// RENAME and posix-rename.
pub(crate) fn rename(
    context: &Arc<ChannelContext>,
    pending_reply: PendingReply,
    source: &Bytes,
    target: &Bytes,
    replace: Replace,
) {
    if ends_in_dots(source) || ends_in_dots(target) {
        return pending_reply.status(StatusCode::Failure, NOT_BY_DOTS);
    }
    let of_directory = names_a_directory(source) || names_a_directory(target);
    if let Some((pending_reply, source)) = parse(context, pending_reply, "RENAME", source)
        && let Some((pending_reply, target)) = parse(context, pending_reply, "RENAME", target)
    {
        let work = if of_directory { TreeChange::RenameDirectory } else { TreeChange::Rename };
        change(context, pending_reply, source, work(target, replace));
    }
}

/// REALPATH. It is lexical, so it also answers for a path that doesn't exist yet.
pub(crate) fn realpath(context: &Arc<ChannelContext>, pending_reply: PendingReply, raw: &Bytes) {
    if let Some((pending_reply, path)) = parse(context, pending_reply, "REALPATH", raw) {
        answer_path(pending_reply, &path);
    }
}

/// expand-path@openssh.com: REALPATH that expands `~`, `~/…` and the user's own `~name/…`. Today's `scp` sends it.
pub(crate) fn expand_path(context: &Arc<ChannelContext>, pending_reply: PendingReply, raw: &Bytes) {
    let (first, below) = raw.split_at(raw.iter().position(|byte| *byte == b'/').unwrap_or(raw.len()));
    match first.strip_prefix(b"~") {
        Some(user) if user.is_empty() || user == context.tree.who().user.as_str().as_bytes() => {
            realpath(context, pending_reply, &raw.slice_ref(below.strip_prefix(b"/").unwrap_or_default()));
        }
        Some(_) => pending_reply.status(StatusCode::Failure, "only your own home directory is known here"),
        None => realpath(context, pending_reply, raw),
    }
}

/// home-directory: answers with the landing directory, for the user itself only.
pub(crate) fn home_directory(context: &Arc<ChannelContext>, pending_reply: PendingReply, user: &Bytes) {
    if user.is_empty() || user == context.tree.who().user.as_str().as_bytes() {
        answer_path(pending_reply, &context.tree.landing());
    } else {
        pending_reply.status(StatusCode::Failure, "only your own home directory is known here");
    }
}

fn answer_path(pending_reply: PendingReply, path: &VirtualPath) {
    let path = Bytes::copy_from_slice(path.as_str().as_bytes());
    let name = NameEntry { filename: path.clone(), longname: path, attrs: Attrs::default() };
    pending_reply.answer(|id| Reply::Name { id, names: vec![name] });
}

/// Runs a change in its turn and to its end: a half-done rename is useless.
fn change(context: &Arc<ChannelContext>, pending_reply: PendingReply, path: VirtualPath, work: TreeChange) {
    let paths: Vec<_> = std::iter::once(&path).chain(work.target()).cloned().collect();
    let ticket = context.order.enter(PathAccess::Change, paths.clone());
    let barrier = if work.changes_names() { context.barrier(&path) } else { Barrier::default() };
    let mine = Arc::clone(context);
    context.run(async move {
        let result = match turn_behind(&mine, ticket, barrier).await {
            Ok(turn) => {
                let later = async {
                    drop(turn);
                    behind_a_close(&mine, PathAccess::Change, paths).await
                };
                Box::pin(mine.tree.change(&work, &path, later)).await
            }
            Err(error) => Err(mine.tree.refuse_change(&work, &path, error)),
        };
        pending_reply.done(result);
    });
}

/// A request's turn: its ticket in the order, one of the channel's permits to run, and its start in a round of the runtime.
pub(crate) struct Turn<'a> {
    _started: RunningRequest<TenantName>,
    _running: Option<SemaphorePermit<'a>>,
    _ticket: OrderTicket,
}

/// Waits for the request's turn.
pub(crate) async fn turn(context: &ChannelContext, mut ticket: OrderTicket) -> Turn<'_> {
    ticket.turn().await;
    let running = context.running.acquire().await.ok();
    Turn { _started: context.start().await, _running: running, _ticket: ticket }
}

/// Waits for the turn of a request that creates or removes a name. It holds no permit to run while it waits for earlier
/// CLOSEs.
async fn turn_behind(context: &ChannelContext, mut ticket: OrderTicket, barrier: Barrier) -> Result<Turn<'_>> {
    ticket.turn().await;
    barrier.passed().await?;
    Ok(turn(context, ticket).await)
}

/// Returns a later turn, for a request on a file that the session is uploading: the first of `paths`. The client may
/// have sent its CLOSE beside the request. A CLOSE that arrives in time comes before the request.
pub(crate) async fn behind_a_close(context: &ChannelContext, access: PathAccess, paths: Vec<VirtualPath>) -> Turn<'_> {
    if let Some(path) = paths.first() {
        let _ = timeout(BESIDE, context.tree.upload_end(path)).await;
    }
    turn(context, context.order.enter(access, paths)).await
}

/// Parses the client's path. Returns `None` after it has answered with an error.
pub(crate) fn parse(
    context: &ChannelContext,
    pending_reply: PendingReply,
    request: &'static str,
    raw: &Bytes,
) -> Option<(PendingReply, VirtualPath)> {
    match context.tree.path(request, raw) {
        Ok(path) => Some((pending_reply, path)),
        Err(error) => {
            pending_reply.fail(&error);
            None
        }
    }
}
