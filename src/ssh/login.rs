//! The login of one connection: asks the provider, counts the tries, takes the place among those who are in.
//!
//! A refusal says nothing: whatever the reason, it takes the same time and leaves the same methods to try.

use super::{
    algorithms::accepts_signature,
    asked::{Asked, Refused},
    connection::{Connection, Services},
    ending::EndReason,
    handler::Error,
};
use crate::{
    account::{Tenant, User},
    events::Event,
    identity::{Credential, MAX_PASSWORD_BYTES, PublicKey, Verdict},
    policy::{Busy, LoggedIn, LoginTries, Unauthenticated},
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
use zeroize::Zeroizing;

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
        Self { services, connection, tries, state, asked: Asked::default() }
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
        self.asked.methods(user);
    }

    /// The client is asked for the password by keyboard-interactive.
    pub fn prompted(&mut self, user: &str) {
        self.connection.program.asked_to_log_in();
        let line = self.asked.prompted(user);
        self.record(line);
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

    /// Decides if it is worth to sign with `key`. No try: agents ask for each of their keys.
    pub async fn offer(&mut self, user: &str, key: &keys::PublicKey, algorithm: &Algorithm) -> Result<bool, Error> {
        self.connection.program.asked_to_log_in();
        let fingerprint = fingerprint(key);
        let refusal = match acceptable(key, algorithm) {
            Ok(acceptable) => match self.verdict(user, Credential::PublicKey(&acceptable)).await? {
                Verdict::Accepted { .. } => {
                    let line = self.asked.accepted(user, fingerprint);
                    self.record(line);
                    return Ok(true);
                }
                Verdict::Refused { reason } => reason.as_str().into(),
            },
            Err(reason) => reason,
        };
        let line = self.asked.refused(user, Some(fingerprint), &refusal);
        self.record(line);
        Ok(false)
    }

    /// Tries a key whose possession was proved.
    pub async fn key(&mut self, user: &str, key: &keys::PublicKey, algorithm: &Algorithm) -> Result<bool, Error> {
        let fingerprint = fingerprint(key);
        match acceptable(key, algorithm) {
            Ok(key) => self.attempt(user, Credential::PublicKey(&key), "publickey", Some(fingerprint)).await,
            Err(reason) => {
                self.refused_try(user, "publickey", reason, Some(fingerprint));
                Ok(false)
            }
        }
    }

    /// Refuses a certificate whose possession was proved.
    pub fn certificate(&mut self, user: &str, certificate: &keys::Certificate) {
        let key = keys::PublicKey::new(certificate.public_key().clone(), "");
        self.refused_try(user, "publickey", "certificates are not accepted".into(), Some(fingerprint(&key)));
    }

    /// Refuses an answer to the prompt that is no password.
    pub fn malformed_answer(&mut self, user: &str) {
        let reason = "the answer to the prompt is not one password in UTF-8";
        self.refused_try(user, "keyboard-interactive", reason.into(), None);
    }

    /// russh has refused a login without asking.
    pub fn refused_by_protocol(&mut self, user: &str, refusal: AuthRefusal<'_>) {
        self.connection.program.asked_to_log_in();
        let (method, reason) = match refusal {
            AuthRefusal::UndecodableKey { algorithm } => {
                let reason = format!("a key of the algorithm {algorithm} is unknown here, damaged or too large");
                let line = self.asked.refused(user, None, &reason);
                return self.record(line);
            }
            AuthRefusal::TooManyAttempts => return self.too_many_requests(user),
            AuthRefusal::UnknownMethod(method) => {
                return self.refused(user, "none", format!("the method {method} is not served").into(), None);
            }
            AuthRefusal::PasswordChange => {
                return self.refused(user, "password", "passwords can't be changed by SSH".into(), None);
            }
            AuthRefusal::UndecodablePassword => ("password", "the password is not UTF-8".to_owned()),
            AuthRefusal::WrongSignature { algorithm } => ("publickey", format!("wrong {algorithm} signature")),
            AuthRefusal::UndecodableSignature { algorithm } => {
                ("publickey", format!("the {algorithm} signature can't be decoded"))
            }
            AuthRefusal::OtherSignatureAlgorithm { algorithm } => {
                ("publickey", format!("the signature is of the algorithm {algorithm}, the request of another"))
            }
            other => ("publickey", format!("{other:?}")),
        };
        self.refused_try(user, method, reason.into(), None);
    }

    /// russh ends the connection: more was refused than its limit.
    fn too_many_requests(&mut self, user: &str) {
        match self.asked.take() {
            // Its user name is forgotten by then.
            Some(line) => {
                let reason = format!("{}: too many for one connection", line.reason);
                self.record(Some(Refused { reason: reason.into(), ..line }));
            }
            None => self.refused(user, "none", "too many requests to log in were refused".into(), None),
        }
    }

    async fn attempt(
        &mut self,
        user: &str,
        credential: Credential<'_>,
        method: &'static str,
        fingerprint: Option<String>,
    ) -> Result<bool, Error> {
        if !self.take_try(user) {
            return Ok(false);
        }
        let refused = match self.verdict_in_turn(user, credential).await? {
            Ok(Verdict::Accepted { user, tenant }) => match self.enter(user, tenant, method, fingerprint.clone()) {
                Ok(()) => return Ok(true),
                Err(reason) => reason,
            },
            Ok(Verdict::Refused { reason }) => reason.as_str(),
            Err(busy) => busy.as_str(),
        };
        self.refused(user, method, refused.into(), fingerprint);
        self.end_try();
        Ok(false)
    }

    /// Takes a try that is refused without asking the provider.
    fn refused_try(
        &mut self,
        user: &str,
        method: &'static str,
        reason: Cow<'static, str>,
        fingerprint: Option<String>,
    ) {
        if self.take_try(user) {
            self.refused(user, method, reason, fingerprint);
            self.end_try();
        }
    }

    /// Takes one of the connection's tries; `false` if none is left.
    fn take_try(&mut self, user: &str) -> bool {
        self.connection.program.asked_to_log_in();
        self.connection.credential_tried();
        let line = self.asked.tried(user);
        self.record(line);
        self.tries.take()
    }

    /// Notes that the try was refused. The last one ends the connection.
    fn end_try(&self) {
        self.connection.credential_refused();
        if self.tries.exhausted() {
            self.connection.ending.ask(EndReason::LoginTries);
        }
    }

    async fn verdict(&self, user: &str, credential: Credential<'_>) -> Result<Verdict, Error> {
        let source = self.connection.source.ip();
        self.connection.unless_cut(self.services.provider.authenticate(user, credential, source)).await
    }

    /// As [`Self::verdict`], when it is a password's turn to be checked. An overlong one takes no turn: it costs no check.
    async fn verdict_in_turn(&self, user: &str, credential: Credential<'_>) -> Result<Result<Verdict, Busy>, Error> {
        let password = match credential {
            Credential::Password(password) if password.len() <= MAX_PASSWORD_BYTES => password,
            Credential::Password(_) | Credential::PublicKey(_) => return self.verdict(user, credential).await.map(Ok),
        };
        let source = self.connection.client.checks_source(&self.connection.id);
        let turn = match self.connection.unless_cut(self.services.password_checks.admit(source, user)).await? {
            Ok(turn) => turn,
            Err(busy) => return Ok(Err(busy)),
        };
        // A task of its own: the check can't be stopped, so it keeps its turn to its end, also when the client leaves.
        let (provider, ip) = (Arc::clone(&self.services.provider), self.connection.source.ip());
        let (user, password) = (user.to_owned(), Zeroizing::new(password.to_owned()));
        let check = tokio::spawn(async move {
            let _turn = turn;
            provider.authenticate(&user, Credential::Password(&password), ip).await
        });
        // It fails only where the provider panicked.
        self.connection.unless_cut(check).await?.map(Ok).map_err(|_| Error::Cut)
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

    fn refused(&self, user: &str, method: &'static str, reason: Cow<'static, str>, fingerprint: Option<String>) {
        self.record(Some(Refused { user: user.to_owned(), method, reason, fingerprint }));
    }

    fn record(&self, refused: Option<Refused>) {
        let Some(Refused { user, method, reason, fingerprint }) = refused else { return };
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
        // The server's reason to end the connection has a line of its own.
        let is_told = self.connection.ending.reason().is_some() && self.asked.is_silent();
        if self.user().is_none() && !is_told {
            let line = self.asked.take();
            self.record(line);
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

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::ssh_key::{Mpint, public::RsaPublicKey};

    /// A key of so many bits, without a private half.
    fn rsa(bits: usize) -> RsaPublicKey {
        let modulus = Mpint::from_positive_bytes(&vec![0xff; bits / 8]);
        RsaPublicKey::new(Mpint::from_positive_bytes(&[1, 0, 1]), modulus).unwrap()
    }

    /// Issue 15.4: a key that the config takes is one that a user can log in with.
    #[test]
    fn signatures_of_every_rsa_key_that_is_accepted_can_be_verified() {
        for bits in [2_048, 4_096, 8_192, 8_200, 16_384] {
            let key = rsa(bits);
            let accepted = PublicKey::from_blob(&keys::PublicKey::from(key.clone()).to_bytes().unwrap());
            assert_eq!(accepted.is_ok(), ::rsa::RsaPublicKey::try_from(&key).is_ok(), "{bits}: {accepted:?}");
        }
    }
}
