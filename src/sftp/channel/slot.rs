//! A request that waits for its reply. It is counted until the reply is written, and it is answered once.

use super::{
    attrs,
    replies::{DataPermit, Hold, Replies, Shared, encoded},
    status,
};
use crate::{
    session::Serving,
    sftp::wire::{Reply, StatusCode},
    vfs::{Error, Metadata},
};
use std::sync::{Arc, atomic::Ordering};

/// A request that waits for its reply.
#[derive(Debug)]
pub struct Slot {
    id: u32,
    replies: Replies,
    mark: Mark,
}

impl Slot {
    /// The place of the reply to request `id`.
    pub fn new(id: u32, replies: Replies, mark: Mark) -> Self {
        Self { id, replies, mark }
    }

    /// "It was done", or why not.
    pub fn done(self, result: Result<(), Error>) {
        match result {
            Ok(()) => self.answer(Reply::ok),
            Err(error) => self.fail(&error),
        }
    }

    /// Why it was not done.
    pub fn fail(self, error: &Error) {
        self.answer(|id| status::reply(id, error));
    }

    /// Another status.
    pub fn status(self, code: StatusCode, sentence: &'static str) {
        self.answer(|id| status::status(id, code, sentence));
    }

    /// Attributes, or why there are none.
    pub fn metadata(self, result: Result<Metadata, Error>) {
        match result {
            Ok(metadata) => self.answer(|id| Reply::Attrs { id, attrs: attrs::shown(&metadata) }),
            Err(error) => self.fail(&error),
        }
    }

    /// A small reply, made for the request's id.
    pub fn answer(self, reply: impl FnOnce(u32) -> Reply) {
        let bytes = encoded(&reply(self.id));
        let unread = Unread::new(bytes.len(), Arc::clone(&self.mark.shared));
        self.replies.queue(bytes, Hold::Small { _unread: unread, _mark: self.mark });
    }

    /// A reply that holds `permit`, as the entries of a directory do.
    pub fn answer_with(self, permit: DataPermit, reply: impl FnOnce(u32) -> Reply) {
        self.replies.queue(encoded(&reply(self.id)), Hold::Large { _permit: permit, _mark: self.mark });
    }
}

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// One of the channel's outstanding requests.
    Request,
    /// A WRITE, which its memory bounds, or a READ, which its run was counted for.
    Elsewhere,
}

/// Counts an outstanding request for as long as it lives.
#[derive(Debug)]
pub struct Mark {
    counted: Counted,
    shared: Arc<Shared>,
    _serving: Serving,
}

impl Mark {
    /// Counts a request that was let in; one that is [`Counted::Request`] was added up already.
    pub fn new(counted: Counted, shared: Arc<Shared>) -> Self {
        let serving = shared.activity.serve();
        Self { counted, shared, _serving: serving }
    }
}

impl Drop for Mark {
    fn drop(&mut self) {
        if self.counted == Counted::Request {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts the bytes of a small reply until it is written.
#[derive(Debug)]
pub struct Unread {
    bytes: usize,
    shared: Arc<Shared>,
}

impl Unread {
    fn new(bytes: usize, shared: Arc<Shared>) -> Self {
        shared.small_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, shared }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.shared.small_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
