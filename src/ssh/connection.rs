//! The state of one connection, which its parts share.

use super::{algorithms::algorithms_in_use, ending::Ending, error::Error};
use crate::{
    access::{ClientAddress, Peer},
    policy::LoginProgress,
    session::Activity,
};
use russh::Names;
use std::{io, sync::Arc};
use tokio_util::sync::CancellationToken;

/// The two steps of stopping. `drain` refuses new connections and lets transfers finish; `disconnect` ends the
/// remaining connections.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    pub(crate) drain: CancellationToken,
    pub(crate) disconnect: CancellationToken,
}

/// The state that the parts of one connection share.
pub(crate) struct Connection {
    pub(crate) peer: Arc<Peer>,
    pub(crate) activity: Arc<Activity>,
    pub(crate) ending: Ending,
    pub(super) progress: LoginProgress,
    pub(super) disconnect: CancellationToken,
}

impl Connection {
    pub(super) fn new(client: ClientAddress, progress: LoginProgress) -> io::Result<Self> {
        let number = getrandom::u64()?;
        Ok(Self {
            peer: Arc::new(Peer::new(format!("{number:016x}").into(), client)),
            activity: Activity::new(),
            ending: Ending::default(),
            // Policy drops a connection that makes room for another one. Its cut must be immediate, so that it stops
            // counting.
            disconnect: progress.dropped().child_token(),
            progress,
        })
    }

    /// Records the algorithms of a first or repeated key exchange.
    pub(crate) fn keys_exchanged(&self, names: &Names) {
        self.progress.finish_key_exchange();
        self.peer.set_algorithms(|| algorithms_in_use(names));
    }

    /// Returns the output of `work`, or [`Error::Disconnected`] if the connection is cut first.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            output = work => Ok(output),
            () = self.disconnect.cancelled() => Err(Error::Disconnected),
        }
    }
}
