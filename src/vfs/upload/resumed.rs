//! A resumed upload to which nothing was written yet. Its client may still start over.

use super::{Conflicting, WriteHandle};
use crate::vfs::{Error, NewAttributes, Result, SetAttributes, notes::Live};

/// The attributes of the file if it starts over.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resumed {
    /// The attributes of OPEN.
    born: NewAttributes,
    /// The attributes of OPEN, with those that were set since.
    attributes: NewAttributes,
    conflicting: Conflicting,
    /// The size of the stored part.
    bytes: u64,
    /// True if the client set the size to 0.
    is_emptied: bool,
}

impl Resumed {
    pub(super) fn new(born: NewAttributes, conflicting: Conflicting, bytes: u64) -> Self {
        Self { born, attributes: born, conflicting, bytes, is_emptied: false }
    }
}

impl WriteHandle {
    /// The bytes that an interrupted upload had stored. 0 if the file starts over, or resumes none.
    #[must_use]
    pub(crate) fn resumed_bytes(&self) -> u64 {
        self.resumed.filter(|resumed| !resumed.is_emptied).map_or(0, |resumed| resumed.bytes)
    }

    /// True if nothing was written yet to a resumed upload.
    pub(super) fn is_only_resumed(&self) -> bool {
        self.resumed.is_some() && self.upload.is_only_resumed()
    }

    /// Decides with the first WRITE if the upload is resumed. A client that writes at offset 0 starts over. A client
    /// that writes before the end of the stored part was shown another size, so nothing of it may be taken in. With
    /// APPEND the offset has no other use, so it must be exactly the end: a client that counts from elsewhere means
    /// another file.
    ///
    /// # Errors
    /// [`Error::PartialGrown`].
    pub(super) async fn decide(&mut self, offset: u64) -> Result<()> {
        if !self.is_only_resumed() {
            return Ok(());
        }
        let (is_emptied, size) = (self.resumed.is_some_and(|resumed| resumed.is_emptied), self.upload.size());
        if is_emptied || offset == 0 && !self.append {
            Box::pin(self.begin_anew()).await;
        } else if offset < size || offset > size && self.append {
            self.upload.refuse(&Error::PartialGrown);
            return Err(Error::PartialGrown);
        }
        Ok(())
    }

    /// Begins anew if the client set the size to 0.
    pub(super) async fn decide_at_close(&mut self) {
        if self.is_only_resumed() && self.resumed.is_some_and(|resumed| resumed.is_emptied) {
            Box::pin(self.begin_anew()).await;
        }
    }

    /// Records attributes that are set before the first WRITE. Returns true if the size needs nothing more.
    pub(super) fn note_set(&mut self, wanted: SetAttributes) -> bool {
        if !self.is_only_resumed() {
            return false;
        }
        let Some(resumed) = &mut self.resumed else { return false };
        resumed.attributes = resumed.attributes.updated(wanted.kept());
        resumed.is_emptied |= wanted.size == Some(0);
        let is_emptied = resumed.is_emptied && wanted.size.is_none_or(|size| size == 0);
        if is_emptied {
            self.file.live.update(|live| live.size = 0);
        }
        is_emptied
    }

    async fn begin_anew(&mut self) {
        let Some(resumed) = self.resumed.take() else { return };
        self.upload.begin_anew().await;
        (self.file.stored, self.file.conflicting) = (resumed.born, resumed.conflicting);
        let now = self.file.node.clock.unix_seconds();
        self.file.live.update(|live| *live = Live { removed: live.removed, ..Live::new(resumed.attributes, now) });
        self.store_attributes();
    }
}
