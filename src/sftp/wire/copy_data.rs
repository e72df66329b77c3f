//! `copy-data` (draft-ietf-secsh-filexfer-extensions-00, section 7): copies bytes from one open file into another
//! without a transfer through the client.

use super::{
    Handle,
    fields::{FieldReader, Malformed, Sink},
};

/// A request to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyData {
    /// The handle of the file to read.
    pub source: Handle,
    /// The offset of the first byte in the source.
    pub source_offset: u64,
    /// The number of bytes; 0 means all bytes up to the end of the file.
    pub length: u64,
    /// The handle of the file to write.
    pub target: Handle,
    /// The offset of the first byte in the target.
    pub target_offset: u64,
}

impl CopyData {
    pub(super) fn decode(reader: &mut FieldReader) -> Result<Self, Malformed> {
        Ok(Self {
            source: Handle::decode(reader)?,
            source_offset: reader.u64()?,
            length: reader.u64()?,
            target: Handle::decode(reader)?,
            target_offset: reader.u64()?,
        })
    }

    pub(super) fn encode(&self, out: &mut dyn Sink) {
        out.string(self.source.as_bytes());
        out.u64(self.source_offset);
        out.u64(self.length);
        out.string(self.target.as_bytes());
        out.u64(self.target_offset);
    }
}
