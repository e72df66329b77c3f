//! Accepts connections, within bounds, and goes on whatever `accept` says.

use super::{
    connection::{Services, Stop, serve},
    refusals::Refusals,
};
use crate::policy::{Connections, Source};
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, task::JoinSet, time::sleep};
use tracing::warn;

/// How long nothing is accepted after an error. The usual one is that the process has no file descriptor left, and
/// that another connection must end first.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Serves `listener` until the server stops, then waits for the connections that it has accepted.
pub async fn listen(listener: TcpListener, services: Arc<Services>, connections: Arc<Connections>, stop: Stop) {
    let mut open = JoinSet::new();
    let mut refusals = Refusals::new(services.events.clone());
    let mut failing = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => continue,
            () = stop.drain.cancelled() => break,
        };
        match accepted {
            Ok((socket, source)) => {
                failing = false;
                match connections.admit(Source::new(source.ip(), None)) {
                    Ok(place) => drop(open.spawn(serve(Arc::clone(&services), socket, source, place, stop.clone()))),
                    Err(reason) => refusals.record(source.ip(), reason),
                }
            }
            Err(error) => {
                if !failing {
                    warn!(%error, "no connection can be accepted at the moment");
                }
                failing = true;
                sleep(BACK_OFF).await;
            }
        }
    }
    drop(listener);
    while open.join_next().await.is_some() {}
}
