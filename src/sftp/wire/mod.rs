//! The SFTP version 3 wire codec, sans IO: bytes in, [`Request`]s out; [`Reply`]s in, bytes out.
//!
//! ```text
//! bytes → FrameReader → frame body → Request::decode → session → Reply::encode → bytes
//! ```
//!
//! It implements draft-ietf-secsh-filexfer-02 and those of OpenSSH's extensions (its file `PROTOCOL`) that the server
//! offers. It contains no paths, permissions or storage, and makes no decisions.
//!
//! Invariants: no input makes it panic. It checks every length before it uses it. Names, handles and data are slices of
//! their frame, so a 255 KiB WRITE is copied once, from the SSH packets into its frame.

#[cfg(test)]
mod arbitrary;
mod attrs;
mod copy_data;
mod extension;
mod fields;
mod frame;
mod handle;
mod kind;
mod open_flags;
mod reply;
mod request;
mod status;

pub use attrs::{Attrs, FileTimes, OwnerIds};
pub use copy_data::CopyData;
pub use extension::{Extended, Extension, MAX_READ_BYTES, ServerLimits};
pub(crate) use fields::Malformed;
pub use frame::{FrameError, FramePool, FrameReader, MAX_FRAME_BYTES};
pub use handle::{Handle, MAX_HANDLE_BYTES};
pub use open_flags::OpenFlags;
pub use reply::{NameEntry, Reply};
pub use request::{DecodeError, Request};
pub use status::StatusCode;

/// The protocol version of the server, even if a client asks for a higher one (draft, section 4).
pub(crate) const VERSION: u32 = 3;
