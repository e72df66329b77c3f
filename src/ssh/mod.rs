//! The SSH edge: sockets in, SFTP channels of [`session`](crate::session)s out. It is the only module that names russh.
//!
//! ```text
//! Server → listener → admission → serving ─┬→ clocks: login deadline, idle, drain → goodbye, then cut
//!                                          └→ handler ─┬→ auth → access::Login
//!                                                      └→ channel → sftp::channel (Inbound · Outbound)
//! ```
//!
//! It bounds the cost of clients that haven't logged in, authenticates users, and passes on the bytes of `sftp`
//! channels. It offers no other service.

mod admission;
mod algorithms;
mod arithmetic;
mod auth;
mod bind;
mod buffered;
mod cancellable_stream;
mod channel;
mod configs;
mod connection;
mod end_reason;
mod ending;
mod error;
mod greeting;
mod handler;
mod host_key_signer;
mod host_keys;
mod listener;
mod listeners;
mod open_listeners;
mod port_holder;
mod proxy;
mod server;
mod services;
mod serving;
mod settings;

pub(crate) use algorithms::{Algorithms, Cipher, KeyExchange, Mac};
pub use bind::{BindError, find_bind_errors};
pub(crate) use host_keys::HostKeyFingerprint;
pub use host_keys::{HostKeyError, HostKeyKind, HostKeys, HostKeysExamined, UnknownHostKeyKind};
pub use listeners::Listeners;
pub use open_listeners::ListenerChanges;
pub use proxy::{ProxyHeader, ProxyHeaderError, ProxyProtocol};
pub use server::{Listening, Server};
pub use settings::Settings;

// build.rs stops a build that doesn't patch russh. This assertion stops a build with other patches, or with a russh
// that was built before the patches existed. `cargo clean -p russh` fixes the latter.
const _: () = assert!(is_same(russh::PATCHES.as_bytes(), env!("WHARFINGER_RUSSH_PATCHES").as_bytes()));

const fn is_same(one: &[u8], other: &[u8]) -> bool {
    match (one.split_first(), other.split_first()) {
        (None, None) => true,
        (Some((first, rest)), Some((other_first, other_rest))) => *first == *other_first && is_same(rest, other_rest),
        _ => false,
    }
}
