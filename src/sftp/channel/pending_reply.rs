//! A request without a reply. It counts as outstanding until its reply is written. The server answers it once.

use super::{
    attrs,
    replies::{DataPermit, Replies, ReplyCounters, ReplyPermit, encoded},
    status,
};
use crate::{
    session::Serving,
    sftp::wire::{Reply, StatusCode},
    vfs::{Error, Metadata},
};
use std::sync::{Arc, atomic::Ordering};

/// A request without a reply.
#[derive(Debug)]
pub(crate) struct PendingReply {
    id: u32,
    replies: Replies,
    request: OutstandingRequest,
}

impl PendingReply {
    /// Creates the pending reply of request `id`.
    pub(crate) fn new(id: u32, replies: Replies, request: OutstandingRequest) -> Self {
        Self { id, replies, request }
    }

    /// Answers with success, or with the error.
    pub(crate) fn done(self, result: Result<(), Error>) {
        match result {
            Ok(()) => self.answer(Reply::ok),
            Err(error) => self.fail(&error),
        }
    }

    /// Answers with the error.
    pub(crate) fn fail(self, error: &Error) {
        self.answer(|id| status::reply(id, error));
    }

    /// Answers with another status.
    pub(crate) fn status(self, code: StatusCode, sentence: &'static str) {
        self.answer(|id| status::status(id, code, sentence));
    }

    /// Answers with attributes, or with the error.
    pub(crate) fn metadata(self, result: Result<Metadata, Error>) {
        match result {
            Ok(metadata) => self.answer(|id| Reply::Attrs { id, attrs: attrs::shown(&metadata) }),
            Err(error) => self.fail(&error),
        }
    }

    /// Answers with a small reply, built from the request's id.
    pub(crate) fn answer(self, reply: impl FnOnce(u32) -> Reply) {
        let bytes = encoded(&reply(self.id));
        let unread = Unread::new(bytes.len(), Arc::clone(&self.request.shared));
        self.replies.queue(bytes, ReplyPermit::Small { _unread: unread, _request: self.request });
    }

    /// Answers with a reply that holds `permit`, such as the entries of a directory.
    pub(crate) fn answer_with(self, permit: DataPermit, reply: impl FnOnce(u32) -> Reply) {
        self.replies.queue(encoded(&reply(self.id)), ReplyPermit::Large { _permit: permit, _request: self.request });
    }
}

/// The count that a request belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Counted {
    /// One of the channel's outstanding requests.
    Request,
    /// Not counted here: a WRITE, which its memory bounds, or a READ, whose run is counted.
    Elsewhere,
}

/// Counts an outstanding request until it is dropped.
#[derive(Debug)]
pub(crate) struct OutstandingRequest {
    counted: Counted,
    shared: Arc<ReplyCounters>,
    _serving: Serving,
}

impl OutstandingRequest {
    /// Counts an accepted request. The caller has already counted a [`Counted::Request`].
    pub(crate) fn new(counted: Counted, shared: Arc<ReplyCounters>) -> Self {
        let serving = shared.activity.serve();
        Self { counted, shared, _serving: serving }
    }
}

impl Drop for OutstandingRequest {
    fn drop(&mut self) {
        if self.counted == Counted::Request {
            self.shared.outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Counts the bytes of a small reply until it is written.
#[derive(Debug)]
pub(crate) struct Unread {
    bytes: usize,
    shared: Arc<ReplyCounters>,
}

impl Unread {
    fn new(bytes: usize, shared: Arc<ReplyCounters>) -> Self {
        shared.small_bytes.fetch_add(bytes, Ordering::Relaxed);
        Self { bytes, shared }
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.shared.small_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
