//! A resumed upload to which nothing was written yet. Its client may still start over.

use super::WriteHandle;
use crate::{
    account::ObjectMetadata,
    store::NewObject,
    upload::UploadError,
    vfs::{Error, Kind, NewAttributes, Result, open_uploads::UploadView},
};

/// The file if it starts over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    /// The attributes of OPEN, with those that were set since.
    pub(super) attributes: NewAttributes,
    /// The parts of its origin that its metadata names.
    object_metadata: ObjectMetadata,
    /// The last size that the client set since it set the size to 0, in bytes.
    emptied_to: Option<u64>,
}

impl Restart {
    pub(super) fn new(attributes: NewAttributes, object_metadata: ObjectMetadata) -> Self {
        Self { attributes, object_metadata, emptied_to: None }
    }
}

impl WriteHandle {
    /// The bytes that an interrupted upload had stored. 0 if the file starts over, or resumes none.
    #[must_use]
    pub(crate) fn resumed_bytes(&self) -> u64 {
        if self.is_emptied() { 0 } else { self.upload.resumed_bytes() }
    }

    fn is_emptied(&self) -> bool {
        self.emptied_to().is_some()
    }

    /// The size of a file that the client emptied and that will start over, in bytes.
    pub(super) fn emptied_to(&self) -> Option<u64> {
        self.restart.and_then(|restart| restart.emptied_to)
    }

    /// Decides with the first WRITE if the upload is resumed. A client that writes at offset 0 starts over. A client
    /// that writes before the end of the stored part saw another size, so its bytes are refused. With APPEND the offset
    /// has no other use, so it must be exactly the end: a client with another offset means another file.
    ///
    /// # Errors
    /// [`Error::PartialGrown`].
    pub(super) async fn decide(&mut self, offset: u64) -> Result<()> {
        if !self.upload.is_only_resumed() {
            return Ok(());
        }
        let (size, append) = (self.upload.size(), self.options.append);
        if self.is_emptied() || offset == 0 && !append {
            Box::pin(self.start_over()).await;
        } else if offset < size || offset > size && append {
            self.upload.refuse(&Error::PartialGrown);
            return Err(Error::PartialGrown);
        }
        Ok(())
    }

    /// Starts over if the client set the size to 0.
    pub(super) async fn decide_at_close(&mut self) {
        if self.upload.is_only_resumed() && self.is_emptied() {
            Box::pin(self.start_over()).await;
        }
    }

    /// Records a size that is set before the first WRITE. Returns true if the file will start over, with this size.
    ///
    /// # Errors
    /// [`UploadError::TooLarge`], [`UploadError::HoleTooLarge`]: nothing is recorded then.
    pub(super) fn empties(&mut self, size: u64) -> Result<bool, UploadError> {
        let is_only_resumed = self.upload.is_only_resumed();
        let Some(restart) = self.restart.as_mut().filter(|_| is_only_resumed) else { return Ok(false) };
        if size > 0 && restart.emptied_to.is_none() {
            return Ok(false);
        }
        self.upload.check_first_size(size)?;
        restart.emptied_to = Some(size);
        Ok(true)
    }

    async fn start_over(&mut self) {
        let Some(Restart { attributes, object_metadata, emptied_to }) = self.restart.take() else { return };
        let mut object = NewObject::default();
        attributes.write_to(&mut object, Kind::File);
        let (user, session) = (&self.file.scope.user, &self.file.session.id);
        NewAttributes::write_origin(object_metadata, user, session, &mut object);
        self.upload.start_over(object).await;
        if let Err(error) = self.upload.set_size(emptied_to.unwrap_or_default()) {
            self.upload.spoil(&error);
        }
        (self.file.attributes, self.file.stored) = (attributes, attributes);
        let (size, now) = (self.upload.size(), self.file.node.clock.unix_seconds());
        self.file
            .entry
            .update(|view| *view = UploadView { size, stage: view.stage, ..UploadView::new(attributes, now) });
    }
}
