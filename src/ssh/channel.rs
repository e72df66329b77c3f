//! The channels of one connection, and the task that writes to each.
//!
//! One task per channel owns the channel's writing half and sends all bytes to the client. It waits for its own
//! channel's window, so a channel that the client doesn't read can't stop the others. The task must be aborted when the
//! channel or the connection ends, because nothing wakes it after that.

use super::{connection::Connection, ending::EndReason, error::Error, services::Services};
use crate::{
    session::Session,
    sftp::channel::{Ended, Inbound, Outbound},
};
use bytes::Bytes;
use russh::{ChannelId, ChannelWriteHalf, server::Msg};
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::task::JoinHandle;

/// The number of channels that may be open at a time.
const MAX_CHANNELS: usize = 10;

/// The number of channels that the server has closed and the client hasn't. russh keeps some state for each.
const MAX_LEFT_OPEN: usize = 100;

/// A client that takes no piece of [`PIECE_BYTES`] in this time has stopped reading.
const STALL_TIMEOUT: Duration = Duration::from_mins(1);
const PIECE_BYTES: usize = 64 * 1024;

/// The answer to a shell or a command: the sentence of an OpenSSH server that serves `internal-sftp` only.
const ONLY_SFTP: &str = "This service allows sftp connections only.";
/// The exit status of a refused shell or command.
const REFUSED: u32 = 1;

type WriteHalf = ChannelWriteHalf<Msg>;

/// The open channels of one connection.
pub(crate) struct Channels {
    services: Arc<Services>,
    connection: Arc<Connection>,
    open: HashMap<ChannelId, Channel>,
}

enum Channel {
    /// The client hasn't started anything on the channel yet.
    Unused(WriteHalf),
    /// The channel runs SFTP. `inbound` is `None` once the client has ended its side or broken the protocol.
    Sftp { inbound: Option<Inbound>, writer: ChannelWriter },
    /// The client asked for a shell or a command. The writer tells it that there is none.
    Refused(ChannelWriter),
}

impl Channels {
    /// Returns an empty set of channels.
    pub(crate) fn new(services: Arc<Services>, connection: Arc<Connection>) -> Self {
        Self { services, connection, open: HashMap::new() }
    }

    /// Adds a new channel. Returns `false` if the connection has too many.
    pub(crate) fn open(&mut self, write_half: WriteHalf) -> bool {
        let left_open = self.open.values().filter(|channel| channel.is_ended()).count();
        if self.open.len().saturating_sub(left_open) >= MAX_CHANNELS || left_open >= MAX_LEFT_OPEN {
            return false;
        }
        self.open.insert(write_half.id(), Channel::Unused(write_half));
        true
    }

    /// Answers a shell or a command with a sentence and an error status, then closes the channel. Returns `false` if
    /// the channel already runs something.
    pub(crate) fn refuse_program(&mut self, id: ChannelId) -> bool {
        let Some(write_half) = self.take_unused(id) else { return false };
        let writer = ChannelWriter(tokio::spawn(refuse(write_half, Arc::clone(&self.connection))));
        self.open.insert(id, Channel::Refused(writer));
        true
    }

    /// Starts SFTP on a channel.
    ///
    /// # Errors
    /// Returns a sentence for the log: the channel isn't open or is in use, or the server can't build the user's tree.
    pub(crate) fn start_sftp(&mut self, id: ChannelId, session: &Session) -> Result<(), String> {
        let Some(write_half) = self.take_unused(id) else {
            return Err("sftp on a channel that was used already".into());
        };
        let (inbound, outbound) = self.services.sftp.open(session);
        let writer = ChannelWriter::spawn(outbound, write_half, Arc::clone(&self.connection));
        self.open.insert(id, Channel::Sftp { inbound: Some(inbound), writer });
        Ok(())
    }

    /// Returns the writing half of an unused channel.
    fn take_unused(&mut self, id: ChannelId) -> Option<WriteHalf> {
        match self.open.remove(&id)? {
            Channel::Unused(write_half) => Some(write_half),
            used => {
                self.open.insert(id, used);
                None
            }
        }
    }

    /// Passes bytes from the client to its channel. Ignores bytes on a channel without SFTP or after the channel's end.
    pub(crate) async fn feed(&mut self, id: ChannelId, data: &[u8]) -> Result<(), Error> {
        let Some(Channel::Sftp { inbound, .. }) = self.open.get_mut(&id) else { return Ok(()) };
        let Some(receiving) = inbound else { return Ok(()) };
        if let Err(ended) = self.connection.unless_cancelled(receiving.feed(data)).await? {
            *inbound = None;
            // Another channel of the connection would only be the next.
            match ended {
                Ended::TooManyRequestsOfTenant => self.connection.ending.ask(EndReason::RequestsOfTenant),
                Ended::OutOfMemory => self.connection.ending.ask(EndReason::OutOfMemory),
                _ => {}
            }
        }
        Ok(())
    }

    /// Handles the client's EOF on a channel.
    pub(crate) fn finish(&mut self, id: ChannelId) {
        if let Some(Channel::Sftp { inbound, .. }) = self.open.get_mut(&id)
            && let Some(inbound) = inbound.take()
        {
            inbound.finish();
        }
    }

    /// Handles the client's close of a channel.
    pub(crate) fn close(&mut self, id: ChannelId) {
        self.open.remove(&id);
    }
}

impl Channel {
    /// True if the server has closed its side.
    fn is_ended(&self) -> bool {
        matches!(self, Self::Sftp { writer, .. } | Self::Refused(writer) if writer.0.is_finished())
    }
}

/// The task that writes a channel's replies. It ends with the channel's session. Dropping the writer aborts it.
struct ChannelWriter(JoinHandle<()>);

impl ChannelWriter {
    fn spawn(outbound: Outbound, write_half: WriteHalf, connection: Arc<Connection>) -> Self {
        Self(tokio::spawn(write(outbound, write_half, connection)))
    }
}

impl Drop for ChannelWriter {
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

async fn refuse(write_half: WriteHalf, connection: Arc<Connection>) {
    if send(&write_half, format!("{ONLY_SFTP}\n").into(), &connection).await {
        end(&write_half, REFUSED).await;
    }
}

/// Sends bytes once the channel's window is open. Returns `false` if the channel is gone or the client has stopped
/// reading.
async fn send(write_half: &WriteHalf, bytes: Bytes, connection: &Connection) -> bool {
    let Some(sent) = connection.activity.within(STALL_TIMEOUT, write_half.data_bytes(bytes)).await else {
        connection.ending.ask(EndReason::Stalled);
        return false;
    };
    sent.is_ok()
}

/// Closes the server's side of a channel with an exit status.
async fn end(write_half: &WriteHalf, status: u32) {
    if write_half.exit_status(status).await.is_err() || write_half.eof().await.is_err() {
        return;
    }
    // The close fails only when the connection is gone, and the channel with it.
    let _ = write_half.close().await;
}
