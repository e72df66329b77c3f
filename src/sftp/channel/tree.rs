//! Requests on paths: each parses its path, takes a ticket in the order, and runs in a task of its own.

use super::{
    attrs,
    context::Context,
    order::{Claim, Ticket},
    pending_closes::Barrier,
    slot::Slot,
    writes,
};
use crate::{
    name::VirtualPath,
    session::TreeChange,
    sftp::wire::{Attrs, Name, Reply, StatusCode},
    vfs::{Error, ReadHandle, Replace, Result, ends_in_dots, names_a_directory},
};
use bytes::Bytes;
use std::{sync::Arc, time::Duration};
use tokio::{sync::SemaphorePermit, time::sleep};

/// The delay by which a CLOSE may arrive after a request that was sent beside it. sshfs answers a program before it
/// sends the CLOSE, and sends the program's next request from another thread.
const BESIDE: Duration = Duration::from_millis(200);

const ANOTHER_FILE: &str = "the last upload of this file failed, and what is there is another one: upload it anew";

const NOT_BY_DOTS: &str = "nothing is removed or renamed under the name `.` or `..`";

/// STAT and LSTAT.
pub fn stat(context: &Arc<Context>, slot: Slot, raw: &Bytes) {
    match parse(context, slot, "STAT", raw) {
        Some((slot, path)) if names_a_directory(raw) => stat_directory(context, slot, path),
        Some((slot, path)) => stat_path(context, slot, path),
        None => {}
    }
}

/// STAT of a directory, even if a file has the same name.
pub fn stat_directory(context: &Arc<Context>, slot: Slot, path: VirtualPath) {
    let ticket = context.order.enter(Claim::Look, vec![path.clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        let result = mine.tree.vfs().stat_directory(&path).await;
        if let Err(error) = &result {
            mine.tree.note("STAT", &path, error);
        }
        slot.metadata(result);
    });
}

/// FSTAT of a file that is open for reading. Waits for earlier requests that set its attributes.
pub fn stat_open(context: &Arc<Context>, slot: Slot, file: Arc<ReadHandle>) {
    let ticket = context.order.enter(Claim::Look, vec![file.path().clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        slot.metadata(Ok(file.metadata()));
    });
}

/// Refuses an OPEN for reading of a path in a directory's form.
pub fn refuse_directory(context: &Arc<Context>, slot: Slot, path: VirtualPath) {
    let ticket = context.order.enter(Claim::Look, vec![path.clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        let error = mine.tree.vfs().refuse_directory(&path).await;
        mine.tree.note("OPEN", &path, &error);
        slot.fail(&error);
    });
}

/// STAT of a parsed path.
pub fn stat_path(context: &Arc<Context>, slot: Slot, path: VirtualPath) {
    if let Some(written) = context.written(Claim::Look, &path) {
        return written.command(writes::Command::StatPath(slot));
    }
    let ticket = context.order.enter(Claim::Look, vec![path.clone()]);
    let mine = Arc::clone(context);
    context.run_while_wanted(async move {
        let _turn = turn(&mine, ticket).await;
        let result = mine.tree.vfs().stat(&path).await;
        match &result {
            Ok(found) if mine.tree.vfs().looks_like_failed_upload(&path, found.size).await => {
                return slot.status(StatusCode::Failure, ANOTHER_FILE);
            }
            Ok(_) => {}
            Err(error) => mine.tree.note("STAT", &path, error),
        }
        slot.metadata(result);
    });
}

/// SETSTAT and lsetstat.
pub fn set_attributes(context: &Arc<Context>, slot: Slot, raw: &Bytes, attrs: &Attrs) {
    match parse(context, slot, "SETSTAT", raw) {
        Some((slot, path)) if names_a_directory(raw) => set_attributes_of_directory(context, slot, path, attrs),
        Some((slot, path)) => set_attributes_of(context, slot, path, attrs),
        None => {}
    }
}

/// SETSTAT of a directory, even if a file has the same name.
pub fn set_attributes_of_directory(context: &Arc<Context>, slot: Slot, path: VirtualPath, attrs: &Attrs) {
    change(context, slot, path, TreeChange::SetDirectoryAttributes(attrs::set(attrs)));
}

/// FSETSTAT of a file that is open for reading.
pub fn set_attributes_of_open(context: &Arc<Context>, slot: Slot, file: Arc<ReadHandle>, attrs: &Attrs) {
    change(context, slot, file.path().clone(), TreeChange::SetOpenAttributes(file, attrs::set(attrs)));
}

/// SETSTAT of a parsed path.
pub fn set_attributes_of(context: &Arc<Context>, slot: Slot, path: VirtualPath, attrs: &Attrs) {
    if attrs.size.is_some() {
        context.begin_update_of(&path);
    }
    if let Some(written) = context.written(Claim::Change, &path) {
        return written.command(writes::Command::SetPathAttributes(slot, attrs::set(attrs)));
    }
    change(context, slot, path, TreeChange::SetAttributes(attrs::set(attrs)));
}

/// REMOVE.
pub fn remove(context: &Arc<Context>, slot: Slot, raw: &Bytes) {
    if let Some((slot, path)) = parse(context, slot, "REMOVE", raw) {
        let work = if names_a_directory(raw) { TreeChange::RemoveDirectory } else { TreeChange::Remove };
        change(context, slot, path, work);
    }
}

/// MKDIR.
pub fn mkdir(context: &Arc<Context>, slot: Slot, raw: &Bytes, attrs: &Attrs) {
    if let Some((slot, path)) = parse(context, slot, "MKDIR", raw) {
        change(context, slot, path, TreeChange::Mkdir(attrs::new(attrs)));
    }
}

