//! The state of one session: its open uploads, and facts that it learned about its files. The state that all sessions
//! share is in the node (`node.rs`, `cache/`).

mod denials;
mod directory_modes;
mod shown_uploads;

pub(super) use denials::Denials;
pub(super) use directory_modes::DirectoryModes;
pub(super) use shown_uploads::{ShownUpload, ShownUploads};

use super::{
    Node, SessionObserver, directory_attributes::DirectoryAttributes, file_attributes::FileAttributes,
    open_uploads::OpenUploads, prefetch::PrefetchPlan,
};
use crate::{account::Tenant, journal::Journal};
use std::sync::Arc;

/// The state of one session, shared by its handles.
#[derive(Debug)]
pub(super) struct SessionState {
    /// The id of the session in its records.
    pub(super) id: Arc<str>,
    /// The journal, with the permits of the tenant.
    pub(super) journal: Arc<dyn Journal>,
    /// Attributes of files beside their objects.
    pub(super) file_attributes: FileAttributes,
    /// Attributes of directories.
    pub(super) directory_attributes: DirectoryAttributes,
    /// The files that the session is writing.
    pub(super) open_uploads: Arc<OpenUploads>,
    /// Interrupted uploads that STAT showed.
    pub(super) shown_uploads: ShownUploads,
    /// Listed files that the client may open next.
    pub(super) prefetch: PrefetchPlan,
    /// Uploads that S3 denied.
    pub(super) denials: Denials,
    /// The observer of uploads that S3 publishes or didn't abort.
    pub(super) observer: Arc<dyn SessionObserver>,
}

impl SessionState {
    /// The state of a session that begins.
    pub(super) fn new(id: Arc<str>, node: Arc<Node>, tenant: &Tenant, observer: Arc<dyn SessionObserver>) -> Self {
        let journal = node.journal_of(&tenant.name);
        let of_session = || (Arc::clone(&node), tenant.name.clone(), Arc::clone(&journal));
        let file_attributes = FileAttributes::new(of_session());
        let directory_attributes = DirectoryAttributes::new(of_session());
        let prefetch = PrefetchPlan::new(node, tenant);
        let (open_uploads, shown_uploads, denials) = (Arc::default(), ShownUploads::default(), Denials::default());
        Self {
            id,
            journal,
            file_attributes,
            directory_attributes,
            open_uploads,
            shown_uploads,
            prefetch,
            denials,
            observer,
        }
    }
}
