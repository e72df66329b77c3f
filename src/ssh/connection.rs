//! One connection from accept to end: its clocks, and its certain death.
//!
//! russh's own inactivity time-out starts again at every packet, so it neither ends a slow login nor an idle session.
//! The clocks here do: politely first, then by cutting the socket.

use super::{
    buffered::Buffered,
    cut::CutStream,
    ending::{EndReason, Ending},
    handler::{Error, Handler},
};
use crate::{
    events::{Event, Events},
    identity::Provider,
    policy::Unauthenticated,
    session::{Activity, Sessions},
};
use russh::server::{self, RunningSession};
use std::{io, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::TcpStream,
    sync::oneshot,
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How long a client may take to go when it is asked to.
const GOODBYE: Duration = Duration::from_secs(2);

/// While the server drains, a connection that moves nothing for this long has nothing to finish.
const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// The longest reason for an end that goes to the log, in characters. russh's errors quote the client.
const MAX_REASON: usize = 300;

/// What all connections use.
pub struct Services {
    pub provider: Arc<dyn Provider>,
    pub sessions: Arc<Sessions>,
    pub events: Events,
    pub config: Arc<server::Config>,
    pub login_timeout: Duration,
    pub idle_timeout: Duration,
    pub max_login_tries: u32,
}

/// How the server stops: first it takes nobody new and lets transfers finish, then it cuts what is left.
#[derive(Clone, Debug)]
pub struct Stop {
    pub drain: CancellationToken,
    pub cut: CancellationToken,
}

/// What the parts of one connection share.
pub struct Connection {
    /// Unique, for the log.
    pub id: Arc<str>,
    pub source: SocketAddr,
    pub activity: Arc<Activity>,
    pub ending: Ending,
    cut: CancellationToken,
}

impl Connection {
    fn new(source: SocketAddr) -> io::Result<Self> {
        let number = getrandom::u64()?;
        Ok(Self {
            id: format!("{number:016x}").into(),
            source: SocketAddr::new(source.ip().to_canonical(), source.port()),
            activity: Activity::new(),
            ending: Ending::default(),
            cut: CancellationToken::new(),
        })
    }

    /// What `work` gives, unless the connection is cut before: then nobody waits for it any more.
    pub async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, Error> {
        tokio::select! {
            output = work => Ok(output),
            () = self.cut.cancelled() => Err(Error::Cut),
        }
    }
}

/// Serves one connection to its end.
pub async fn serve(services: Arc<Services>, socket: TcpStream, source: SocketAddr, place: Unauthenticated, stop: Stop) {
    let login_deadline = Instant::now() + services.login_timeout;
    // Without it each small reply waits for the client's delayed ACK. Fails only on a socket that is gone already.
    let _ = socket.set_nodelay(true);
    let Ok(connection) = Connection::new(source).map(Arc::new) else { return };
    let _cut_when_dropped = connection.cut.clone().drop_guard();

    let result = converse(&services, &connection, socket, place, login_deadline, &stop).await;
    if let Some(reason) = worth_knowing(&connection, result) {
        services.events.record(&Event::ConnectionEnded {
            connection: Arc::clone(&connection.id),
            source: connection.source,
            reason,
        });
    }
}

async fn converse(
    services: &Arc<Services>,
    connection: &Arc<Connection>,
    socket: TcpStream,
    place: Unauthenticated,
    login_deadline: Instant,
    stop: &Stop,
) -> Result<(), Error> {
    let (logged_in, login) = oneshot::channel();
    let handler = Handler::new(Arc::clone(services), Arc::clone(connection), place, logged_in);
    let stream = CutStream::new(Buffered::new(socket), &connection.cut);
    let greeting = timeout_at(login_deadline, server::run_stream(Arc::clone(&services.config), stream, handler));
    let Ok(session) = stop.drain.run_until_cancelled(greeting).await.unwrap_or(Ok(Err(Error::Cut))) else {
        connection.ending.ask(EndReason::LoginTimeout);
        return Ok(());
    };
    let mut session = session?;
    tokio::select! {
        result = &mut session => return result,
        () = connection.ending.asked() => {}
        reason = clocks(services, connection, login, login_deadline, stop) => connection.ending.ask(reason),
    }
    end(session, connection).await
}

/// Waits for a reason to end the connection.
async fn clocks(
    services: &Services,
    connection: &Connection,
    login: oneshot::Receiver<()>,
    login_deadline: Instant,
    stop: &Stop,
) -> EndReason {
    tokio::select! {
        Ok(()) = login => {}
        () = sleep_until(login_deadline) => return EndReason::LoginTimeout,
        () = stop.drain.cancelled() => return EndReason::Stopping,
    }
    tokio::select! {
        () = idle(&connection.activity, services.idle_timeout) => EndReason::Idle,
        () = stop.cut.cancelled() => EndReason::Stopping,
        () = async {
            stop.drain.cancelled().await;
            idle(&connection.activity, DRAIN_IDLE).await;
        } => EndReason::Stopping,
    }
}

/// Waits until nothing has moved for `limit`.
async fn idle(activity: &Activity, limit: Duration) {
    loop {
        let left = limit.saturating_sub(activity.idle_for());
        if left.is_zero() {
            return;
        }
        sleep(left).await;
    }
}

/// Says goodbye, and cuts the socket when that doesn't help.
async fn end(mut session: RunningSession<Handler>, connection: &Connection) -> Result<(), Error> {
    let handle = session.handle();
    let goodbye = async {
        if let Some(reason) = connection.ending.reason() {
            // It fails only when the session has ended by itself.
            let _ = handle.disconnect(reason.code(), reason.as_str().into(), "en".into()).await;
        }
        (&mut session).await
    };
    if let Ok(result) = timeout(GOODBYE, goodbye).await {
        return result;
    }
    connection.cut.cancel();
    session.await
}

/// Why the connection ended, unless it is that the client simply went.
fn worth_knowing(connection: &Connection, result: Result<(), Error>) -> Option<String> {
    use russh::Error as Ssh;
    if let Some(reason) = connection.ending.reason() {
        return Some(reason.as_str().to_owned());
    }
    match result {
        Ok(()) | Err(Error::Cut | Error::Ssh(Ssh::Disconnect | Ssh::HUP | Ssh::IO(_))) => None,
        Err(Error::Ssh(error)) => Some(error.to_string().chars().take(MAX_REASON).collect()),
    }
}
