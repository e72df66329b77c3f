//! The login of one connection: asks the provider, counts the tries, and takes a place among the logged-in connections.

use super::{
    Access, Peer,
    last_request::{LastRequest, RefusedLogin},
};
use crate::{
    events::{Event, Who},
    identity::{Credential, MAX_PASSWORD_BYTES, ProviderAnswer, PublicKey},
    name::LoginName,
    policy::{Busy, LoggedIn, LoginProgress, LoginTries, Unauthenticated},
    session::{Activity, NewSession, Protocol, Registration, Session},
    tenants::GrantedLogin,
};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::time::{Instant, sleep_until};
use zeroize::Zeroizing;

/// A refused password takes this long, so that guessing is slow and the time reveals nothing about the name.
const PASSWORD_REFUSAL_TIME: Duration = Duration::from_secs(1);

/// The methods that the server offers to every user: they must not reveal a user's own methods.
pub const LOGIN_METHODS: &[LoginMethod] =
    &[LoginMethod::PublicKey, LoginMethod::Password, LoginMethod::KeyboardInteractive];

/// A method of logging in, as SSH names it (RFC 4252, RFC 4256).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginMethod {
    /// `publickey`.
    PublicKey,
    /// `password`.
    Password,
    /// `keyboard-interactive` with one prompt for the password. Some clients support only this method.
    KeyboardInteractive,
}

impl LoginMethod {
    /// Returns the name in records.
    #[must_use]
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::PublicKey => "publickey",
            Self::Password => "password",
            Self::KeyboardInteractive => "keyboard-interactive",
        }
    }
}

/// A step of the client's login.
pub enum LoginStep<'a> {
    /// The client asks for the methods, as SSH's method `none` does.
    Methods,
    /// The client asks for a password prompt.
    Prompt,
    /// The client sends a password.
    Password {
        /// The password in clear.
        password: &'a str,
        /// The method by which it was sent.
        method: LoginMethod,
    },
    /// The client has proved possession of a key's private half.
    ProvedKey(PresentedKey),
}

/// A public key that a client presents.
#[derive(Clone, Debug)]
pub struct PresentedKey {
    /// The SHA-256 fingerprint, if the edge could read the key.
    pub fingerprint: Option<String>,
    /// The key, or the reason why the edge accepts neither it nor its signature.
    pub key: Result<PublicKey, Cow<'static, str>>,
}

/// The answer to a step.
#[derive(Debug)]
pub enum LoginAnswer {
    /// The user is logged in.
    Accepted(Arc<Session>),
    /// The login needs another credential.
    More(More),
    /// The step was refused. The client may try again, unless the connection must end.
    Refused(Option<LoginEnd>),
    /// The server can't decide now. The client may try again, unless the connection must end.
    Unavailable(Option<LoginEnd>),
}

/// The credential that a login still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// A credential of one of the methods. `partial_success` is true if the server accepted one and requires another.
    Methods {
        /// The methods.
        methods: &'static [LoginMethod],
        /// True if the server has already accepted a credential.
        partial_success: bool,
    },
    /// The answer to a question.
    Challenge {
        /// The question, for the user to read.
        prompt: &'static str,
        /// True if the client may show the answer while the user types it.
        echo: bool,
    },
}

/// The reason why a connection must end with a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoginEnd {
    /// The client tried the maximum number of credentials.
    Tries,
    /// The maximum number of connections is logged in.
    Full,
}

/// The answer to an offered key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyOffer {
    /// The client should prove possession.
    Acceptable,
    /// The key can't log the user in.
    Refused,
}

/// The login of one connection. Dropping it before the user is logged in records nothing, so call [`Login::leave`]
/// first.
pub struct Login {
    access: Arc<Access>,
    peer: Arc<Peer>,
    protocol: Protocol,
    activity: Arc<Activity>,
    progress: LoginProgress,
    tries: LoginTries,
    state: LoginState,
    last_request: LastRequest,
}

enum LoginState {
    Out(Unauthenticated),
    In { session: Arc<Session>, _registration: Registration, _place: LoggedIn },
}

/// The operator's reason why the server can't decide on a step.
type NoVerdict = &'static str;

