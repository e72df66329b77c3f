//! The open listeners, and their replacement by those of a new list of addresses.

use super::{
    bind::{BindError, ListenAddress},
    connection::Stop,
    listener::{Accepting, listen},
};
use std::{mem, net::SocketAddr, sync::Arc};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// All listeners of a server.
#[derive(Default)]
pub(super) struct OpenListeners {
    listeners: Vec<OpenListener>,
    /// `None` before the server runs.
    stop: Option<Stop>,
}

/// The addresses that a change opened and closed, with the ports that the system chose.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerChanges {
    /// The addresses on which the server listens since.
    pub added: Vec<SocketAddr>,
    /// The addresses that it closed.
    pub removed: Vec<SocketAddr>,
}

struct OpenListener {
    /// The address in the settings.
    asked: ListenAddress,
    /// The address with the port that the system chose.
    local: SocketAddr,
    socket: ListenerSocket,
}

enum ListenerSocket {
    /// The kernel queues connections until the server runs.
    Bound(TcpListener),
    /// Cancelling `close` makes the `task` accept the connections that the kernel has queued, and end.
    Accepting {
        close: CancellationToken,
        task: JoinHandle<()>,
    },
    Closed,
}

impl OpenListeners {
    /// Listens on one more address. Returns it with the port that the system chose.
    ///
    /// # Errors
    /// The server can't listen on it.
    pub(super) fn bind(&mut self, address: ListenAddress) -> Result<SocketAddr, BindError> {
        let listener = OpenListener::bind(address, address)?;
        let local = listener.local;
        self.listeners.push(listener);
        Ok(local)
    }

    /// Makes all listeners accept until `stop`.
    pub(super) fn accept(&mut self, accepting: &Arc<Accepting>, stop: &Stop) {
        self.stop = Some(stop.clone());
        self.accept_new(accepting);
    }

    /// Makes the new listeners accept, if the server runs.
    pub(super) fn accept_new(&mut self, accepting: &Arc<Accepting>) {
        if let Some(stop) = &self.stop {
            self.listeners.iter_mut().for_each(|listener| listener.accept(accepting, stop));
        }
    }

    /// Waits for the end of all listeners. Call it after the stop.
    pub(super) async fn end(&mut self) {
        for listener in self.listeners.drain(..) {
            if let ListenerSocket::Accepting { task, .. } = listener.socket {
                // The task fails only if it panicked.
                let _ = task.await;
            }
        }
    }

    /// Tries to listen again on the addresses that were lost after an error. Returns those that are open again.
    pub(super) fn reopen(&mut self) -> Vec<SocketAddr> {
        let closed = self.listeners.iter_mut().filter(|listener| !listener.is_open());
        closed.filter_map(|listener| listener.reopen().is_ok().then_some(listener.local)).collect()
    }

    /// Replaces the listeners by those of the list. A listener that is in both stays open. Changes nothing once the server
    /// stops.
    ///
    /// # Errors
    /// The addresses that the server can't listen on. The listeners are as before then.
    pub(super) async fn replace(&mut self, listen: &[SocketAddr]) -> Result<ListenerChanges, Vec<BindError>> {
        if self.stop.as_ref().is_some_and(|stop| stop.drain.is_cancelled()) {
            return Ok(ListenerChanges::default());
        }
        let mut added = ListenAddress::all(listen);
        let (mut listeners, mut removed) = (Vec::new(), Vec::new());
        // A listener that couldn't be opened again after an error counts as new.
        for listener in mem::take(&mut self.listeners).into_iter().filter(OpenListener::is_open) {
            match added.iter().position(|address| *address == listener.asked) {
                Some(at) => {
                    added.remove(at);
                    listeners.push(listener);
                }
                None => removed.push(listener),
            }
        }
        let new = bind_instead(&added, &mut removed).await;
        let result = new.map(|new| {
            let local = |listeners: &[OpenListener]| listeners.iter().map(|listener| listener.local).collect();
            let changes = ListenerChanges { added: local(&new), removed: local(&removed) };
            listeners.extend(new);
            changes
        });
        match &result {
            Ok(_) => {
                for mut listener in removed {
                    listener.close().await;
                }
            }
            Err(_) => listeners.extend(removed),
        }
        self.listeners = listeners;
        result
    }
}

