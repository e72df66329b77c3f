//! Translates russh's callbacks to calls of [`Login`] and [`Channels`]. Its only decision is to refuse every service
//! other than `sftp`.
//!
//! The server answers a shell or a command as OpenSSH's `internal-sftp` does: it grants the request, and the program
//! then says that there is only SFTP and fails. Clients show a program's output but hide the reason for a refused
//! request.

use super::{auth, channel::Channels, connection::Connection, ending::EndReason, error::Error, services::Services};
use crate::{
    access::{Login, LoginAnswer, LoginMethod, LoginStep},
    events::Event,
    policy::Unauthenticated,
    session::{Protocol, Session as UserSession},
};
use russh::{
    Channel, ChannelId, ChannelOpenFailure, Names, Pty,
    keys::Certificate,
    server::{Auth, AuthRefusal, ChannelOpenHandle, Msg, PublicKeyOffer, Response, Session, VerifiedPublicKey},
};
use std::sync::Arc;
use tokio::sync::oneshot;

/// The only subsystem that the server offers.
const SFTP: &str = "sftp";

/// The number of refused requests for other services before the server ends the connection.
const MAX_REFUSALS: u32 = 100;

/// One connection, as russh sees it.
pub(crate) struct Handler {
    services: Arc<Services>,
    connection: Arc<Connection>,
    login: Login,
    /// Receives the session after the login.
    logged_in: Option<oneshot::Sender<Arc<UserSession>>>,
    channels: Channels,
    refusals: u32,
}

impl Handler {
    /// Creates the handler of `connection`, which holds `place` until `logged_in` is sent.
    pub(crate) fn new(
        services: Arc<Services>,
        connection: Arc<Connection>,
        place: Unauthenticated,
        logged_in: oneshot::Sender<Arc<UserSession>>,
    ) -> Self {
        let (access, peer) = (Arc::clone(&services.access), Arc::clone(&connection.peer));
        let activity = Arc::clone(&connection.activity);
        Self {
            login: Login::new(access, peer, place, Protocol::Sftp, activity),
            logged_in: Some(logged_in),
            channels: Channels::new(Arc::clone(&services), Arc::clone(&connection)),
            services,
            connection,
            refusals: 0,
        }
    }

    /// Runs a step of the login and returns its answer.
    async fn step(&mut self, user: &str, step: LoginStep<'_>) -> Result<Auth, Error> {
        let next = self.connection.unless_cancelled(self.login.next(user, step)).await?;
        Ok(self.answer(&next))
    }

    fn answer(&mut self, next: &LoginAnswer) -> Auth {
        if let Some(reason) = auth::end_reason(next) {
            self.connection.ending.ask(reason);
        }
        if let LoginAnswer::Accepted(session) = next
            && let Some(logged_in) = self.logged_in.take()
        {
            // The send fails only if the connection is ending.
            let _ = logged_in.send(Arc::clone(session));
        }
        auth::answer(next)
    }

    fn refuse(&mut self, service: &str, is_probe: bool) {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals > MAX_REFUSALS {
            return self.connection.ending.ask(EndReason::Refusals);
        }
        let service = service.to_owned();
        self.services.access.record(&self.connection.peer, Event::ServiceRefused { service, is_probe });
    }

    async fn refuse_open(&mut self, service: &str, reply: ChannelOpenHandle) {
        self.refuse(service, false);
        reply.reject(ChannelOpenFailure::AdministrativelyProhibited).await;
    }

    fn refuse_request(&mut self, service: &str, channel: ChannelId, session: &mut Session) -> Result<(), Error> {
        self.refuse(service, true);
        Ok(session.channel_failure(channel)?)
    }

    /// Refuses a shell or a command with a sentence that its client shows.
    fn refuse_program(&mut self, program: &str, channel: ChannelId, session: &mut Session) -> Result<(), Error> {
        if !self.channels.refuse_program(channel) {
            return self.refuse_request(program, channel, session);
        }
        self.refuse(program, true);
        Ok(session.channel_success(channel)?)
    }
}

/// Ends the login with the connection.
impl Drop for Handler {
    fn drop(&mut self) {
        // The server's own reason to end the connection has a record of its own.
        self.login.leave(self.connection.ending.reason().is_some());
    }
}

impl russh::server::Handler for Handler {
    type Error = Error;

    /// Runs on another thread, so that key exchanges can't occupy the workers that move bytes.
    async fn run_arithmetic<T: Send + 'static>(
        &mut self,
        arithmetic: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Error> {
        let work = self.services.arithmetic.run(arithmetic);
        Ok(self.connection.unless_cancelled(work).await??)
    }

    fn keys_exchanged(&mut self, _client_id: &[u8], names: &Names) {
        self.connection.keys_exchanged(names);
    }

    fn auth_refused(&mut self, user: &str, refusal: AuthRefusal<'_>) {
        if let Some(reason) = auth::refused_by_protocol(&mut self.login, user, refusal) {
            self.connection.ending.ask(reason);
        }
    }

