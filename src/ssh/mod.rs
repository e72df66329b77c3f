//! The edge that knows russh: sockets in, [`session`](crate::session)s out. The only module that names it.
//!
//! ```text
//! Server → listener → connection ─┬→ clocks: login deadline, idle, drain → goodbye, then cut
//!                                 └→ handler ─┬→ login → identity, policy
//!                                             └→ channel → session (Inbound · Outbound)
//! ```
//!
//! It bounds what strangers may cost, says who is there, and hands on the bytes of `sftp` channels. It serves nothing
//! else.

mod algorithms;
mod buffered;
mod channel;
mod connection;
mod cut;
mod ending;
mod handler;
mod host_keys;
mod listener;
mod login;
mod refusals;
mod server;
mod settings;

pub use algorithms::{Algorithms, Cipher, KeyExchange, Mac, UnknownAlgorithm};
pub use host_keys::{HostKeyError, HostKeyKind, HostKeys, UnknownHostKeyKind};
pub use server::{BindError, Listening, Server};
pub use settings::Settings;
