//! A hook for the owner of a session: what its uploads do in S3.

use crate::{
    name::{Prefix, TransferId, VirtualPath},
    store::{LeftoverObserver, NoObserver},
    upload::Publication,
};

/// Receives what a session's uploads do in S3. Their tasks call it, so it must not wait.
pub trait SessionObserver: LeftoverObserver {
    /// S3 is about to be told to publish the upload `transfer_id` of the file `path`, which lies below `mount`.
    fn publishing(&self, transfer_id: TransferId, path: &VirtualPath, mount: &Prefix, publication: Publication<'_>);
}

impl SessionObserver for NoObserver {
    fn publishing(&self, _: TransferId, _: &VirtualPath, _: &Prefix, _: Publication<'_>) {}
}
