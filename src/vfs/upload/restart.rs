//! A resumed upload to which nothing was written yet. Its client may still start over.

use super::WriteHandle;
use crate::{
    store::NewObject,
    vfs::{Error, Kind, NewAttributes, Result, SetAttributes, notes::Live},
};

/// The file if it starts over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Restart {
    /// The attributes of OPEN, with those that were set since.
    attributes: NewAttributes,
    /// True if the client set the size to 0.
    is_emptied: bool,
}

impl Restart {
    pub(super) fn new(attributes: NewAttributes) -> Self {
        Self { attributes, is_emptied: false }
    }
}

impl WriteHandle {
    /// The bytes that an interrupted upload had stored. 0 if the file starts over, or resumes none.
    #[must_use]
    pub(crate) fn resumed_bytes(&self) -> u64 {
        if self.is_emptied() { 0 } else { self.upload.resumed_bytes() }
    }

    fn is_emptied(&self) -> bool {
        self.restart.is_some_and(|restart| restart.is_emptied)
    }

    /// Decides with the first WRITE if the upload is resumed. A client that writes at offset 0 starts over. A client
    /// that writes before the end of the stored part was shown another size, so nothing of it may be taken in. With
    /// APPEND the offset has no other use, so it must be exactly the end: a client that counts from elsewhere means
    /// another file.
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

    /// Records attributes that are set before the first WRITE. Returns true if the size needs nothing more.
    pub(super) fn note_set(&mut self, wanted: SetAttributes) -> bool {
        if !self.upload.is_only_resumed() {
            return false;
        }
        let Some(restart) = &mut self.restart else { return false };
        restart.attributes = restart.attributes.updated(wanted.kept());
        restart.is_emptied |= wanted.size == Some(0);
        let is_emptied = restart.is_emptied && wanted.size.is_none_or(|size| size == 0);
        if is_emptied {
            self.file.live.update(|live| live.size = 0);
        }
        is_emptied
    }

    async fn start_over(&mut self) {
        let Some(Restart { attributes, .. }) = self.restart.take() else { return };
        let mut object = NewObject::default();
        attributes.write_to(&mut object, Kind::File);
        self.upload.start_over(object).await;
        self.file.stored = attributes;
        let now = self.file.node.clock.unix_seconds();
        self.file.live.update(|live| *live = Live { removed: live.removed, ..Live::new(attributes, now) });
    }
}