/// The reason why a user with the right credential may not enter.
enum EntryRefusal {
    /// Too many connections are logged in, or log in at once. The text is the operator's reason.
    Full(&'static str),
    /// The directory was swapped during the login, and grants it no longer.
    Revoked,
    /// The trust policy of the tenant's role doesn't require the external ID.
    OpenRole,
}

impl EntryRefusal {
    /// The operator's reason for [`EntryRefusal::Revoked`].
    const REVOKED: &str = "the user, its tenant or the credential was removed or disabled during the login";
    /// The operator's reason for [`EntryRefusal::OpenRole`].
    const OPEN_ROLE: &str = "the tenant's role is open: its trust policy must require the external ID";
}

impl Login {
    /// Creates the login of a connection that holds `place`.
    #[must_use]
    pub fn new(
        access: Arc<Access>,
        peer: Arc<Peer>,
        place: Unauthenticated,
        protocol: Protocol,
        activity: Arc<Activity>,
    ) -> Self {
        let (tries, progress) = (LoginTries::new(access.max_tries), place.progress());
        Self {
            access,
            peer,
            protocol,
            activity,
            progress,
            tries,
            state: LoginState::Out(place),
            last_request: LastRequest::default(),
        }
    }

    /// Returns the session once the user is logged in.
    #[must_use]
    pub fn session(&self) -> Option<&Arc<Session>> {
        match &self.state {
            LoginState::Out(_) => None,
            LoginState::In { session, .. } => Some(session),
        }
    }

    /// Takes a step of the login. `user` is the name that the client sent, unchecked.
    pub async fn next(&mut self, user: &str, step: LoginStep<'_>) -> LoginAnswer {
        let name = LoginName::new(user);
        match step {
            LoginStep::Methods => self.methods(user),
            LoginStep::Prompt => self.prompt(user),
            LoginStep::Password { password, method } => self.password(&name, password, method).await,
            LoginStep::ProvedKey(PresentedKey { fingerprint, key: Ok(key) }) => {
                self.attempt(&name, Credential::ProvedKey(&key), LoginMethod::PublicKey, fingerprint).await
            }
            LoginStep::ProvedKey(PresentedKey { fingerprint, key: Err(reason) }) => {
                LoginAnswer::Refused(self.refused_try(user, LoginMethod::PublicKey, reason, fingerprint))
            }
        }
    }

    /// Decides whether the client should prove possession of a key. This is no try: agents offer each of their keys.
    pub async fn offered_key(&mut self, user: &str, offered: PresentedKey) -> KeyOffer {
        self.peer.asked_to_log_in();
        let PresentedKey { fingerprint, key } = offered;
        let refusal = match key {
            Ok(key) => match self.verdict(&LoginName::new(user), Credential::OfferedKey(&key)).await {
                ProviderAnswer::Accepted(_) => {
                    let before = self.last_request.accepted(user, fingerprint.unwrap_or_default());
                    self.record(before);
                    return KeyOffer::Acceptable;
                }
                ProviderAnswer::Refused { reason } => reason.text(),
            },
            Err(reason) => reason,
        };
        self.note_refused_key(user, fingerprint, &refusal);
        KeyOffer::Refused
    }

    /// Records that the edge refused an offered key without asking the provider. This is no try.
    pub(crate) fn note_refused_key(&mut self, user: &str, fingerprint: Option<String>, reason: &str) {
        self.peer.asked_to_log_in();
        let before = self.last_request.refused(user, fingerprint, reason);
        self.record(before);
    }

    /// Takes a try that is refused without asking the provider: the edge can't read the credential, or its proof is
    /// wrong.
    pub(crate) fn refuse_try(
        &mut self,
        user: &str,
        method: LoginMethod,
        reason: impl Into<Cow<'static, str>>,
    ) -> LoginAnswer {
        LoginAnswer::Refused(self.refused_try(user, method, reason.into(), None))
    }

    /// Records the refusal of a request by `method` that is no try.
    pub(crate) fn record_refused(&self, user: &str, method: &'static str, reason: impl Into<Cow<'static, str>>) {
        self.peer.asked_to_log_in();
        self.refused(user, method, reason.into(), None);
    }

