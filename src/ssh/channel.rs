//! The channels of one connection, and the task that writes to each.
//!
//! Bytes to the client all go through one task per channel that owns the channel's writing half. It waits for its own
//! channel's window, so that a channel which isn't read doesn't stop the others, and it must be aborted when the
//! channel or the connection ends: nobody wakes it then.

use super::{
    connection::{Connection, Services},
    ending::EndReason,
    handler::Error,
};
use crate::{
    account::{Tenant, User},
    session::{Inbound, Outbound, Peer},
};
use russh::{ChannelId, ChannelWriteHalf, server::Msg};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::{task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

/// Channels that may be open at a time.
const MAX_CHANNELS: usize = 10;

/// Channels that a connection may leave for us to close. russh keeps a little of each until the connection ends.
const MAX_LEFT_OPEN: usize = 100;

/// A client that takes none of [`PIECE_BYTES`] in this time has stopped reading.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
const PIECE_BYTES: usize = 64 * 1024;

/// How long a client that has said its last byte may take to close the channel itself, which spares russh the memory.
const CLOSE_GRACE: Duration = Duration::from_millis(500);

type WriteHalf = ChannelWriteHalf<Msg>;

/// The open channels of one connection.
pub struct Channels {
    services: Arc<Services>,
    connection: Arc<Connection>,
    open: HashMap<ChannelId, Channel>,
    opened: u32,
    left_open: usize,
}

enum Channel {
    /// Nothing was asked for on it yet.
    Unused(WriteHalf),
    /// It speaks SFTP. Without `inbound` the client has ended its side, or broke the protocol.
    Sftp { inbound: Option<Inbound>, writer: Writer },
}

impl Channels {
    /// No channels yet.
    pub fn new(services: Arc<Services>, connection: Arc<Connection>) -> Self {
        Self { services, connection, open: HashMap::new(), opened: 0, left_open: 0 }
    }

    /// Keeps a new channel; `false` when there are too many.
    pub fn open(&mut self, write_half: WriteHalf) -> bool {
        self.forget_ended();
        if self.open.len() >= MAX_CHANNELS || self.left_open >= MAX_LEFT_OPEN {
            return false;
        }
        self.open.insert(write_half.id(), Channel::Unused(write_half));
        true
    }

    /// Starts SFTP on a channel.
    ///
    /// # Errors
    /// In words for the log: the channel isn't open, was used already, or the user's tree can't be made.
    pub fn start_sftp(&mut self, id: ChannelId, user: &Arc<User>, tenant: &Arc<Tenant>) -> Result<(), String> {
        let write_half = match self.open.remove(&id) {
            Some(Channel::Unused(write_half)) => write_half,
            other => {
                self.open.extend(other.map(|channel| (id, channel)));
                return Err("sftp for a second time on one channel".into());
            }
        };
        self.opened += 1;
        let peer = Peer {
            user: Arc::clone(user),
            tenant: Arc::clone(tenant),
            source: self.connection.source,
            connection: Arc::clone(&self.connection.id),
            activity: Arc::clone(&self.connection.activity),
        };
        let session = self.services.sessions.open(&peer, self.opened);
        let (inbound, outbound) = session.map_err(|error| format!("sftp: {error}"))?;
        let writer = Writer::spawn(outbound, write_half, Arc::clone(&self.connection));
        self.open.insert(id, Channel::Sftp { inbound: Some(inbound), writer });
        Ok(())
    }

    /// Hands on bytes from the client. What comes on a channel without SFTP, or behind its end, is ignored.
    pub async fn feed(&mut self, id: ChannelId, data: &[u8]) -> Result<(), Error> {
        let Some(Channel::Sftp { inbound, writer }) = self.open.get_mut(&id) else { return Ok(()) };
        let Some(receiving) = inbound else { return Ok(()) };
        if self.connection.unless_cut(receiving.feed(data)).await?.is_err() {
            *inbound = None;
            writer.close_when_written();
        }
        Ok(())
    }

    /// The client has said its last byte on a channel.
    pub fn finish(&mut self, id: ChannelId) {
        if let Some(Channel::Sftp { inbound, .. }) = self.open.get_mut(&id)
            && let Some(inbound) = inbound.take()
        {
            inbound.finish();
        }
    }

    /// The client has closed a channel.
    pub fn close(&mut self, id: ChannelId) {
        self.open.remove(&id);
    }

    /// russh doesn't tell when a channel ended that we closed first.
    fn forget_ended(&mut self) {
        let before = self.open.len();
        self.open.retain(|_, channel| match channel {
            Channel::Unused(_) => true,
            Channel::Sftp { writer, .. } => !writer.is_done(),
        });
        self.left_open += before - self.open.len();
    }
}

/// The task that writes a channel's replies. It ends when the session has, and is aborted on drop.
struct Writer {
    task: JoinHandle<()>,
    broken: CancellationToken,
}

impl Writer {
    fn spawn(outbound: Outbound, write_half: WriteHalf, connection: Arc<Connection>) -> Self {
        let broken = CancellationToken::new();
        let task = tokio::spawn(write(outbound, write_half, connection, broken.clone()));
        Self { task, broken }
    }

    /// The client won't close the channel in good order, so close it as soon as everything is written.
    fn close_when_written(&self) {
        self.broken.cancel();
    }

    fn is_done(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(mut outbound: Outbound, write_half: WriteHalf, connection: Arc<Connection>, broken: CancellationToken) {
    while let Some(outgoing) = outbound.next().await {
        for mut bytes in outgoing.pieces() {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                match connection.activity.within(STALL_TIMEOUT, write_half.data_bytes(piece)).await {
                    Some(Ok(())) => connection.activity.touch(),
                    Some(Err(_)) => return,
                    None => return connection.ending.ask(EndReason::Stalled),
                }
            }
        }
    }
    if write_half.exit_status(0).await.is_err() || write_half.eof().await.is_err() {
        return;
    }
    tokio::select! {
        () = sleep(CLOSE_GRACE) => {}
        () = broken.cancelled() => {}
    }
    // It fails only when the connection is gone, and the channel with it.
    let _ = write_half.close().await;
}
