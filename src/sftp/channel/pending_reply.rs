//! A request without a reply. It counts as outstanding until its reply is written. The server answers it once.

use super::{
    attrs,
    ended::Ended,
    replies::{DataPermit, OutstandingRequest, Replies, ReplyPermit, encoded},
    status,
};
use crate::{
    sftp::wire::{Reply, StatusCode},
    vfs::{Error, Metadata},
};

/// A request without a reply.
#[derive(Debug)]
pub(crate) struct PendingReply {
    id: u32,
    replies: Replies,
    request: OutstandingRequest,
}

impl PendingReply {
    /// Accepts the request `id`.
    ///
    /// # Errors
    /// The client has too many unanswered requests, or doesn't read its replies.
    pub(crate) fn accept(id: u32, replies: &Replies) -> Result<Self, Ended> {
        Ok(Self { id, request: replies.count()?, replies: replies.clone() })
    }

    /// Accepts the request `id`, which isn't counted: a WRITE, which the memory of its bytes bounds, or a READ that the
    /// server refuses.
    ///
    /// # Errors
    /// The client doesn't read its replies.
    pub(crate) fn accept_uncounted(id: u32, replies: &Replies) -> Result<Self, Ended> {
        Ok(Self { id, request: replies.count_elsewhere()?, replies: replies.clone() })
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
    pub(crate) fn answer(mut self, reply: impl FnOnce(u32) -> Reply) {
        let bytes = encoded(&reply(self.id));
        self.request.count_reply(bytes.len());
        self.replies.queue(bytes, ReplyPermit::Small { _request: self.request });
    }

    /// Answers with a reply that holds `permit`, such as the entries of a directory.
    pub(crate) fn answer_with(self, permit: DataPermit, reply: impl FnOnce(u32) -> Reply) {
        self.replies.queue(encoded(&reply(self.id)), ReplyPermit::Large { _permit: permit, _request: self.request });
    }
}
