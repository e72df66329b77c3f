//! The requests of a client (draft, section 6). Names are the client's bytes; `vfs` parses them into paths.
//!
//! Every byte string is a slice of its frame and keeps the whole frame in memory.

mod decode;
mod encode;

use bytes::Bytes;

use super::{Attrs, Extended, Handle, OpenFlags};

pub use decode::DecodeError;

/// One request, with the `id` that its reply must carry.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "fields are the draft's own: each request is documented with its section")]
pub enum Request {
    /// Begins the conversation (section 4). It has no id, and its answer is VERSION. The server ignores the client's
    /// extensions.
    Init { version: u32 },
    /// Opens a file (6.3). `attrs` apply to a file that it creates.
    Open { id: u32, path: Bytes, flags: OpenFlags, attrs: Attrs },
    /// Closes a file or a directory (6.3).
    Close { id: u32, handle: Handle },
    /// Reads `length` bytes at `offset` (6.4).
    Read { id: u32, handle: Handle, offset: u64, length: u32 },
    /// Writes `data` at `offset` (6.4).
    Write { id: u32, handle: Handle, offset: u64, data: Bytes },
    /// Asks for the attributes of the path itself, even if it is a symbolic link (6.8).
    Lstat { id: u32, path: Bytes },
    /// Asks for the attributes of an open file (6.8).
    Fstat { id: u32, handle: Handle },
    /// Sets attributes by path (6.9).
    SetStat { id: u32, path: Bytes, attrs: Attrs },
    /// Sets attributes of an open file (6.9).
    FsetStat { id: u32, handle: Handle, attrs: Attrs },
    /// Opens a directory to list it (6.7).
    OpenDir { id: u32, path: Bytes },
    /// Asks for the next names of an open directory (6.7).
    ReadDir { id: u32, handle: Handle },
    /// Removes a file (6.5).
    Remove { id: u32, path: Bytes },
    /// Creates a directory (6.6).
    Mkdir { id: u32, path: Bytes, attrs: Attrs },
    /// Removes an empty directory (6.6).
    Rmdir { id: u32, path: Bytes },
    /// Asks for the absolute form of a path (6.11).
    RealPath { id: u32, path: Bytes },
    /// Asks for the attributes of the path's target (6.8).
    Stat { id: u32, path: Bytes },
    /// Renames, unless `target` exists (6.5).
    Rename { id: u32, source: Bytes, target: Bytes },
    /// Asks for the target of a symbolic link (6.10).
    ReadLink { id: u32, path: Bytes },
    /// Creates the symbolic link `link` to `target` (6.10).
    ///
    /// In the draft `link` is first on the wire. In OpenSSH's client and server it is second. Every other client that
    /// interoperates with them follows OpenSSH, and so does this codec.
    Symlink { id: u32, target: Bytes, link: Bytes },
    /// An extension's request (section 8).
    Extended { id: u32, request: Extended },
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;

    use super::*;
    use crate::sftp::wire::{FrameReader, Malformed, arbitrary};

    fn body(request: &Request) -> Bytes {
        let mut out = BytesMut::new();
        request.encode(&mut out);
        let mut input = &out[..];
        let body = FrameReader::default().next(&mut input).unwrap().unwrap();
        assert!(input.is_empty());
        body
    }

    proptest! {
        #[test]
        fn every_request_comes_back_as_it_was(request in arbitrary::request()) {
            prop_assert_eq!(Request::decode(body(&request)), Ok(request));
        }

        #[test]
        fn trailing_bytes_are_ignored(request in arbitrary::request(), trailing: Vec<u8>) {
            let frame = [&body(&request)[..], &trailing].concat();
            prop_assert_eq!(Request::decode(frame.into()), Ok(request));
        }

        #[test]
        fn a_truncated_request_is_malformed(request in arbitrary::request(), cut: prop::sample::Index) {
            let mut body = body(&request);
            body.truncate(cut.index(body.len()));
            prop_assert_eq!(Request::decode(body), Err(DecodeError::Malformed(Malformed::Short)));
        }

        #[test]
        fn arbitrary_bytes_never_panic(kind in prop_oneof![0_u8..22, 200_u8..202, any::<u8>()], rest: Vec<u8>) {
            let frame = [&[kind][..], &rest].concat();
            if let Ok(request) = Request::decode(frame.into()) {
                prop_assert_eq!(Request::decode(body(&request)), Ok(request));
            }
        }

        #[test]
        fn a_changed_byte_never_panics(request in arbitrary::request(), at: prop::sample::Index, byte: u8) {
            let mut body = body(&request).to_vec();
            let at = at.index(body.len());
            body[at] = byte;
            let _ = Request::decode(body.into());
        }
    }
}
