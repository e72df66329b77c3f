//! A file that goes on where it was cut off, as long as nothing was written to it: its client may still begin anew.

use super::{Conflicting, WriteHandle, now};
use crate::vfs::{Error, NewAttributes, Result, SetAttributes, notes::Live};

/// What the file is if it begins anew.
#[derive(Clone, Copy, Debug)]
pub(super) struct Resumed {
    /// Those of OPEN.
    born: NewAttributes,
    /// Those, and what was set since.
    attributes: NewAttributes,
    conflicting: Conflicting,
    /// Whether it was given the size 0.
    is_emptied: bool,
}

impl Resumed {
    pub(super) fn new(born: NewAttributes, conflicting: Conflicting) -> Self {
        Self { born, attributes: born, conflicting, is_emptied: false }
    }
}

impl WriteHandle {
    /// Whether nothing was written yet to a file that goes on.
    pub(super) fn is_only_resumed(&self) -> bool {
        self.resumed.is_some() && self.upload.is_only_resumed()
    }

    /// Decides with the first WRITE whether the file goes on. A client that begins at the first byte begins anew; one that
    /// goes on before the end of what is stored has been told another size, and nothing of it may be taken in. With APPEND
    /// the offset decides nothing else, so it must be the end itself: a client that counts from elsewhere means another
    /// file.
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

    /// Begins anew if the file was given the size 0.
    pub(super) async fn decide_at_close(&mut self) {
        if self.is_only_resumed() && self.resumed.is_some_and(|resumed| resumed.is_emptied) {
            Box::pin(self.begin_anew()).await;
        }
    }

    /// Takes note of what is set before the first WRITE. Says whether that is all to be done about the size.
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
        self.file.live.update(|live| *live = Live { removed: live.removed, ..Live::new(resumed.attributes, now()) });
        self.store_attributes();
    }
}
