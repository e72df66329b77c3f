//! OpenSSH's extensions (its file `PROTOCOL`, section 4): their announcements in VERSION, and the EXTENDED requests.

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::{
    Attrs, CopyData,
    fields::{FieldReader, Malformed, Sink},
};

const POSIX_RENAME: &str = "posix-rename@openssh.com";
const LIMITS: &str = "limits@openssh.com";
const LSETSTAT: &str = "lsetstat@openssh.com";
const EXPAND_PATH: &str = "expand-path@openssh.com";
const HOME_DIRECTORY: &str = "home-directory";
const COPY_DATA: &str = "copy-data";

/// An extension as VERSION announces it: its name and its version text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// The name, such as `limits@openssh.com`.
    pub name: Cow<'static, str>,
    /// The extension's version text, such as `1`.
    pub(crate) version: Cow<'static, str>,
}

impl Extension {
    /// RENAME that replaces its target.
    pub(crate) const POSIX_RENAME: Self = Self::first(POSIX_RENAME);
    /// The maximum lengths of packets, reads and writes.
    pub(crate) const LIMITS: Self = Self::first(LIMITS);
    /// SETSTAT that doesn't follow symbolic links.
    pub(crate) const LSETSTAT: Self = Self::first(LSETSTAT);
    /// REALPATH that expands `~`.
    pub(crate) const EXPAND_PATH: Self = Self::first(EXPAND_PATH);
    /// The home directory of a user.
    pub(crate) const HOME_DIRECTORY: Self = Self::first(HOME_DIRECTORY);
    /// Copies between open files on the server.
    pub(crate) const COPY_DATA: Self = Self::first(COPY_DATA);

    const fn first(name: &'static str) -> Self {
        Self { name: Cow::Borrowed(name), version: Cow::Borrowed("1") }
    }
}

/// The content of an EXTENDED request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extended {
    /// `limits@openssh.com`. The answer is an EXTENDED_REPLY with [`ServerLimits`].
    Limits,
    /// `posix-rename@openssh.com`: renames `source` to `target`, which it may replace.
    PosixRename {
        /// The present path.
        source: Bytes,
        /// The new path.
        target: Bytes,
    },
    /// `lsetstat@openssh.com`: SETSTAT of a symbolic link itself.
    LsetStat {
        /// The path of the link.
        path: Bytes,
        /// The attributes to set.
        attrs: Attrs,
    },
    /// `expand-path@openssh.com`: REALPATH with `~` and `~user`. The answer is a NAME.
    ExpandPath {
        /// The path to expand.
        path: Bytes,
    },
    /// `home-directory`. The answer is a NAME.
    HomeDirectory {
        /// The user; empty for the requesting user.
        user: Bytes,
    },
    /// `copy-data`.
    CopyData(CopyData),
    /// Any other extension, by its name. The server answers OP_UNSUPPORTED.
    Unknown(Bytes),
}

impl Extended {
    pub(super) fn decode(reader: &mut FieldReader) -> Result<Self, Malformed> {
        let name = reader.string()?;
        Ok(match std::str::from_utf8(&name) {
            Ok(LIMITS) => Self::Limits,
            Ok(POSIX_RENAME) => Self::PosixRename { source: reader.string()?, target: reader.string()? },
            Ok(LSETSTAT) => Self::LsetStat { path: reader.string()?, attrs: Attrs::decode(reader)? },
            Ok(EXPAND_PATH) => Self::ExpandPath { path: reader.string()? },
            Ok(HOME_DIRECTORY) => Self::HomeDirectory { user: reader.string()? },
            Ok(COPY_DATA) => Self::CopyData(CopyData::decode(reader)?),
            _ => Self::Unknown(name),
        })
    }

    pub(super) fn encode(&self, out: &mut dyn Sink) {
        match self {
            Self::Limits => out.string(LIMITS.as_bytes()),
            Self::PosixRename { source, target } => {
                out.string(POSIX_RENAME.as_bytes());
                out.string(source);
                out.string(target);
            }
            Self::LsetStat { path, attrs } => {
                out.string(LSETSTAT.as_bytes());
                out.string(path);
                attrs.encode(out);
            }
            Self::ExpandPath { path } => {
                out.string(EXPAND_PATH.as_bytes());
                out.string(path);
            }
            Self::HomeDirectory { user } => {
                out.string(HOME_DIRECTORY.as_bytes());
                out.string(user);
            }
            Self::CopyData(copy) => {
                out.string(COPY_DATA.as_bytes());
                copy.encode(out);
            }
            Self::Unknown(name) => out.string(name),
        }
    }
}

/// The maximum bytes that one READ returns, and that the server announces for one WRITE. It is a packet of 256 KiB less
/// 1 KiB for headers, as in OpenSSH's own server. OpenSSH's client sends requests of exactly this length.
pub const MAX_READ_BYTES: u32 = 255 * 1024;

/// The server's limits, the answer to `limits@openssh.com`. Zero means "not specified".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// The maximum length of a packet, in bytes.
    pub max_packet_bytes: u64,
    /// The maximum bytes that one READ returns.
    pub max_read_bytes: u64,
    /// The maximum bytes of one WRITE.
    pub max_write_bytes: u64,
    /// The maximum number of open handles.
    pub max_handles: u64,
}

impl ServerLimits {
    /// Returns the limits of this codec: packets of 262,144 bytes, reads and writes of 261,120. The session sets the
    /// number of handles.
    #[must_use]
    pub(crate) fn new(max_handles: u64) -> Self {
        let max_read_bytes = u64::from(MAX_READ_BYTES);
        Self { max_packet_bytes: 256 * 1024, max_read_bytes, max_write_bytes: max_read_bytes, max_handles }
    }

    /// Returns the payload of the EXTENDED_REPLY.
    #[must_use]
    pub(crate) fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(4 * size_of::<u64>());
        for value in [self.max_packet_bytes, self.max_read_bytes, self.max_write_bytes, self.max_handles] {
            out.u64(value);
        }
        out.freeze()
    }

    /// Parses the payload of an EXTENDED_REPLY.
    ///
    /// # Errors
    /// The payload is too short.
    pub fn decode(data: Bytes) -> Result<Self, Malformed> {
        let mut reader = FieldReader::new(data);
        Ok(Self {
            max_packet_bytes: reader.u64()?,
            max_read_bytes: reader.u64()?,
            max_write_bytes: reader.u64()?,
            max_handles: reader.u64()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_those_that_openssh_s_server_sends() {
        let sent = b"\0\0\0\0\0\x04\0\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\x03\xfc\0\0\0\0\0\0\0\x4e\x1b";
        let limits = ServerLimits::new(19_995);
        assert_eq!(limits.encode(), &sent[..]);
        assert_eq!(ServerLimits::decode(Bytes::from_static(sent)), Ok(limits));
        assert_eq!(ServerLimits::decode(Bytes::from_static(&sent[..31])), Err(Malformed::Short));
    }
}