    async fn auth_succeeded(&mut self, session: &mut Session) -> Result<(), Error> {
        Ok(session.announce_host_keys()?)
    }

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Error> {
        self.step(user, LoginStep::Methods).await
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Error> {
        self.step(user, LoginStep::Password { password, method: LoginMethod::Password }).await
    }

    async fn auth_keyboard_interactive<'a>(
        &'a mut self,
        user: &str,
        _submethods: &str,
        response: Option<Response<'a>>,
    ) -> Result<Auth, Error> {
        let method = LoginMethod::KeyboardInteractive;
        let Some(response) = response else { return self.step(user, LoginStep::Prompt).await };
        if let Some(password) = auth::prompted_password(response) {
            self.step(user, LoginStep::Password { password: &password, method }).await
        } else {
            let next = self.login.refuse_try(user, method, "the answer to the prompt is not one password in UTF-8");
            Ok(self.answer(&next))
        }
    }

    async fn auth_publickey_offered(&mut self, user: &str, offer: PublicKeyOffer<'_>) -> Result<Auth, Error> {
        let offered = auth::presented(offer.public_key, offer.algorithm);
        let offer = self.connection.unless_cancelled(self.login.offered_key(user, offered)).await?;
        Ok(auth::answer_offer(offer))
    }

    async fn auth_publickey(&mut self, user: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Error> {
        self.step(user, LoginStep::ProvedKey(auth::presented(key.public_key, key.algorithm))).await
    }

    /// The server judged the offer by the certificate's key, because russh doesn't tell it that the offer is a
    /// certificate.
    async fn auth_openssh_certificate(&mut self, user: &str, certificate: &Certificate) -> Result<Auth, Error> {
        self.step(user, LoginStep::ProvedKey(auth::presented_certificate(certificate))).await
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        // The reading half is dropped at once. Otherwise russh would wait for room in its queue and stop the whole
        // connection.
        let (_, write_half) = channel.split();
        if self.channels.open(write_half) {
            reply.accept().await;
        } else {
            self.refuse("more channels than one connection may have", false);
            reply.reject(ChannelOpenFailure::ResourceShortage).await;
        }
        Ok(())
    }

    async fn subsystem_request(&mut self, channel: ChannelId, name: &str, session: &mut Session) -> Result<(), Error> {
        if name != SFTP {
            return self.refuse_request(&format!("subsystem {name}"), channel, session);
        }
        let Some(user_session) = self.login.session() else { return Ok(session.channel_failure(channel)?) };
        match self.channels.start_sftp(channel, user_session) {
            Ok(()) => Ok(session.channel_success(channel)?),
            Err(reason) => self.refuse_request(&reason, channel, session),
        }
    }

    async fn data(&mut self, channel: ChannelId, data: &[u8], _session: &mut Session) -> Result<(), Error> {
        self.channels.feed(channel, data).await
    }

    async fn channel_eof(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.channels.finish(channel);
        Ok(())
    }

    async fn channel_close(&mut self, channel: ChannelId, _session: &mut Session) -> Result<(), Error> {
        self.channels.close(channel);
        Ok(())
    }

    // The server refuses everything below.

    async fn shell_request(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), Error> {
        self.refuse_program("shell", channel, session)
    }

    async fn exec_request(&mut self, channel: ChannelId, command: &[u8], session: &mut Session) -> Result<(), Error> {
        self.refuse_program(&format!("exec {}", String::from_utf8_lossy(command)), channel, session)
    }

    /// Refused without a record: interactive clients ask for a shell in the same breath, and that is on record.
    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _term: &str,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        _modes: &[(Pty, u32)],
        session: &mut Session,
    ) -> Result<(), Error> {
        Ok(session.channel_failure(channel)?)
    }

    /// Refused without a record: OpenSSH sends its locale with every channel.
    async fn env_request(
        &mut self,
        channel: ChannelId,
        _name: &str,
        _value: &str,
        session: &mut Session,
    ) -> Result<(), Error> {
        Ok(session.channel_failure(channel)?)
    }

    async fn x11_request(
        &mut self,
        channel: ChannelId,
        _single_connection: bool,
        _protocol: &str,
        _cookie: &str,
        _screen: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_request("X11 forwarding", channel, session)
    }

    async fn agent_request(&mut self, _channel: ChannelId, _session: &mut Session) -> Result<bool, Error> {
        self.refuse("agent forwarding", true);
        Ok(false)
    }

    async fn window_change_request(
        &mut self,
        channel: ChannelId,
        _columns: u32,
        _rows: u32,
        _width: u32,
        _height: u32,
        session: &mut Session,
    ) -> Result<(), Error> {
        Ok(session.channel_failure(channel)?)
    }

    async fn channel_open_x11(
        &mut self,
        _channel: Channel<Msg>,
        _address: &str,
        _port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open("X11 forwarding", reply).await;
        Ok(())
    }

    async fn channel_open_direct_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        host: &str,
        port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open(&format!("forwarding to {host}:{port}"), reply).await;
        Ok(())
    }

    async fn channel_open_forwarded_tcpip(
        &mut self,
        _channel: Channel<Msg>,
        _host: &str,
        _port: u32,
        _originator: &str,
        _originator_port: u32,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open("a forwarded connection", reply).await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        _channel: Channel<Msg>,
        path: &str,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Error> {
        self.refuse_open(&format!("forwarding to {path}"), reply).await;
        Ok(())
    }

    async fn tcpip_forward(&mut self, address: &str, port: &mut u32, _session: &mut Session) -> Result<bool, Error> {
        self.refuse(&format!("forwarding from {address}:{port}"), false);
        Ok(false)
    }

    async fn streamlocal_forward(&mut self, path: &str, _session: &mut Session) -> Result<bool, Error> {
        self.refuse(&format!("forwarding from {path}"), false);
        Ok(false)
    }
}
