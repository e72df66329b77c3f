//! An open directory: one task answers its READDIRs one after the other.

use super::{attrs, context::ChannelContext, longname::longname, pending_reply::PendingReply};
use crate::{
    clock::{Clock as _, SystemClock},
    name::VirtualPath,
    session::{OpenDirectory, SessionUser},
    sftp::wire::{NameEntry, Reply, StatusCode},
    vfs::{Entry, Result},
};
use bytes::Bytes;
use std::sync::Arc;
use time::OffsetDateTime;
use tokio::sync::mpsc;

/// The approximate size of a reply. By the draft's §3 clients must accept packets of 34,000 bytes, and no more.
const REPLY_BYTES: usize = 32 << 10;
/// The bytes of an entry on the wire without its name and long name.
const NAME_BYTES: usize = 48;

/// The sending end of an open directory's task. The task ends with the last clone.
#[derive(Clone, Debug)]
pub(crate) struct DirectoryReads {
    inbox: mpsc::UnboundedSender<DirectoryCommand>,
    path: VirtualPath,
}

/// The requests on a directory's handle. Their pending replies bound their number.
#[derive(Debug)]
pub(crate) enum DirectoryCommand {
    /// READDIR.
    Read(PendingReply),
    Close(PendingReply),
}

impl DirectoryReads {
    /// Starts the task of an open directory.
    pub(crate) fn start(context: &Arc<ChannelContext>, directory: OpenDirectory) -> Self {
        let (inbox, commands) = mpsc::unbounded_channel();
        let path = directory.path().clone();
        let listing = DirectoryTask { context: Arc::clone(context), directory };
        context.run_while_wanted(listing.serve(commands));
        Self { inbox, path }
    }

    /// Returns the path that the client opened.
    pub(crate) fn path(&self) -> &VirtualPath {
        &self.path
    }

    /// Sends a request to the task.
    pub(crate) fn command(&self, command: DirectoryCommand) {
        // The send fails only if the client is gone: otherwise the task lives as long as this end.
        let _ = self.inbox.send(command);
    }
}

struct DirectoryTask {
    context: Arc<ChannelContext>,
    directory: OpenDirectory,
}

impl DirectoryTask {
    async fn serve(mut self, mut commands: mpsc::UnboundedReceiver<DirectoryCommand>) {
        while let Some(command) = commands.recv().await {
            match command {
                DirectoryCommand::Read(pending_reply) => self.answer(pending_reply).await,
                DirectoryCommand::Close(pending_reply) => return pending_reply.done(Ok(())),
            }
        }
    }

    async fn answer(&mut self, pending_reply: PendingReply) {
        self.context.replies.pace_listing().await;
        // Before the reply has room: a page may wait for memory, and other replies need the room.
        if let Err(error) = self.directory.next(|_| false).await {
            return pending_reply.fail(&error);
        }
        #[allow(clippy::cast_possible_truncation, reason = "a constant")]
        let Ok(permit) = self.context.replies.reserve(REPLY_BYTES as u32).await else { return };
        let started = self.context.start().await;
        let names = self.names().await;
        drop(started);
        match names {
            Ok(names) if names.is_empty() => pending_reply.status(StatusCode::Eof, "end of directory"),
            Ok(names) => {
                self.context.replies.count_entries(names.len());
                pending_reply.answer_with(permit, |id| Reply::Name { id, names });
            }
            Err(error) => pending_reply.fail(&error),
        }
    }

    /// Returns the names for one reply, or none at the end of the directory.
    async fn names(&mut self) -> Result<Vec<NameEntry>> {
        let (who, now) = (self.context.tree.who(), OffsetDateTime::from(SystemClock.now()));
        let (mut names, mut bytes) = (Vec::new(), 0);
        let fill = |entry: &Entry| {
            let name = shown(entry, who, now);
            bytes += NAME_BYTES + name.filename.len() + name.longname.len();
            let fits = bytes <= REPLY_BYTES || names.is_empty();
            names.extend(fits.then_some(name));
            fits
        };
        self.directory.next(fill).await?;
        Ok(names)
    }
}

fn shown(entry: &Entry, who: &SessionUser, now: OffsetDateTime) -> NameEntry {
    let longname = longname(&entry.name, &entry.metadata, who.user.as_str(), who.tenant.as_str(), now);
    NameEntry {
        filename: Bytes::copy_from_slice(entry.name.as_bytes()),
        longname: longname.into(),
        attrs: attrs::shown(&entry.metadata),
    }
}
