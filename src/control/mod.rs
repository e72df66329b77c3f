//! The control socket: an operator's commands to a running server. `docs/operations.md` has the protocol.
//!
//! ```text
//! cli → client → [socket] → connection → app::Operator → session::Registry · app::Reload
//! ```
//!
//! It is an edge like `ssh`: it checks the peer, reads a request and writes its answers. The work is done elsewhere.
//!
//! Invariant: only root and the server's user get an answer. A request, each line of an answer, the number of
//! connections and the time of a silent peer are bounded.

pub(crate) mod client;
mod connection;
mod protocol;
mod socket;

pub(crate) use client::ClientError;
#[cfg(test)]
pub(crate) use protocol::ProblemList;
pub(crate) use protocol::{
    EndTarget, RefusedFile, ReloadAnswer, ReloadCounts, ServerStatus, SessionAnswer, TransferAnswer,
};
pub(crate) use socket::{ControlSocket, SocketError};
