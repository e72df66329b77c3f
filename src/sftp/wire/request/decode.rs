//! Decodes a frame's body into a [`Request`]. Ignores bytes behind the last field: some clients send the flags of
//! version 5.

use bytes::Bytes;

use super::Request;
use crate::sftp::wire::{Attrs, Extended, Handle, MAX_HANDLE_BYTES, Malformed, OpenFlags, fields::FieldReader, kind};

/// The reason why a frame is no valid request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The frame contradicts its own type, so the server can't trust the rest of the stream and must end the channel.
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// Version 3 has no request of this type. Clients wait for the answer: OP_UNSUPPORTED with this id.
    #[error("unknown request type {kind}")]
    Unknown {
        /// The first field, which is the id in every request but INIT.
        id: u32,
        /// The frame's type.
        kind: u8,
    },
}

/// The bytes of a WRITE up to the end of the longest handle.
const HANDLE_END: usize = 1 + 4 + 4 + MAX_HANDLE_BYTES;

impl Request {
    /// Returns the handle of a WRITE of which only the beginning has arrived.
    pub(crate) fn written_handle(body: &[u8]) -> Option<Handle> {
        let mut reader = FieldReader::new(Bytes::copy_from_slice(body.get(..HANDLE_END).unwrap_or(body)));
        let (kind, _id) = (reader.u8().ok()?, reader.u32().ok()?);
        let handle = Handle::decode(&mut reader).ok()?;
        (kind == kind::WRITE).then_some(handle)
    }

