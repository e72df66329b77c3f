//! The notes of one session. They are never the truth about storage: losing a note costs a request, or modes of
//! directories, but never a byte. The cache of the node has what all its sessions share.

mod denials;
mod directory_modes;
mod partials;

pub(super) use denials::Denials;
pub(super) use directory_modes::DirectoryModes;
pub(super) use partials::{Shown, ShownPartials};

use super::{LeftoverObserver, Node, ahead::Ahead, directories::Directories, late::Late, open_uploads::OpenUploads};
use crate::account::Tenant;
use std::sync::Arc;

/// The notes of one session, shared by its handles.
#[derive(Debug)]
pub(super) struct Notes {
    /// Attributes of files that are kept beside the objects.
    pub(super) late: Late,
    /// Attributes of directories.
    pub(super) directories: Directories,
    /// The files that the session is writing.
    pub(super) open_uploads: Arc<OpenUploads>,
    /// Interrupted uploads that STAT showed.
    pub(super) partials: ShownPartials,
    /// Listed files that the client may open next.
    pub(super) ahead: Ahead,
    /// Uploads that S3 denied.
    pub(super) denials: Denials,
    /// The observer of uploads that S3 didn't abort.
    pub(super) leftovers: Arc<dyn LeftoverObserver>,
}

impl Notes {
    /// Begins without notes.
    pub(super) fn new(node: Arc<Node>, tenant: &Tenant, leftovers: Arc<dyn LeftoverObserver>) -> Self {
        let late = Late::new(Arc::clone(&node), tenant.name.clone());
        let directories = Directories::new(Arc::clone(&node), tenant.name.clone());
        let ahead = Ahead::new(node, tenant);
        let (open_uploads, partials, denials) = (Arc::default(), ShownPartials::default(), Denials::default());
        Self { late, directories, open_uploads, partials, ahead, denials, leftovers }
    }
}
