//! The former attributes of a stored file that is changed. Its new version keeps the mode, metadata and headers, and
//! has the times of the change.

use super::{
    Metadata, NewAttributes,
    file_attributes::NamedObject,
    open_uploads::{UploadStage, UploadView},
    session_state::SessionState,
};
use crate::{account::Mount, journal::Version, store::Object};

/// The attributes of the version that was opened.
#[derive(Clone, Debug)]
pub(super) struct FormerAttributes {
    /// The metadata that STAT shows.
    pub(super) metadata: Metadata,
    mode: Option<u32>,
}

impl FormerAttributes {
    /// Combines the attributes of `file` with those beside it.
    pub(super) async fn find(session: &SessionState, named: NamedObject<'_>, file: &Object, mount: &Mount) -> Self {
        let beside = session.file_attributes.of_file(named).await.of(&Version::of(file));
        let metadata = Metadata::of_object(file, beside, mount);
        let mode = NewAttributes::read_from(&file.metadata).updated(beside.set()).mode;
        Self { metadata, mode }
    }

    /// The file as STAT shows it before the first WRITE.
    pub(super) fn view(&self) -> UploadView {
        let attributes = NewAttributes { times: None, mode: self.mode };
        let modified = self.metadata.times.modified.into();
        let new = UploadView::new(attributes, modified);
        UploadView { size: self.metadata.size, stage: UploadStage::Named, ..new }
    }
}
