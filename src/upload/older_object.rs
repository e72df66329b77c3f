//! The older object of a file: the present object of the name, of which the client changes a part.

use crate::store::Object;
use bytes::BytesMut;
use std::ops::Range;

/// The object that a file began as.
#[derive(Clone, Debug)]
pub struct OlderObject {
    object: Object,
    /// True if the file no longer equals it.
    pub(super) is_changed: bool,
}

/// The bytes of a file as far as the upload has them in memory.
#[derive(Debug)]
pub(crate) struct BufferedBytes {
    /// All bytes, with zeros in place of those of the older object.
    pub(crate) bytes: BytesMut,
    /// The ranges of the file, in order, in which the older object shows.
    pub(crate) former: Vec<Range<u64>>,
}

impl OlderObject {
    pub(super) fn new(object: Object) -> Self {
        Self { object, is_changed: false }
    }

    pub(super) fn object(&self) -> &Object {
        &self.object
    }
}
