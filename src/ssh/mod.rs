//! The edge that knows russh: sockets in, [`session`](crate::session)s out. The only module that names it.
//!
//! It bounds what strangers may cost, says who is there, and hands the bytes of `sftp` channels on. It serves nothing else.

mod algorithms;
mod host_keys;
mod settings;

pub use algorithms::{Algorithms, Cipher, KeyExchange, Mac, UnknownAlgorithm};
pub use host_keys::{HostKeyError, HostKeyKind, HostKeys, UnknownHostKeyKind};
pub use settings::Settings;
