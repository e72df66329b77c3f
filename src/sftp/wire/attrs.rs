//! File attributes of version 3 (draft, section 5): flags, and the fields that the flags announce.
//!
//! The codec skips extended pairs: version 3 defines none, and no client sends any.

use super::fields::{FieldReader, Malformed, Sink};

const SIZE: u32 = 0x01;
const OWNER: u32 = 0x02;
const PERMISSIONS: u32 = 0x04;
const TIMES: u32 = 0x08;
const EXTENDED: u32 = 0x8000_0000;

/// The reported or requested attributes of a file. A field that is `None` isn't on the wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attrs {
    /// The size in bytes.
    pub size: Option<u64>,
    /// The owner of the file.
    pub owner: Option<OwnerIds>,
    /// POSIX's `st_mode`: permission bits and, from most peers, the type bits.
    pub permissions: Option<u32>,
    /// The times of the last read and the last write.
    pub times: Option<FileTimes>,
}

/// The numeric ids of a file's owner and group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnerIds {
    /// The user's id.
    pub uid: u32,
    /// The group's id.
    pub gid: u32,
}

/// The times of a file's last read and last write, in seconds since 1970 in UTC.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FileTimes {
    /// The last read.
    pub accessed: u32,
    /// The last write.
    pub modified: u32,
}

impl Attrs {
    pub(super) fn decode(reader: &mut FieldReader) -> Result<Self, Malformed> {
        let flags = reader.u32()?;
        let has = |flag| flags & flag != 0;
        let attrs = Self {
            size: has(SIZE).then(|| reader.u64()).transpose()?,
            owner: has(OWNER).then(|| Ok(OwnerIds { uid: reader.u32()?, gid: reader.u32()? })).transpose()?,
            permissions: has(PERMISSIONS).then(|| reader.u32()).transpose()?,
            times: has(TIMES)
                .then(|| Ok(FileTimes { accessed: reader.u32()?, modified: reader.u32()? }))
                .transpose()?,
        };
        if has(EXTENDED) {
            skip_extended(reader)?;
        }
        Ok(attrs)
    }

    pub(super) fn encode(&self, out: &mut dyn Sink) {
        let flag = |present, flag| if present { flag } else { 0 };
        out.u32(
            flag(self.size.is_some(), SIZE)
                | flag(self.owner.is_some(), OWNER)
                | flag(self.permissions.is_some(), PERMISSIONS)
                | flag(self.times.is_some(), TIMES),
        );
        if let Some(size) = self.size {
            out.u64(size);
        }
        if let Some(OwnerIds { uid, gid }) = self.owner {
            out.u32(uid);
            out.u32(gid);
        }
        if let Some(permissions) = self.permissions {
            out.u32(permissions);
        }
        if let Some(FileTimes { accessed, modified }) = self.times {
            out.u32(accessed);
            out.u32(modified);
        }
    }
}

/// Each pair takes at least eight bytes of the frame, so the frame bounds the loop. A peer's false count does no harm.
fn skip_extended(reader: &mut FieldReader) -> Result<(), Malformed> {
    for _ in 0..reader.u32()? {
        reader.string()?;
        reader.string()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn decode(bytes: &'static [u8]) -> Result<Attrs, Malformed> {
        Attrs::decode(&mut FieldReader::new(Bytes::from_static(bytes)))
    }

    #[test]
    fn extended_pairs_and_unknown_flags_are_skipped() {
        let mode = Ok(Attrs { permissions: Some(0o644), ..Attrs::default() });
        assert_eq!(decode(b"\x80\0\0\x04\0\0\x01\xa4\0\0\0\x02\0\0\0\x01a\0\0\0\0\0\0\0\x01b\0\0\0\x01c"), mode);
        assert_eq!(decode(b"\x7f\xff\xff\xf4\0\0\x01\xa4"), mode);
    }

    #[test]
    fn fewer_pairs_than_announced_are_malformed() {
        assert_eq!(decode(b"\x80\0\0\0\xff\xff\xff\xff\0\0\0\0\0\0\0\0"), Err(Malformed::Short));
        assert_eq!(decode(b"\x80\0\0\0\0\0\0\x01\0\0\0\x01a"), Err(Malformed::Short));
    }

    #[test]
    fn the_fields_behind_the_pairs_are_found() {
        let mut reader = FieldReader::new(Bytes::from_static(b"\x80\0\0\0\0\0\0\x01\0\0\0\x01a\0\0\0\x01bz"));
        assert_eq!(Attrs::decode(&mut reader), Ok(Attrs::default()));
        assert_eq!(reader.rest(), "z");
    }
}