    /// Records that the edge ends the connection because it refused too many login requests. The edge may no longer
    /// know `user` by then.
    pub(crate) fn record_too_many(&mut self, user: &str) {
        self.peer.asked_to_log_in();
        match self.last_request.take() {
            Some(last) => {
                let reason = format!("{}: too many for one connection", last.reason);
                self.record(Some(RefusedLogin { reason: reason.into(), ..last }));
            }
            None => self.refused(user, "none", "too many requests to log in were refused".into(), None),
        }
    }

    /// Ends the login with the connection. A client that leaves without a try gets a record too: the server knows none
    /// of its keys, or it has no usable method. `is_told` is true if the end of the connection has a record of its own.
    pub fn leave(&mut self, is_told: bool) {
        if self.session().is_none() && !(is_told && self.last_request.is_silent()) {
            let last = self.last_request.take();
            self.record(last);
        }
    }

    fn methods(&mut self, user: &str) -> LoginAnswer {
        self.peer.asked_to_log_in();
        self.last_request.methods(user);
        LoginAnswer::More(More::Methods { methods: LOGIN_METHODS, partial_success: false })
    }

    fn prompt(&mut self, user: &str) -> LoginAnswer {
        self.peer.asked_to_log_in();
        let before = self.last_request.prompted(user);
        self.record(before);
        LoginAnswer::More(More::Challenge { prompt: "Password: ", echo: false })
    }

    async fn password(&mut self, name: &LoginName, password: &str, method: LoginMethod) -> LoginAnswer {
        let earliest_refusal = Instant::now() + PASSWORD_REFUSAL_TIME;
        let next = self.attempt(name, Credential::Password(password), method, None).await;
        if !matches!(next, LoginAnswer::Accepted(_)) {
            sleep_until(earliest_refusal).await;
        }
        next
    }

    async fn attempt(
        &mut self,
        name: &LoginName,
        credential: Credential<'_>,
        method: LoginMethod,
        fingerprint: Option<String>,
    ) -> LoginAnswer {
        let user = name.as_str();
        if !self.take_try(user) {
            return LoginAnswer::Refused(None);
        }
        let (reason, next) = match self.verdict_in_turn(name, credential).await {
            Ok(ProviderAnswer::Accepted(grant)) => {
                match self.enter_in_turn(&grant, method, fingerprint.clone()).await {
                    Ok(session) => return LoginAnswer::Accepted(session),
                    Err(EntryRefusal::Full(reason)) => {
                        self.refused(user, method.as_str(), reason.into(), fingerprint);
                        self.progress.refuse_credential();
                        return LoginAnswer::Refused(Some(LoginEnd::Full));
                    }
                    Err(EntryRefusal::Revoked) => (EntryRefusal::REVOKED.into(), LoginAnswer::Refused as fn(_) -> _),
                    Err(EntryRefusal::OpenRole) => {
                        (EntryRefusal::OPEN_ROLE.into(), LoginAnswer::Unavailable as fn(_) -> _)
                    }
                }
            }
            Ok(ProviderAnswer::Refused { reason }) => (reason.text(), LoginAnswer::Refused as fn(_) -> _),
            Err(undecided) => (undecided.into(), LoginAnswer::Unavailable as fn(_) -> _),
        };
        self.refused(user, method.as_str(), reason, fingerprint);
        next(self.end_try())
    }

    /// Takes a try that is refused without asking the provider.
    fn refused_try(
        &mut self,
        user: &str,
        method: LoginMethod,
        reason: Cow<'static, str>,
        fingerprint: Option<String>,
    ) -> Option<LoginEnd> {
        if !self.take_try(user) {
            return None;
        }
        self.refused(user, method.as_str(), reason, fingerprint);
        self.end_try()
    }

    /// Takes one of the connection's tries. Returns `false` if none is left.
    fn take_try(&mut self, user: &str) -> bool {
        self.peer.asked_to_log_in();
        self.progress.try_credential();
        let before = self.last_request.tried(user);
        self.record(before);
        self.tries.take()
    }

    /// Records that the try was refused. The last try ends the connection.
    fn end_try(&self) -> Option<LoginEnd> {
        self.progress.refuse_credential();
        self.tries.exhausted().then_some(LoginEnd::Tries)
    }

    async fn verdict(&self, name: &LoginName, credential: Credential<'_>) -> ProviderAnswer {
        self.access.provider.authenticate(name, credential, self.peer.address().socket.ip()).await
    }

