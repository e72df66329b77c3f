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
    session::Session,
    sftp::channel::{Inbound, Outbound},
};
use bytes::Bytes;
use russh::{ChannelId, ChannelWriteHalf, server::Msg};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// Channels that may be open at a time.
const MAX_CHANNELS: usize = 10;

/// Channels that are closed on our side and that the client may leave open on its own. russh keeps a little of each.
const MAX_LEFT_OPEN: usize = 100;

/// A client that takes none of [`PIECE_BYTES`] in this time has stopped reading.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
const PIECE_BYTES: usize = 64 * 1024;

/// The sentence for a shell or a command: OpenSSH's, where it serves `internal-sftp` alone.
const ONLY_SFTP: &str = "This service allows sftp connections only.";
/// The status that a shell or a command ends with.
const REFUSED: u32 = 1;

type WriteHalf = ChannelWriteHalf<Msg>;

/// The open channels of one connection.
pub struct Channels {
    services: Arc<Services>,
    connection: Arc<Connection>,
    open: HashMap<ChannelId, Channel>,
}

enum Channel {
    /// Nothing was started on it yet.
    Unused {
        write_half: WriteHalf,
        /// Lines for a terminal end in CR LF.
        has_terminal: bool,
    },
    /// It speaks SFTP. Without `inbound` the client has ended its side, or broke the protocol.
    Sftp { inbound: Option<Inbound>, writer: Writer },
    /// A shell or a command was asked for. The client is told that there is none.
    Refused(Writer),
}

impl Channels {
    /// No channels yet.
    pub fn new(services: Arc<Services>, connection: Arc<Connection>) -> Self {
        Self { services, connection, open: HashMap::new() }
    }

    /// Keeps a new channel; `false` when there are too many.
    pub fn open(&mut self, write_half: WriteHalf) -> bool {
        let left_open = self.open.values().filter(|channel| channel.is_ended()).count();
        if self.open.len().saturating_sub(left_open) >= MAX_CHANNELS || left_open >= MAX_LEFT_OPEN {
            return false;
        }
        self.open.insert(write_half.id(), Channel::Unused { write_half, has_terminal: false });
        true
    }

    /// Notes that the client has a terminal; `false` if something was started on the channel already.
    pub fn attach_terminal(&mut self, id: ChannelId) -> bool {
        let Some(Channel::Unused { has_terminal, .. }) = self.open.get_mut(&id) else { return false };
        *has_terminal = true;
        true
    }

    /// Answers a shell or a command by a sentence and an error status, and closes the channel. `false` if something was
    /// started on the channel already.
    pub fn refuse_program(&mut self, id: ChannelId) -> bool {
        let Some((write_half, has_terminal)) = self.take_unused(id) else { return false };
        let writer = Writer(tokio::spawn(refuse(write_half, has_terminal, Arc::clone(&self.connection))));
        self.open.insert(id, Channel::Refused(writer));
        true
    }

    /// Starts SFTP on a channel.
    ///
    /// # Errors
    /// In words for the log: the channel isn't open, was used already, or the user's tree can't be made.
    pub fn start_sftp(&mut self, id: ChannelId, session: &Session) -> Result<(), String> {
        let Some((write_half, _)) = self.take_unused(id) else {
            return Err("sftp on a channel that was used already".into());
        };
        let (inbound, outbound) = self.services.sftp.open(session);
        let writer = Writer::spawn(outbound, write_half, Arc::clone(&self.connection));
        self.open.insert(id, Channel::Sftp { inbound: Some(inbound), writer });
        Ok(())
    }

    /// The writing half of a channel on which nothing was started, and whether the client has a terminal.
    fn take_unused(&mut self, id: ChannelId) -> Option<(WriteHalf, bool)> {
        match self.open.remove(&id)? {
            Channel::Unused { write_half, has_terminal } => Some((write_half, has_terminal)),
            used => {
                self.open.insert(id, used);
                None
            }
        }
    }

    /// Hands on bytes from the client. What comes on a channel without SFTP, or behind its end, is ignored.
    pub async fn feed(&mut self, id: ChannelId, data: &[u8]) -> Result<(), Error> {
        let Some(Channel::Sftp { inbound, .. }) = self.open.get_mut(&id) else { return Ok(()) };
        let Some(receiving) = inbound else { return Ok(()) };
        if self.connection.unless_cut(receiving.feed(data)).await?.is_err() {
            *inbound = None;
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
}

impl Channel {
    /// True if the server's side is closed.
    fn is_ended(&self) -> bool {
        matches!(self, Self::Sftp { writer, .. } | Self::Refused(writer) if writer.0.is_finished())
    }
}

/// The task that writes a channel's replies. It ends when the session has, and is aborted on drop.
struct Writer(JoinHandle<()>);

impl Writer {
    fn spawn(outbound: Outbound, write_half: WriteHalf, connection: Arc<Connection>) -> Self {
        Self(tokio::spawn(write(outbound, write_half, connection)))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn write(mut outbound: Outbound, write_half: WriteHalf, connection: Arc<Connection>) {
    while let Some(outgoing) = outbound.next().await {
        for mut bytes in outgoing.pieces() {
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                if !send(&write_half, piece, &connection).await {
                    return;
                }
                connection.activity.touch();
            }
        }
    }
    end(&write_half, 0).await;
}

async fn refuse(write_half: WriteHalf, has_terminal: bool, connection: Arc<Connection>) {
    let line = format!("{ONLY_SFTP}{}", if has_terminal { "\r\n" } else { "\n" });
    if send(&write_half, line.into(), &connection).await {
        end(&write_half, REFUSED).await;
    }
}

/// Sends bytes, waiting for the channel's window; `false` if the channel is gone, or the client has stopped reading.
async fn send(write_half: &WriteHalf, bytes: Bytes, connection: &Connection) -> bool {
    let Some(sent) = connection.activity.within(STALL_TIMEOUT, write_half.data_bytes(bytes)).await else {
        connection.ending.ask(EndReason::Stalled);
        return false;
    };
    sent.is_ok()
}

/// Ends the server's side of a channel in good order.
async fn end(write_half: &WriteHalf, status: u32) {
    if write_half.exit_status(status).await.is_err() || write_half.eof().await.is_err() {
        return;
    }
    // It fails only when the connection is gone, and the channel with it.
    let _ = write_half.close().await;
}
