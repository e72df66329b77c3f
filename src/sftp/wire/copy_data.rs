//! `copy-data` (draft-ietf-secsh-filexfer-extensions-00, section 7): bytes go from one open file into another without
//! passing through the client.

use super::{
    Handle,
    fields::{Malformed, Reader, Sink},
};

/// The request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CopyData {
    /// The file that is read.
    pub source: Handle,
    /// Where in it the bytes begin.
    pub source_offset: u64,
    /// How many bytes; 0 for all up to the end of the file.
    pub length: u64,
    /// The file that is written.
    pub target: Handle,
    /// Where in it the bytes go.
    pub target_offset: u64,
}

impl CopyData {
    pub(super) fn decode(reader: &mut Reader) -> Result<Self, Malformed> {
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
