//! The client's receiver. It cuts the server's bytes into replies, and returns them by id in any order.

use std::{collections::HashMap, time::Duration};
use tokio::time::timeout;
use wharfinger::sftp::{
    channel::Outbound,
    wire::{FrameReader, Reply},
};

/// Longer than any wait in the server. Time is paused, so it costs no real time.
const PATIENCE: Duration = Duration::from_mins(20);

/// Replies that have arrived, and the channel for further ones.
pub struct ReceivedReplies {
    outbound: Outbound,
    frames: FrameReader,
    arrived: HashMap<u32, Reply>,
    /// Ids in the order in which their replies arrived.
    pub order: Vec<u32>,
    pub version: Option<Reply>,
}

impl ReceivedReplies {
    pub fn new(outbound: Outbound) -> Self {
        let (frames, arrived) = (FrameReader::default(), HashMap::new());
        Self { outbound, frames, arrived, order: Vec::new(), version: None }
    }

    /// Takes the reply to request `id`. Waits for it if necessary.
    pub async fn reply(&mut self, id: u32) -> Reply {
        loop {
            if let Some(reply) = self.arrived.remove(&id) {
                return reply;
            }
            let more = timeout(PATIENCE, self.receive()).await;
            assert!(
                more.unwrap_or_else(|_| panic!("request {id} got no reply")),
                "the end came before the reply to {id}"
            );
        }
    }

    /// Takes any reply that has arrived, or waits for the next one.
    pub async fn any(&mut self) -> Reply {
        loop {
            if let Some(id) = self.arrived.keys().next().copied() {
                return self.reply(id).await;
            }
            assert!(timeout(PATIENCE, self.receive()).await.expect("no reply comes"), "the channel was closed");
        }
    }

    /// True if the server replies to request `id` without further input.
    pub async fn is_answered(&mut self, id: u32) -> bool {
        // A paused clock moves only after every task that needs no timer has run.
        while timeout(Duration::from_millis(1), self.receive()).await == Ok(true) {}
        self.arrived.contains_key(&id)
    }

    /// Returns all replies until the server closes the channel.
    pub async fn rest(&mut self) -> HashMap<u32, Reply> {
        while timeout(PATIENCE, self.receive()).await.expect("the channel was never closed") {}
        std::mem::take(&mut self.arrived)
    }

    /// Receives the next packet. Returns false at the end of the channel.
    pub async fn receive(&mut self) -> bool {
        let Some(outgoing) = self.outbound.next().await else { return false };
        for piece in outgoing.pieces() {
            let mut input = &piece[..];
            while let Some(frame) = self.frames.next(&mut input).unwrap() {
                self.sort(Reply::decode(frame).unwrap());
            }
        }
        true
    }

    fn sort(&mut self, reply: Reply) {
        let Some(id) = reply.id() else {
            assert!(self.version.replace(reply).is_none(), "VERSION came twice");
            return;
        };
        self.order.push(id);
        assert!(self.arrived.insert(id, reply).is_none(), "request {id} got two replies");
    }
}