    /// Returns the verdict when it is the password's turn to be checked. An overlong password takes no turn, because it
    /// costs no check.
    async fn verdict_in_turn(&self, name: &LoginName, credential: Credential<'_>) -> Result<ProviderAnswer, NoVerdict> {
        let password = match credential {
            Credential::Password(password) if password.len() <= MAX_PASSWORD_BYTES => password,
            Credential::Password(_) | Credential::OfferedKey(_) | Credential::ProvedKey(_) => {
                return Ok(self.verdict(name, credential).await);
            }
        };
        let turn = self.access.password_checks.admit(self.peer.checks_source(), name).await;
        let turn = turn.map_err(|Busy| Busy::REASON)?;
        // The check runs in a task of its own, because it can't be stopped: it keeps its turn to its end, even if the
        // client leaves.
        let (provider, ip) = (Arc::clone(&self.access.provider), self.peer.address().socket.ip());
        let (name, password) = (name.clone(), Zeroizing::new(password.to_owned()));
        let check = tokio::spawn(async move {
            let _turn = turn;
            provider.authenticate(&name, Credential::Password(&password), ip).await
        });
        // The task fails only if the provider panicked.
        check.await.map_err(|_| "the password check failed")
    }

    /// Begins the session when the tenant's rate allows it. Waits for that only for a few seconds, because the
    /// connection has a place that others need.
    async fn enter_in_turn(
        &mut self,
        grant: &GrantedLogin,
        method: LoginMethod,
        fingerprint: Option<String>,
    ) -> Result<Arc<Session>, EntryRefusal> {
        let admitted = self.access.sessions.admit_login(&grant.tenant.name, &grant.user.name).await;
        admitted.map_err(|refusal| EntryRefusal::Full(refusal.as_str()))?;
        self.enter(grant, method, fingerprint)
    }

    /// Begins the session, if the directory still grants the login.
    fn enter(
        &mut self,
        grant: &GrantedLogin,
        method: LoginMethod,
        fingerprint: Option<String>,
    ) -> Result<Arc<Session>, EntryRefusal> {
        let place = match &self.state {
            LoginState::Out(place) => place,
            // Edges take no further steps in this state.
            LoginState::In { session, .. } => return Ok(Arc::clone(session)),
        };
        let tenants = &self.access.tenants;
        let grant = tenants.confirm(grant).map_err(|_| EntryRefusal::Revoked)?;
        // After the credential: a stranger doesn't learn which tenants have such a role.
        if tenants.open_role(&grant.tenant.name).is_some_and(|open| !open.is_accepted) {
            return Err(EntryRefusal::OpenRole);
        }
        let place = place
            .log_in(&grant.tenant.name, &grant.user.name)
            .map_err(|refusal| EntryRefusal::Full(refusal.as_str()))?;
        self.activity.touch();
        let address = self.peer.address();
        let client = self.peer.program();
        let (session, registration) = self.access.sessions.begin(NewSession {
            id: Arc::clone(self.peer.id()),
            grant,
            source: address.socket,
            vpc_endpoint: address.vpc_endpoint.clone(),
            protocol: self.protocol,
            client: client.clone(),
            activity: Arc::clone(&self.activity),
        });
        // A reload swaps the directory first and ends sessions then. A session that it doesn't find in the registry
        // began after the swap, so that this look sees the swap.
        session.follow(tenants).map_err(|_| EntryRefusal::Revoked)?;
        self.peer.logged_in(Arc::clone(session.who()));
        let who = Who::Session(Arc::clone(session.who()));
        self.access.events.record(who, Event::LoginAccepted { method: method.as_str(), fingerprint, client });
        self.state = LoginState::In { session: Arc::clone(&session), _registration: registration, _place: place };
        Ok(session)
    }

    fn refused(&self, user: &str, method: &'static str, reason: Cow<'static, str>, fingerprint: Option<String>) {
        self.record(Some(RefusedLogin { user: user.to_owned(), method, reason, fingerprint }));
    }

    fn record(&self, refused: Option<RefusedLogin>) {
        let Some(RefusedLogin { user: name, method, reason, fingerprint }) = refused else { return };
        let client = self.peer.program();
        let who = Who::Connection(self.peer.stranger());
        self.access.events.record(who, Event::LoginRefused { name, method, reason, fingerprint, client });
    }
}
