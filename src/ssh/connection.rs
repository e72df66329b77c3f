//! One connection from accept to end: its clocks, and its certain death.
//!
//! russh's own inactivity time-out starts again at every packet, so it neither ends a slow login nor an idle session.
//! The clocks here do: politely first, then by cutting the socket.

use super::{
    admission::Admitted,
    algorithms::needs_mac,
    client_address::ClientAddress,
    cut::CutStream,
    ending::{EndReason, Ending},
    greeting::greet,
    handler::{Error, Handler},
    proxy::ProxyProtocol,
    refusals::Refusals,
};
use crate::{
    events::{Client, Event, Events},
    identity::Provider,
    policy::{KeyExchange, Refusal},
    session::{Activity, Sessions},
};
use ipnet::IpNet;
use russh::{
    AlgorithmKind, Names,
    server::{self, RunningSession},
};
use std::{
    future::pending,
    io,
    net::SocketAddr,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Semaphore, oneshot},
    time::{Instant, sleep, sleep_until, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How long a client may take to go when it is asked to.
const GOODBYE: Duration = Duration::from_secs(2);

/// How long a client may take for the key exchange, within `login_timeout`. It needs no person, as a password does.
const KEY_EXCHANGE_TIMEOUT: Duration = Duration::from_secs(10);

/// While the server drains, a connection that moves nothing for this long has nothing to finish.
const DRAIN_IDLE: Duration = Duration::from_secs(5);

/// The longest reason for an end that goes to the log, in characters. It may hold a client's lists of algorithms.
const MAX_REASON: usize = 1_500;

/// What all connections use.
pub struct Services {
    pub provider: Arc<dyn Provider>,
    pub sessions: Arc<Sessions>,
    pub events: Events,
    pub refusals: Refusals,
    pub configs: Configs,
    /// Permits for the arithmetic of key exchanges and of signatures with host keys: one a core.
    pub arithmetic: Arc<Semaphore>,
    pub proxy: ProxyProtocol,
    pub shared_sources: Vec<IpNet>,
    pub login_timeout: Duration,
    pub idle_timeout: Duration,
    pub max_login_tries: u32,
}

impl Services {
    /// The address `socket` behind `vpc_endpoint`, as limits count it.
    pub fn client_address(&self, socket: SocketAddr, vpc_endpoint: Option<Arc<str>>) -> ClientAddress {
        ClientAddress::new(socket, vpc_endpoint, &self.shared_sources)
    }
}

/// What russh is told to offer.
pub struct Configs {
    /// All algorithms of the settings.
    pub all: Arc<server::Config>,
    /// AES-GCM alone, for clients that know it; `None` if the settings don't prefer it, or don't have it.
    pub gcm: Option<Arc<server::Config>>,
}

impl Configs {
    /// The config for a client that knows `ciphers`, as far as the server knows.
    fn offering(&self, ciphers: Option<&[String]>) -> &Arc<server::Config> {
        let ciphers = ciphers.unwrap_or_default();
        let knows_any = |config: &&Arc<server::Config>| {
            config.preferred.cipher.iter().any(|ours| ciphers.iter().any(|theirs| theirs == ours.as_ref()))
        };
        self.gcm.as_ref().filter(knows_any).unwrap_or(&self.all)
    }
}

/// How the server stops: first it takes nobody new and lets transfers finish, then it cuts what is left.
#[derive(Clone, Debug)]
pub struct Stop {
    pub drain: CancellationToken,
    pub cut: CancellationToken,
}

/// How long a connection has for what comes before its first session.
#[derive(Clone, Copy)]
struct Deadlines {
    key_exchange: Instant,
    login: Instant,
}

impl Deadlines {
    fn new(login: Instant) -> Self {
        Self { key_exchange: login.min(Instant::now() + KEY_EXCHANGE_TIMEOUT), login }
    }

    /// Why a connection ends whose key exchange isn't done in time.
    fn key_exchange_reason(self) -> EndReason {
        if self.key_exchange < self.login { EndReason::KeyExchangeTimeout } else { EndReason::LoginTimeout }
    }
}

/// What the parts of one connection share.
pub struct Connection {
    /// Unique, for the log.
    pub id: Arc<str>,
    pub source: SocketAddr,
    /// The same address, as limits count it.
    pub client: ClientAddress,
    pub activity: Arc<Activity>,
    pub ending: Ending,
    version: OnceLock<Arc<str>>,
    algorithms: OnceLock<Arc<str>>,
    asked_to_log_in: AtomicBool,
    key_exchange: KeyExchange,
    cut: CancellationToken,
}

impl Connection {
    fn new(client: ClientAddress, key_exchange: KeyExchange) -> io::Result<Self> {
        let number = getrandom::u64()?;
        Ok(Self {
            id: format!("{number:016x}").into(),
            source: client.socket,
            client,
            activity: Activity::new(),
            ending: Ending::default(),
            version: OnceLock::new(),
            algorithms: OnceLock::new(),
            asked_to_log_in: AtomicBool::new(false),
            // A connection that makes room for another one is cut: it must not count on.
            cut: key_exchange.dropped().child_token(),
            key_exchange,
        })
    }

    /// The client's program, as far as it is known.
    pub fn program(&self) -> Client {
        Client { version: self.version.get().cloned(), algorithms: self.algorithms.get().cloned() }
    }

    /// Keys were exchanged. A later exchange is not noted: the algorithms of the first are those of the login.
    pub fn keys_exchanged(&self, names: &Names) {
        self.key_exchange.finish();
        self.algorithms.get_or_init(|| {
            let mac = Some(names.client_mac.as_ref()).filter(|_| needs_mac(&names.cipher));
            let words = [names.kex.as_ref(), names.key.as_str(), names.cipher.as_ref()].into_iter().chain(mac);
            words.collect::<Vec<_>>().join(" ").into()
        });
    }

    /// The client has asked to log in, whatever came of it.
    pub fn asked_to_log_in(&self) {
        self.asked_to_log_in.store(true, Ordering::Relaxed);
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
pub async fn serve(services: Arc<Services>, admitted: Admitted, login_deadline: Instant, stop: Stop) {
    let connection = Connection::new(admitted.client.clone(), admitted.place.key_exchange());
    let Ok(connection) = connection.map(Arc::new) else { return };
    let _cut_when_dropped = connection.cut.clone().drop_guard();

    let result = converse(&services, &connection, admitted, login_deadline, &stop).await;
    if connection.key_exchange.dropped().is_cancelled() {
        services.refusals.record(&connection.client, Refusal::MadeRoom.as_str());
    } else if let Some(reason) = worth_knowing(&connection, result) {
        services.events.record(&Event::ConnectionEnded {
            connection: Arc::clone(&connection.id),
            source: connection.source,
            vpc_endpoint: connection.client.vpc_endpoint.clone(),
            reason,
            client: connection.program(),
        });
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
    let stream = CutStream::new(admitted.stream, &connection.cut);
    let beginning = timeout_at(deadlines.key_exchange, begin(services, connection, stream, handler));
    let Ok(session) = stop.drain.run_until_cancelled(beginning).await.unwrap_or(Ok(Err(Error::Cut))) else {
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
    connection.version.get_or_init(|| greeting.version);
    let config = services.configs.offering(greeting.ciphers.as_deref());
    server::run_stream(Arc::clone(config), greeting.stream, handler).await
}

/// Waits for a reason to end the connection.
async fn clocks(
    services: &Services,
    connection: &Connection,
    login: oneshot::Receiver<()>,
    deadlines: Deadlines,
    stop: &Stop,
) -> EndReason {
    tokio::select! {
        Ok(()) = login => {}
        () = key_exchange_overdue(connection, deadlines) => return deadlines.key_exchange_reason(),
        () = sleep_until(deadlines.login) => return EndReason::LoginTimeout,
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

/// Waits until the key exchange has taken too long: for ever, where it is done before.
async fn key_exchange_overdue(connection: &Connection, deadlines: Deadlines) {
    if timeout_at(deadlines.key_exchange, connection.key_exchange.finished()).await.is_ok() {
        pending::<()>().await;
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

/// Why the connection ended, unless it is that the client of a user simply went.
fn worth_knowing(connection: &Connection, result: Result<(), Error>) -> Option<String> {
    use russh::Error as Ssh;
    if let Some(reason) = connection.ending.reason() {
        return Some(reason.as_str().to_owned());
    }
    let has_greeted_alone = connection.version.get().is_some() && !connection.asked_to_log_in.load(Ordering::Relaxed);
    let reason = match result {
        Err(Error::Ssh(Ssh::NoCommonAlgo { kind, ours, theirs })) => no_common_algorithm(&kind, &ours, &theirs),
        Err(Error::Ssh(Ssh::NotAuthenticated)) => "the client began another key exchange before its login".to_owned(),
        Ok(()) | Err(Error::Ssh(Ssh::Disconnect | Ssh::HUP | Ssh::IO(_))) if has_greeted_alone => {
            "the client left before it asked to log in".to_owned()
        }
        Ok(()) | Err(Error::Cut | Error::Ssh(Ssh::Disconnect | Ssh::HUP | Ssh::IO(_))) => return None,
        Err(error) => error.to_string(),
    };
    Some(reason.chars().take(MAX_REASON).collect())
}

/// The sentence for a client with which the server shares no algorithm of one kind: what it offers, and which setting
/// decides.
fn no_common_algorithm(kind: &AlgorithmKind, ours: &[String], theirs: &[String]) -> String {
    let (noun, setting) = match kind {
        AlgorithmKind::Kex => ("key exchange", "`key_exchanges` of [ssh.algorithms] decides"),
        AlgorithmKind::Key => ("host key algorithm", "`kinds` of [ssh.host_keys] decides"),
        AlgorithmKind::Cipher => ("cipher", "`ciphers` of [ssh.algorithms] decides"),
        AlgorithmKind::Mac => ("MAC", "`macs` of [ssh.algorithms] decides"),
        AlgorithmKind::Compression => ("compression", "the server compresses nothing"),
    };
    format!("no {noun} in common: the client offers {}; the server {}; {setting}", theirs.join(", "), ours.join(", "))
}
