//! A hook for the owner of a session: what its uploads do in S3.

use crate::{
    name::{Prefix, TransferId},
    store::{LeftoverObserver, NoObserver},
    upload::Publication,
};

/// Receives what a session's uploads do in S3. Their tasks call it, so it must not wait.
pub trait SessionObserver: LeftoverObserver {
    /// S3 is about to be told to publish the upload `transfer_id`, which the client wrote below `mount`.
    fn publishing(&self, transfer_id: TransferId, mount: &Prefix, publication: Publication<'_>);
}

impl SessionObserver for NoObserver {
    fn publishing(&self, _: TransferId, _: &Prefix, _: Publication<'_>) {}
}
