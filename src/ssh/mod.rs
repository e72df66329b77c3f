//! The edge that knows russh: sockets in, SFTP channels of [`session`](crate::session)s out. The only module that names it.
//!
//! ```text
//! Server → listener → admission → connection ─┬→ clocks: login deadline, idle, drain → goodbye, then cut
//!                                             └→ handler ─┬→ auth → access::Login
//!                                                         └→ channel → sftp::channel (Inbound · Outbound)
//! ```
//!
//! It bounds what strangers may cost, says who is there, and hands on the bytes of `sftp` channels. It serves nothing
//! else.

mod admission;
mod algorithms;
mod arithmetic;
mod auth;
mod buffered;
mod channel;
mod configs;
mod connection;
mod cut;
mod end_reason;
mod ending;
mod greeting;
mod handler;
mod holder;
mod host_key_signer;
mod host_keys;
mod listener;
mod proxy;
mod server;
mod settings;

pub use algorithms::{Algorithms, Cipher, KeyExchange, Mac, UnknownAlgorithm};
pub use host_keys::{HostKeyError, HostKeyKind, HostKeys, HostKeysExamined, UnknownHostKeyKind};
pub use proxy::{ProxyHeader, ProxyHeaderError, ProxyProtocol};
pub use server::{BindError, Listening, Server, find_bind_errors};
pub use settings::Settings;

// build.rs stops a build that doesn't patch russh. This stops one with other patches, or with a russh that was built before
// there were any: `cargo clean -p russh` mends that.
const _: () = assert!(is_same(russh::PATCHES.as_bytes(), env!("WHARFINGER_RUSSH_PATCHES").as_bytes()));

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((first, rest)), Some((other_first, other_rest))) => *first == *other_first && is_same(rest, other_rest),
        _ => false,
    }
}