    /// Decodes a frame's body, as [`FrameReader`](crate::sftp::wire::FrameReader) returns it.
    ///
    /// # Errors
    /// The body is malformed or of an unknown type.
    pub(crate) fn decode(frame: Bytes) -> Result<Self, DecodeError> {
        let mut reader = FieldReader::new(frame);
        let r = &mut reader;
        let kind = r.u8()?;
        if kind == kind::INIT {
            return Ok(Self::Init { version: r.u32()? });
        }
        let id = r.u32()?;
        Ok(match kind {
            kind::OPEN => {
                let (path, flags) = (r.string()?, OpenFlags::from_bits(r.u32()?));
                Self::Open { id, path, flags, attrs: Attrs::decode(r)? }
            }
            kind::CLOSE => Self::Close { id, handle: Handle::decode(r)? },
            kind::READ => Self::Read { id, handle: Handle::decode(r)?, offset: r.u64()?, length: r.u32()? },
            kind::WRITE => Self::Write { id, handle: Handle::decode(r)?, offset: r.u64()?, data: r.string()? },
            kind::LSTAT => Self::Lstat { id, path: r.string()? },
            kind::FSTAT => Self::Fstat { id, handle: Handle::decode(r)? },
            kind::SETSTAT => Self::SetStat { id, path: r.string()?, attrs: Attrs::decode(r)? },
            kind::FSETSTAT => Self::FsetStat { id, handle: Handle::decode(r)?, attrs: Attrs::decode(r)? },
            kind::OPENDIR => Self::OpenDir { id, path: r.string()? },
            kind::READDIR => Self::ReadDir { id, handle: Handle::decode(r)? },
            kind::REMOVE => Self::Remove { id, path: r.string()? },
            kind::MKDIR => Self::Mkdir { id, path: r.string()?, attrs: Attrs::decode(r)? },
            kind::RMDIR => Self::Rmdir { id, path: r.string()? },
            kind::REALPATH => Self::RealPath { id, path: r.string()? },
            kind::STAT => Self::Stat { id, path: r.string()? },
            kind::RENAME => Self::Rename { id, source: r.string()?, target: r.string()? },
            kind::READLINK => Self::ReadLink { id, path: r.string()? },
            kind::SYMLINK => Self::Symlink { id, target: r.string()?, link: r.string()? },
            kind::EXTENDED => Self::Extended { id, request: Extended::decode(r)? },
            kind => return Err(DecodeError::Unknown { id, kind }),
        })
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::sftp::wire::{CopyData, FileTimes, FrameReader, OwnerIds};

    const ID: u32 = 0x0102_0304;

    fn path() -> Bytes {
        Bytes::from_static(b"/w/a")
    }

    fn link() -> Bytes {
        Bytes::from_static(b"/w/b")
    }

    fn decode(frame: &'static [u8]) -> Result<Request, DecodeError> {
        Request::decode(Bytes::from_static(frame))
    }

    fn mode(mode: u32) -> Attrs {
        Attrs { permissions: Some(mode), ..Attrs::default() }
    }

    /// Checks frames as OpenSSH 9.2's `sftp` sent them in a session of `put -p`, `reput`, `ls`, `get`, `rename` and
    /// more, with this id, this handle and these paths. Requests that it didn't send there follow the draft.
    fn golden<const N: usize>(frames: [(&'static [u8], Request); N]) {
        for (frame, request) in frames {
            let body = FrameReader::default().next(&mut &frame[..]).unwrap().unwrap();
            assert_eq!(Request::decode(body), Ok(request.clone()));
            let mut out = BytesMut::new();
            request.encode(&mut out);
            assert_eq!(out, frame, "{request:?}");
        }
    }

    #[test]
    fn golden_requests_of_handles() {
        let (id, handle) = (ID, Handle::from(5));
        let times = Some(FileTimes { accessed: 1_700_000_000, modified: 1_700_000_000 });
        let kept = Attrs { times, ..mode(0o644) };
        let upload = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        let resume = OpenFlags::WRITE | OpenFlags::APPEND | OpenFlags::CREATE;
        golden([
            (b"\0\0\0\x05\x01\0\0\0\x03", Request::Init { version: 3 }),
            (
                b"\0\0\0\x21\x03\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x1a\0\0\0\x0c\0\0\x01\xa4eS\xf1\0eS\xf1\0",
                Request::Open { id, path: path(), flags: upload, attrs: kept },
            ),
            (
                b"\0\0\0\x19\x03\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x0e\0\0\0\x04\0\0\x01\xa4",
                Request::Open { id, path: path(), flags: resume, attrs: mode(0o644) },
            ),
            (
                b"\0\0\0\x15\x03\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x01\0\0\0\0",
                Request::Open { id, path: path(), flags: OpenFlags::READ, attrs: Attrs::default() },
            ),
            (b"\0\0\0\x0d\x04\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05", Request::Close { id, handle: handle.clone() }),
            (
                b"\0\0\0\x19\x05\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05\0\0\0\0\0\0\0\x0c\0\x03\xfb\xf4",
                Request::Read { id, handle: handle.clone(), offset: 12, length: 261_108 },
            ),
            (
                b"\0\0\0\x1f\x06\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05\0\0\0\0\0\0\0\x06\0\0\0\x06world\n",
                Request::Write { id, handle: handle.clone(), offset: 6, data: Bytes::from_static(b"world\n") },
            ),
            (b"\0\0\0\x0d\x08\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05", Request::Fstat { id, handle: handle.clone() }),
            (
                b"\0\0\0\x1d\x0a\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05\0\0\0\x0c\0\0\x01\xa4eS\xf1\0eS\xf1\0",
                Request::FsetStat { id, handle: handle.clone(), attrs: kept },
            ),
            (b"\0\0\0\x0d\x0c\x01\x02\x03\x04\0\0\0\x04\0\0\0\x05", Request::ReadDir { id, handle }),
        ]);
    }

    #[test]
    fn golden_requests_of_paths() {
        let id = ID;
        golden([
            (b"\0\0\0\x0d\x07\x01\x02\x03\x04\0\0\0\x04/w/a", Request::Lstat { id, path: path() }),
            (
                b"\0\0\0\x15\x09\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x04\0\0\x01\x80",
                Request::SetStat { id, path: path(), attrs: mode(0o600) },
            ),
            (b"\0\0\0\x0d\x0b\x01\x02\x03\x04\0\0\0\x04/w/a", Request::OpenDir { id, path: path() }),
            (b"\0\0\0\x0d\x0d\x01\x02\x03\x04\0\0\0\x04/w/a", Request::Remove { id, path: path() }),
            (
                b"\0\0\0\x15\x0e\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x04\0\0\x01\xff",
                Request::Mkdir { id, path: path(), attrs: mode(0o777) },
            ),
            (b"\0\0\0\x0d\x0f\x01\x02\x03\x04\0\0\0\x04/w/a", Request::Rmdir { id, path: path() }),
            (b"\0\0\0\x0a\x10\x01\x02\x03\x04\0\0\0\x01.", Request::RealPath { id, path: Bytes::from_static(b".") }),
            (b"\0\0\0\x0d\x11\x01\x02\x03\x04\0\0\0\x04/w/a", Request::Stat { id, path: path() }),
            (
                b"\0\0\0\x15\x12\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x04/w/b",
                Request::Rename { id, source: path(), target: link() },
            ),
            (b"\0\0\0\x0d\x13\x01\x02\x03\x04\0\0\0\x04/w/a", Request::ReadLink { id, path: path() }),
            // `ln -s /w/a /w/b`: the target comes first.
            (
                b"\0\0\0\x15\x14\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x04/w/b",
                Request::Symlink { id, target: path(), link: link() },
            ),
            (
                b"\0\0\0\x19\x09\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x02\0\0\x03\xe8\0\0\x03\xe9",
                Request::SetStat {
                    id,
                    path: path(),
                    attrs: Attrs { owner: Some(OwnerIds { uid: 1000, gid: 1001 }), ..Attrs::default() },
                },
            ),
            (
                b"\0\0\0\x19\x09\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x01\0\0\0\x01\0\0\0\0",
                Request::SetStat { id, path: path(), attrs: Attrs { size: Some(1 << 32), ..Attrs::default() } },
            ),
        ]);
    }

    #[test]
    fn golden_requests_of_extensions() {
        let extended = |request| Request::Extended { id: ID, request };
        golden([
            (b"\0\0\0\x1b\xc8\x01\x02\x03\x04\0\0\0\x12limits@openssh.com", extended(Extended::Limits)),
            (
                b"\0\0\0\x31\xc8\x01\x02\x03\x04\0\0\0\x18posix-rename@openssh.com\0\0\0\x04/w/a\0\0\0\x04/w/b",
                extended(Extended::PosixRename { source: path(), target: link() }),
            ),
            (
                b"\0\0\0\x2d\xc8\x01\x02\x03\x04\0\0\0\x14lsetstat@openssh.com\0\0\0\x04/w/a\0\0\0\x04\0\0\x01\x80",
                extended(Extended::LsetStat { path: path(), attrs: mode(0o600) }),
            ),
            (
                b"\0\0\0\x25\xc8\x01\x02\x03\x04\0\0\0\x17expand-path@openssh.com\0\0\0\x01~",
                extended(Extended::ExpandPath { path: Bytes::from_static(b"~") }),
            ),
            (
                b"\0\0\0\x1b\xc8\x01\x02\x03\x04\0\0\0\x0ehome-directory\0\0\0\0",
                extended(Extended::HomeDirectory { user: Bytes::new() }),
            ),
            (
                b"\0\0\0\x3a\xc8\x01\x02\x03\x04\0\0\0\x09copy-data\0\0\0\x04\0\0\0\x05\
                    \0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x06\0\0\0\0\0\0\0\0",
                extended(Extended::CopyData(CopyData {
                    source: Handle::from(5),
                    source_offset: 0,
                    length: 0,
                    target: Handle::from(6),
                    target_offset: 0,
                })),
            ),
            (
                b"\0\0\0\x1a\xc8\x01\x02\x03\x04\0\0\0\x11fsync@openssh.com",
                extended(Extended::Unknown(Bytes::from_static(b"fsync@openssh.com"))),
            ),
        ]);
    }

    #[test]
    fn data_is_a_slice_of_its_frame() {
        let frame =
            Bytes::from([&b"\x06\0\0\0\x01\0\0\0\x01h\0\0\0\0\0\0\0\0\0\x03\xfc\0"[..], &vec![7; 261_120]].concat());
        let inside = frame.as_ptr_range();
        let Ok(Request::Write { data, .. }) = Request::decode(frame.clone()) else { panic!("a WRITE") };
        assert_eq!(data.len(), 261_120);
        assert!(inside.contains(&data.as_ptr()));
    }

    #[test]
    fn an_unknown_type_is_told_with_its_id_and_without_one_is_malformed() {
        for kind in [0, 2, 21, 99, 101, 105, 201, 255] {
            let frame = Bytes::from([&[kind][..], b"\x01\x02\x03\x04?"].concat());
            assert_eq!(Request::decode(frame.clone()), Err(DecodeError::Unknown { id: ID, kind }));
            assert_eq!(Request::decode(frame.slice(..4)), Err(Malformed::Short.into()));
        }
    }

    #[test]
    fn a_rename_with_the_flags_of_version_5_is_a_rename() {
        let frame = b"\x12\x01\x02\x03\x04\0\0\0\x04/w/a\0\0\0\x04/w/b\0\0\0\x01";
        assert_eq!(decode(frame), Ok(Request::Rename { id: ID, source: path(), target: link() }));
    }

    #[test]
    fn a_length_beyond_the_frame_is_malformed() {
        for frame in
            [&b"\x07\0\0\0\x01\0\0\0\x05/w/a"[..], b"\x07\0\0\0\x01\xff\xff\xff\xff/w/a", b"\x07\0\0\0\x01\0\0\0", b""]
        {
            assert_eq!(decode(frame), Err(Malformed::Short.into()), "{frame:?}");
        }
    }

    #[test]
    fn a_handle_has_at_most_256_bytes() {
        let close = |length: u16| {
            let head = [&b"\x04\0\0\0\x01\0\0"[..], &length.to_be_bytes()].concat();
            Request::decode([head, vec![b'h'; usize::from(length)]].concat().into())
        };
        assert!(close(0).is_ok());
        assert!(close(256).is_ok());
        assert_eq!(close(257), Err(Malformed::HandleTooLong.into()));
    }

    #[test]
    fn a_copy_that_says_less_than_it_must_is_malformed() {
        let copy = b"\xc8\0\0\0\x01\0\0\0\x09copy-data\0\0\0\x01s\0\0\0\0\0\0\0\x07\
            \0\0\0\0\0\0\0\x08\0\0\0\x01t\0\0\0\0\0\0\0\x09";
        let handle = |name: &'static [u8]| Handle::try_from(Bytes::from_static(name)).unwrap();
        let request = Extended::CopyData(CopyData {
            source: handle(b"s"),
            source_offset: 7,
            length: 8,
            target: handle(b"t"),
            target_offset: 9,
        });
        assert_eq!(decode(copy), Ok(Request::Extended { id: 1, request }));
        for cut in 18..copy.len() {
            assert_eq!(decode(&copy[..cut]), Err(Malformed::Short.into()), "{cut}");
        }
    }

    #[test]
    fn names_need_not_be_utf_8() {
        let frame = b"\x0d\0\0\0\x01\0\0\0\x05/\xff\0\n\\";
        assert_eq!(decode(frame), Ok(Request::Remove { id: 1, path: Bytes::from_static(b"/\xff\0\n\\") }));
    }
}
