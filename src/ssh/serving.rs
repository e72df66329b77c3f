//! One connection from accept to end, with the clocks that end it.
//!
//! russh restarts its own inactivity time-out at every packet, so that time-out ends neither a slow login nor an idle
//! session. The clocks here end both: they first disconnect in good order, then cut the socket.

use super::{
    admission::Admitted,
    cancellable_stream::CancellableStream,
    connection::{Connection, Stop},
    end_reason::end_reason,
    ending::EndReason,
    error::Error,
    greeting::greet,
    handler::Handler,
    services::Services,
};
use crate::{
    events::Event,
    policy::ConnectionRefusal,
    session::{Activity, Session},
};
use russh::server::{self, RunningSession};
use std::{future::pending, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};

/// The time for a client to close its connection after the server asks it to.
const GOODBYE: Duration = Duration::from_secs(2);

/// The same for a connection whose memory others need.
const SHORT_GOODBYE: Duration = Duration::from_millis(200);

/// The time for the key exchange, within `login_timeout`. A key exchange waits for no person, unlike a password prompt.
const KEY_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// While the server drains, it ends a connection that has moved no bytes for this long.
const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// The deadlines for the steps before the first session.
#[derive(Clone, Copy)]
struct Deadlines {
    key_exchange: Instant,
    login: Instant,
}

impl Deadlines {
    fn new(login: Instant) -> Self {
        Self { key_exchange: login.min(Instant::now() + KEY_EXCHANGE_TIMEOUT), login }
    }

    /// Returns the reason to end a connection that misses the deadline for its key exchange.
    fn key_exchange_reason(self) -> EndReason {
        if self.key_exchange < self.login { EndReason::KeyExchangeTimeout } else { EndReason::LoginTimeout }
    }
}

/// Serves one connection to its end.
pub(crate) async fn serve(services: Arc<Services>, admitted: Admitted, login_deadline: Instant, stop: Stop) {
    let connection = Connection::new(admitted.client.clone(), admitted.place.progress());
    let Ok(connection) = connection.map(Arc::new) else { return };
    let _disconnect_when_dropped = connection.disconnect.clone().drop_guard();

    let result = converse(&services, &connection, admitted, login_deadline, &stop).await;
    if connection.progress.dropped().is_cancelled() {
        services.access.record_refused(connection.peer.address(), ConnectionRefusal::MadeRoom.as_str());
    } else if let Some(reason) = end_reason(&connection, result) {
        let client = connection.peer.program();
        services.access.record(&connection.peer, Event::ConnectionEnded { reason, client });
    }
}

async fn converse(
    services: &Arc<Services>,
    connection: &Arc<Connection>,
    admitted: Admitted,
    login_deadline: Instant,
    stop: &Stop,
) -> Result<(), Error> {
    let deadlines = Deadlines::new(login_deadline);
    let (logged_in, login) = oneshot::channel();
    let handler = Handler::new(Arc::clone(services), Arc::clone(connection), admitted.place, logged_in);
    let stream = CancellableStream::new(admitted.stream, &connection.disconnect);
    let beginning = timeout_at(deadlines.key_exchange, begin(services, connection, stream, handler));
    let Ok(session) = stop.drain.run_until_cancelled(beginning).await.unwrap_or(Ok(Err(Error::Disconnected))) else {
        connection.ending.ask(deadlines.key_exchange_reason());
        return Ok(());
    };
    let mut session = session?;
    tokio::select! {
        result = &mut session => return result,
        () = connection.ending.asked() => {}
        reason = clocks(services, connection, login, deadlines, stop) => connection.ending.ask(reason),
    }
    end(session, connection).await
}

/// Exchanges identifications and hands the stream to russh.
async fn begin<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    services: &Services,
    connection: &Connection,
    stream: S,
    handler: Handler,
) -> Result<RunningSession<Handler>, Error> {
    let greeting = greet(stream, services.configs.gcm.is_some()).await.map_err(russh::Error::from)?;
    connection.peer.set_version(greeting.version);
    let config = services.configs.offering(greeting.ciphers.as_deref());
    server::run_stream(Arc::clone(config), greeting.stream, handler).await
}

/// Waits for a reason to end the connection.
async fn clocks(
    services: &Services,
    connection: &Connection,
    login: oneshot::Receiver<Arc<Session>>,
    deadlines: Deadlines,
    stop: &Stop,
) -> EndReason {
    let session = tokio::select! {
        Ok(session) = login => session,
        () = key_exchange_overdue(connection, deadlines) => return deadlines.key_exchange_reason(),
        () = sleep_until(deadlines.login) => return EndReason::LoginTimeout,
        () = stop.drain.cancelled() => return EndReason::Stopping,
    };
    tokio::select! {
        cause = session.end_asked() => EndReason::Asked(cause),
        () = session.memory().end_asked() => EndReason::OutOfMemory,
        () = idle(&connection.activity, services.idle_timeout) => EndReason::Idle,
        () = stop.disconnect.cancelled() => EndReason::Stopping,
        () = async {
            stop.drain.cancelled().await;
            idle(&connection.activity, DRAIN_IDLE).await;
        } => EndReason::Stopping,
    }
}

/// Waits until the key exchange misses its deadline. Waits forever if the exchange finishes in time.
async fn key_exchange_overdue(connection: &Connection, deadlines: Deadlines) {
    if timeout_at(deadlines.key_exchange, connection.progress.keys_exchanged()).await.is_ok() {
        pending::<()>().await;
    }
}

/// Waits until the connection has moved no bytes for `limit`.
async fn idle(activity: &Activity, limit: Duration) {
    loop {
        let left = limit.saturating_sub(activity.idle_for());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

/// Sends a disconnect, and cuts the socket if the client doesn't close it in time.
async fn end(mut session: RunningSession<Handler>, connection: &Connection) -> Result<(), Error> {
    let handle = session.handle();
    let goodbye = async {
        if let Some(reason) = connection.ending.reason() {
            // The call fails only when the session has already ended by itself.
            let _ = handle.disconnect(reason.code(), reason.as_str().into(), "en".into()).await;
        }
        (&mut session).await
    };
    let is_urgent = connection.ending.reason() == Some(EndReason::OutOfMemory);
    if let Ok(result) = timeout(if is_urgent { SHORT_GOODBYE } else { GOODBYE }, goodbye).await {
        return result;
    }
    connection.disconnect.cancel();
    session.await
}
