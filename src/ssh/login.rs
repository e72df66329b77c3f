//! The login of one connection: asks the provider, counts the tries, takes the place among those who are in.
//!
//! A refusal says nothing: whatever the reason, it takes the same time and leaves the same methods to try.

use super::{
    algorithms::accepts_signature,
    connection::{Connection, Services},
    ending::EndReason,
    handler::Error,
};
use crate::{
    account::{Tenant, User},
    events::Event,
    identity::{Credential, PublicKey, Verdict},
    policy::{LoggedIn, LoginTries, Unauthenticated},
};
use russh::{
    keys::{self, Algorithm, HashAlg},
    server::AuthRefusal,
};
use std::{borrow::Cow, sync::Arc, time::Duration};
use tokio::{
    sync::oneshot,
    time::{Instant, sleep_until},
};

/// A refused password takes this long, so that guessing is slow and the time says nothing about the name.
const PASSWORD_REFUSAL_TIME: Duration = Duration::from_secs(1);

/// The login of one connection.
pub struct Login {
    services: Arc<Services>,
    connection: Arc<Connection>,
    tries: LoginTries,
    state: State,
    asked: Asked,
}

/// What the client has asked for so far, for the line that says how it left.
enum Asked {
    /// Nothing, or something that has a line of its own.
    Nothing,
    /// The methods: a request `none`, with this user name.
    Methods { user: String },
    /// Keys that were refused before they signed.
    Keys(OfferedKeys),
}

/// Refused offers of keys. They are no tries: agents offer each of their keys.
struct OfferedKeys {
    user: String,
    /// Of the first one, where it could be decoded.
    fingerprint: Option<String>,
    reason: Cow<'static, str>,
    others: u32,
}

enum State {
    Out { place: Unauthenticated, logged_in: Option<oneshot::Sender<()>> },
    In { user: Arc<User>, tenant: Arc<Tenant>, _place: LoggedIn },
}

impl Login {
    /// Nobody yet, on a connection that holds `place`. `logged_in` hears of the login.
    pub fn new(
        services: Arc<Services>,
        connection: Arc<Connection>,
        place: Unauthenticated,
        logged_in: oneshot::Sender<()>,
    ) -> Self {
        let tries = LoginTries::new(services.max_login_tries);
        let state = State::Out { place, logged_in: Some(logged_in) };
        Self { services, connection, tries, state, asked: Asked::Nothing }
    }

    /// Who is logged in.
    pub fn user(&self) -> Option<(&Arc<User>, &Arc<Tenant>)> {
        match &self.state {
            State::Out { .. } => None,
            State::In { user, tenant, .. } => Some((user, tenant)),
        }
    }

    /// The client asks for the methods.
    pub fn methods(&mut self, user: &str) {
        self.connection.program.asked_to_log_in();
        if let Asked::Nothing = self.asked {
            self.asked = Asked::Methods { user: user.to_owned() };
        }
    }

    /// Tries a password that came by the method `method`.
    pub async fn password(&mut self, user: &str, password: &str, method: &'static str) -> Result<bool, Error> {
        let slow = Instant::now() + PASSWORD_REFUSAL_TIME;
        let accepted = self.attempt(user, Credential::Password(password), method, None).await?;
        if !accepted {
            self.connection.unless_cut(sleep_until(slow)).await?;
        }
        Ok(accepted)
    }

    /// Whether it is worth to sign with `key`. No try: agents ask for each of their keys.
    pub async fn offer(&mut self, user: &str, key: &keys::PublicKey, algorithm: &Algorithm) -> Result<bool, Error> {
        let refusal = match acceptable(key, algorithm) {
            Ok(acceptable) => match self.verdict(user, Credential::PublicKey(&acceptable)).await? {
                Verdict::Accepted { .. } => return Ok(true),
                Verdict::Refused { reason } => reason.as_str().into(),
            },
            Err(reason) => reason,
        };
        self.offer_refused(user, Some(fingerprint(key)), refusal);
        Ok(false)
    }

    /// Tries a key whose possession was proved.
    pub async fn key(&mut self, user: &str, key: &keys::PublicKey, algorithm: &Algorithm) -> Result<bool, Error> {
        let fingerprint = fingerprint(key);
        match acceptable(key, algorithm) {
            Ok(key) => self.attempt(user, Credential::PublicKey(&key), "publickey", Some(fingerprint)).await,
            Err(reason) => {
                self.refused(user.to_owned(), "publickey", reason, Some(fingerprint));
                Ok(false)
            }
        }
    }