/// Listens on the `added` addresses. First closes those `removed` listeners that exclude them, and opens these again
/// after an error.
async fn bind_instead(
    added: &[ListenAddress],
    removed: &mut [OpenListener],
) -> Result<Vec<OpenListener>, Vec<BindError>> {
    let is_blocked = |address: &ListenAddress, removed: &[OpenListener]| {
        removed.iter().any(|listener| listener.address().excludes(address))
    };
    let (blocked, free): (Vec<_>, Vec<_>) = added.iter().partition(|address| is_blocked(address, removed));
    let mut new = bind_all(&free)?;
    for listener in &mut *removed {
        if blocked.iter().any(|address| listener.address().excludes(address)) {
            listener.close().await;
        }
    }
    match bind_all(&blocked) {
        Ok(listeners) => {
            new.extend(listeners);
            Ok(new)
        }
        Err(mut errors) => {
            errors.extend(removed.iter_mut().filter_map(|listener| listener.reopen().err()).map(BindError::of_lost));
            Err(errors)
        }
    }
}

fn bind_all(addresses: &[&ListenAddress]) -> Result<Vec<OpenListener>, Vec<BindError>> {
    let (mut listeners, mut errors) = (Vec::new(), Vec::new());
    for address in addresses {
        match OpenListener::bind(**address, **address) {
            Ok(listener) => listeners.push(listener),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(listeners) } else { Err(errors) }
}

impl OpenListener {
    /// Listens on `address`, for the address `asked` in the settings.
    fn bind(asked: ListenAddress, address: ListenAddress) -> Result<Self, BindError> {
        let (local, listener) = address.bind()?;
        Ok(Self { asked, local, socket: ListenerSocket::Bound(listener) })
    }

    /// Returns the address with the port that the system chose.
    fn address(&self) -> ListenAddress {
        self.asked.at(self.local)
    }

    fn is_open(&self) -> bool {
        !matches!(self.socket, ListenerSocket::Closed)
    }

    /// Accepts connections, unless it does already.
    fn accept(&mut self, accepting: &Arc<Accepting>, stop: &Stop) {
        self.socket = match mem::replace(&mut self.socket, ListenerSocket::Closed) {
            ListenerSocket::Bound(listener) => {
                let close = CancellationToken::new();
                let task = listen(listener, Arc::clone(accepting), stop.clone(), close.clone());
                ListenerSocket::Accepting { close, task: tokio::spawn(task) }
            }
            other => other,
        };
    }

    /// Closes the socket. Connections that it has accepted continue.
    async fn close(&mut self) {
        if let ListenerSocket::Accepting { close, task } = mem::replace(&mut self.socket, ListenerSocket::Closed) {
            close.cancel();
            // The task fails only if it panicked. Its socket is closed then too.
            let _ = task.await;
        }
    }

    /// Listens again, if the socket was closed.
    ///
    /// # Errors
    /// Another process took the address meanwhile.
    fn reopen(&mut self) -> Result<(), BindError> {
        if !self.is_open() {
            *self = Self::bind(self.asked, self.address())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net;

    #[tokio::test]
    async fn a_lost_address_is_tried_again() {
        let mut open = OpenListeners::default();
        let asked = ListenAddress::all(&["127.0.0.1:0".parse().unwrap()])[0];
        let local = open.bind(asked).unwrap();
        assert_eq!(open.reopen(), [], "it is open");
        open.listeners[0].close().await;
        let thief = net::TcpListener::bind(local).unwrap();
        let error = open.listeners[0].reopen().unwrap_err().of_lost().to_string();
        let sentence = format!("cannot listen on {local} any more, and tries again every second: ");
        assert!(error.starts_with(&sentence), "{error}");
        assert_eq!(open.reopen(), []);
        drop(thief);
        assert_eq!(open.reopen(), [local]);
        // A list that still has the address opens no other socket for it.
        let changes = open.replace(&[asked.address]).await.unwrap();
        assert_eq!(changes, ListenerChanges::default());
    }
}