/// RMDIR.
pub fn rmdir(context: &Arc<Context>, slot: Slot, raw: &Bytes) {
    if ends_in_dots(raw) {
        return slot.status(StatusCode::Failure, NOT_BY_DOTS);
    }
    if let Some((slot, path)) = parse(context, slot, "RMDIR", raw) {
        change(context, slot, path, TreeChange::Rmdir);
    }
}

/// RENAME and posix-rename.
pub fn rename(context: &Arc<Context>, slot: Slot, source: &Bytes, target: &Bytes, replace: Replace) {
    if ends_in_dots(source) || ends_in_dots(target) {
        return slot.status(StatusCode::Failure, NOT_BY_DOTS);
    }
    let of_directory = names_a_directory(source) || names_a_directory(target);
    if let Some((slot, source)) = parse(context, slot, "RENAME", source)
        && let Some((slot, target)) = parse(context, slot, "RENAME", target)
    {
        let work = if of_directory { TreeChange::RenameDirectory } else { TreeChange::Rename };
        change(context, slot, source, work(target, replace));
    }
}

/// REALPATH. It is lexical, so it also answers for a path that doesn't exist yet.
pub fn realpath(context: &Arc<Context>, slot: Slot, raw: &Bytes) {
    if let Some((slot, path)) = parse(context, slot, "REALPATH", raw) {
        answer_path(slot, &path);
    }
}

/// expand-path@openssh.com: REALPATH that expands `~`, `~/…` and the user's own `~name/…`. Today's `scp` sends it.
pub fn expand_path(context: &Arc<Context>, slot: Slot, raw: &Bytes) {
    let (first, below) = raw.split_at(raw.iter().position(|byte| *byte == b'/').unwrap_or(raw.len()));
    match first.strip_prefix(b"~") {
        Some(user) if user.is_empty() || user == context.tree.who().user.as_str().as_bytes() => {
            realpath(context, slot, &raw.slice_ref(below.strip_prefix(b"/").unwrap_or_default()));
        }
        Some(_) => slot.status(StatusCode::Failure, "only your own home directory is known here"),
        None => realpath(context, slot, raw),
    }
}

/// home-directory: answers with the landing directory, for the user itself only.
pub fn home_directory(context: &Arc<Context>, slot: Slot, user: &Bytes) {
    if user.is_empty() || user == context.tree.who().user.as_str().as_bytes() {
        answer_path(slot, context.tree.vfs().landing());
    } else {
        slot.status(StatusCode::Failure, "only your own home directory is known here");
    }
}

fn answer_path(slot: Slot, path: &VirtualPath) {
    let path = Bytes::copy_from_slice(path.as_str().as_bytes());
    let name = Name { filename: path.clone(), longname: path, attrs: Attrs::default() };
    slot.answer(|id| Reply::Name { id, names: vec![name] });
}

/// Runs a change in its turn and to its end: a half-done rename is useless.
fn change(context: &Arc<Context>, slot: Slot, path: VirtualPath, work: TreeChange) {
    let paths: Vec<_> = std::iter::once(&path).chain(work.target()).cloned().collect();
    let ticket = context.order.enter(Claim::Change, paths.clone());
    let barrier = if work.changes_names() { context.barrier(&path) } else { Barrier::default() };
    let mine = Arc::clone(context);
    context.run(async move {
        let turn = turn_behind(&mine, ticket, barrier).await;
        let pending = mine.tree.begin_change(&work, &path);
        let mut result = match turn {
            Ok(_turn) => pending.apply().await,
            Err(error) => Err(error),
        };
        if let Err(Error::NotFound) = result
            && mine.tree.vfs().is_uploading(&path)
        {
            let _turn = behind_a_close(&mine, Claim::Change, paths).await;
            result = pending.apply().await;
        }
        pending.finish(&result);
        slot.done(result);
    });
}

/// A request's turn: its ticket in the order, and one of the channel's permits to run.
pub struct Turn<'a> {
    _running: Option<SemaphorePermit<'a>>,
    _ticket: Ticket,
}

/// Waits for the request's turn.
pub async fn turn(context: &Context, mut ticket: Ticket) -> Turn<'_> {
    ticket.turn().await;
    Turn { _running: context.running.acquire().await.ok(), _ticket: ticket }
}

/// Waits for the turn of a request that creates or removes a name. It holds no permit to run while it waits for earlier
/// CLOSEs.
async fn turn_behind(context: &Context, mut ticket: Ticket, barrier: Barrier) -> Result<Turn<'_>> {
    ticket.turn().await;
    barrier.passed().await?;
    Ok(turn(context, ticket).await)
}

/// Returns a later turn, for a request on a file that the session is uploading. The client may have sent its CLOSE
/// beside the request.
pub async fn behind_a_close(context: &Context, claim: Claim, paths: Vec<VirtualPath>) -> Turn<'_> {
    sleep(BESIDE).await;
    turn(context, context.order.enter(claim, paths)).await
}

/// Parses the client's path. Returns `None` after it has answered with an error.
pub fn parse(context: &Context, slot: Slot, request: &'static str, raw: &Bytes) -> Option<(Slot, VirtualPath)> {
    match context.tree.vfs().path(raw) {
        Ok(path) => Some((slot, path)),
        Err(error) => {
            context.tree.note_raw(request, raw, &error);
            slot.fail(&error);
            None
        }
    }
}
