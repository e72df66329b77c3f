//! The beginning of an upload's file, decided at OPEN. It decides what a gap is, the condition of the publication, and
//! whether the stored parts are of use to another session.

use super::{interrupted::InterruptedUpload, older_object::OlderObject, part_buffer::PartBuffer, plan::MIN_PART_BYTES};
use crate::store::{Condition, Object};

/// The beginning of a file.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An empty file.
    New(Gaps),
    /// The present object of the name. Only the changes are sent, and only that version is replaced.
    Change(Box<OlderObject>),
    /// The stored beginning of an interrupted upload. The file appears only if the name is free.
    Resume(Box<InterruptedUpload>),
}

/// The bytes of a new file that the client doesn't write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gaps {
    /// They are zeros.
    Zeros,
    /// They are an error: the client may believe that an interrupted upload stored them.
    Refused,
}

impl Origin {
    /// The origin of a file that begins as `object`.
    pub(crate) fn change(object: Object) -> Self {
        Self::Change(Box::new(OlderObject::new(object)))
    }

    /// The object that the file began as.
    pub(crate) fn older_object(&self) -> Option<&Object> {
        match self {
            Self::Change(base) => Some(base.object()),
            Self::New(_) | Self::Resume(_) => None,
        }
    }

    /// True if a gap is an error.
    pub(super) fn refuses_gaps(&self) -> bool {
        matches!(self, Self::New(Gaps::Refused) | Self::Resume(_))
    }

    /// True if S3 can copy ranges of the older object.
    pub(super) fn is_copyable(&self) -> bool {
        self.older_object().is_some_and(|object| object.size > MIN_PART_BYTES)
    }

    /// Notes that the client changed the file.
    pub(super) fn note_change(&mut self) {
        match self {
            Self::New(_) => {}
            Self::Change(base) => base.is_changed = true,
            Self::Resume(upload) => upload.is_untouched = false,
        }
    }

    /// The condition under which S3 publishes the file. A new one has the condition `of_new`.
    pub(super) fn condition(&self, of_new: Condition) -> Condition {
        match self {
            Self::New(_) => of_new,
            Self::Change(base) => Condition::Matches(base.object().pin.etag.clone()),
            Self::Resume(_) => Condition::Absent,
        }
    }

    /// True if the file began as an object.
    pub(super) fn is_change(&self) -> bool {
        matches!(self, Self::Change(_))
    }

    /// The file's bytes before the first WRITE.
    pub(super) fn buffer(&self) -> PartBuffer {
        match self {
            Self::New(_) => PartBuffer::default(),
            Self::Change(base) => PartBuffer::over(base.object().size),
            Self::Resume(upload) => PartBuffer::behind(upload.bytes()),
        }
    }
}