    /// russh has refused a login without asking.
    pub fn refused_by_protocol(&mut self, user: &str, refusal: AuthRefusal<'_>) {
        self.connection.program.asked_to_log_in();
        let (method, reason, is_try) = match refusal {
            AuthRefusal::UndecodableKey { algorithm } => {
                let reason = format!("a key of the algorithm {algorithm} is unknown here, damaged or too large");
                return self.offer_refused(user, None, reason.into());
            }
            AuthRefusal::TooManyAttempts => ("publickey", "too many keys were offered".into(), false),
            AuthRefusal::UnknownMethod(method) => ("none", format!("the method {method} is not served").into(), false),
            AuthRefusal::PasswordChange => ("password", "passwords can't be changed by SSH".into(), false),
            AuthRefusal::UndecodablePassword => ("password", "the password is not UTF-8".into(), true),
            AuthRefusal::WrongSignature { algorithm } => {
                ("publickey", format!("wrong {algorithm} signature").into(), true)
            }
            AuthRefusal::UndecodableSignature { algorithm } => {
                ("publickey", format!("the {algorithm} signature can't be decoded").into(), true)
            }
            AuthRefusal::OtherSignatureAlgorithm { algorithm } => {
                let reason = format!("the signature is of the algorithm {algorithm}, the request of another");
                ("publickey", reason.into(), true)
            }
            other => ("publickey", format!("{other:?}").into(), true),
        };
        self.asked = Asked::Nothing;
        if !is_try || self.tries.take() {
            self.refused(user.to_owned(), method, reason, None);
        }
        self.end_if_exhausted();
    }

    async fn attempt(
        &mut self,
        user: &str,
        credential: Credential<'_>,
        method: &'static str,
        fingerprint: Option<String>,
    ) -> Result<bool, Error> {
        self.connection.program.asked_to_log_in();
        if !self.tries.take() {
            return Ok(false);
        }
        self.asked = Asked::Nothing;
        let refused = match self.verdict(user, credential).await? {
            Verdict::Accepted { user, tenant } => match self.enter(user, tenant, method, fingerprint.clone()) {
                Ok(()) => return Ok(true),
                Err(reason) => reason,
            },
            Verdict::Refused { reason } => reason.as_str(),
        };
        self.refused(user.to_owned(), method, refused.into(), fingerprint);
        self.end_if_exhausted();
        Ok(false)
    }

    fn end_if_exhausted(&self) {
        if self.tries.exhausted() {
            self.connection.ending.ask(EndReason::LoginTries);
        }
    }

    fn offer_refused(&mut self, user: &str, fingerprint: Option<String>, reason: Cow<'static, str>) {
        self.connection.program.asked_to_log_in();
        match &mut self.asked {
            Asked::Keys(offered) => offered.others = offered.others.saturating_add(1),
            Asked::Nothing | Asked::Methods { .. } => {
                self.asked = Asked::Keys(OfferedKeys { user: user.to_owned(), fingerprint, reason, others: 0 });
            }
        }
    }

    async fn verdict(&self, user: &str, credential: Credential<'_>) -> Result<Verdict, Error> {
        let source = self.connection.source.ip();
        self.connection.unless_cut(self.services.provider.authenticate(user, credential, source)).await
    }

    fn enter(
        &mut self,
        user: Arc<User>,
        tenant: Arc<Tenant>,
        method: &'static str,
        fingerprint: Option<String>,
    ) -> Result<(), &'static str> {
        let State::Out { place, logged_in } = &mut self.state else { return Ok(()) };
        let place = place.log_in().map_err(|refusal| {
            self.connection.ending.ask(EndReason::Full);
            refusal.as_str()
        })?;
        // Nobody listens when the connection is just ending.
        let _ = logged_in.take().map(|logged_in| logged_in.send(()));
        self.connection.activity.touch();
        self.services.events.record(&Event::LoginAccepted {
            connection: Arc::clone(&self.connection.id),
            tenant: tenant.name.clone(),
            user: user.name.clone(),
            source: self.connection.source,
            vpc_endpoint: self.connection.client.vpc_endpoint.clone(),
            method,
            fingerprint,
            client: self.connection.program.client(),
        });
        self.state = State::In { user, tenant, _place: place };
        Ok(())
    }

    fn refused(&self, user: String, method: &'static str, reason: Cow<'static, str>, fingerprint: Option<String>) {
        self.services.events.record(&Event::LoginRefused {
            connection: Arc::clone(&self.connection.id),
            user,
            source: self.connection.source,
            vpc_endpoint: self.connection.client.vpc_endpoint.clone(),
            method,
            reason,
            fingerprint,
            client: self.connection.program.client(),
        });
    }
}

/// A client that leaves without a try has a line too: its keys are all unknown, or it has none that it may use here.
impl Drop for Login {
    fn drop(&mut self) {
        if self.user().is_some() {
            return;
        }
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Nothing => {}
            Asked::Methods { user } => {
                self.refused(
                    user,
                    "none",
                    "the client left after none: it offered no key and no password".into(),
                    None,
                );
            }
            Asked::Keys(OfferedKeys { user, fingerprint, reason, others: 0 }) => {
                self.refused(user, "publickey", reason, fingerprint);
            }
            Asked::Keys(OfferedKeys { user, fingerprint, reason, others }) => {
                let reason = format!("{reason}; so were {others} more that it offered");
                self.refused(user, "publickey", reason.into(), fingerprint);
            }
        }
    }
}

fn fingerprint(key: &keys::PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// The key as identity knows keys, or why it or its signature is not accepted.
fn acceptable(key: &keys::PublicKey, algorithm: &Algorithm) -> Result<PublicKey, Cow<'static, str>> {
    if !accepts_signature(algorithm) {
        let name = algorithm.as_str();
        return Err(format!("signatures of the algorithm {name} are not accepted").into());
    }
    let blob = key.to_bytes().map_err(|error| error.to_string())?;
    PublicKey::from_blob(&blob).map_err(|error| error.to_string().into())
}
