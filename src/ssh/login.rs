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
use russh::keys::{self, Algorithm};
use std::{sync::Arc, time::Duration};
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
    /// The name for which keys were offered and refused, as long as nothing else was tried.
    only_offered: Option<(String, &'static str)>,
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
        Self { services, connection, tries, state, only_offered: None }
    }

    /// Who is logged in.
    pub fn user(&self) -> Option<(&Arc<User>, &Arc<Tenant>)> {
        match &self.state {
            State::Out { .. } => None,
            State::In { user, tenant, .. } => Some((user, tenant)),
        }
    }

    /// Tries a password.
    pub async fn password(&mut self, user: &str, password: &str) -> Result<bool, Error> {
        let slow = Instant::now() + PASSWORD_REFUSAL_TIME;
        let accepted = self.attempt(user, Credential::Password(password)).await?;
        if !accepted {
            self.connection.unless_cut(sleep_until(slow)).await?;
        }
        Ok(accepted)
    }

    /// Whether it is worth to sign with `key`. No try: agents ask for each of their keys.
    pub async fn offer(&mut self, user: &str, key: &keys::PublicKey, algorithm: &Algorithm) -> Result<bool, Error> {
        let Some(key) = acceptable(key, algorithm) else { return Ok(false) };
        match self.verdict(user, Credential::PublicKey(&key)).await? {
            Verdict::Accepted { .. } => Ok(true),
            Verdict::Refused { reason } => {
                self.only_offered.get_or_insert_with(|| (user.to_owned(), reason.as_str()));
                Ok(false)
            }
        }
    }

    /// Tries a key whose possession was proved.
    pub async fn key(&mut self, user: &str, key: &keys::PublicKey, algorithm: &Algorithm) -> Result<bool, Error> {
        let Some(key) = acceptable(key, algorithm) else { return Ok(false) };
        self.attempt(user, Credential::PublicKey(&key)).await
    }

    async fn attempt(&mut self, user: &str, credential: Credential<'_>) -> Result<bool, Error> {
        if !self.tries.take() {
            return Ok(false);
        }
        self.only_offered = None;
        let refused = match self.verdict(user, credential).await? {
            Verdict::Accepted { user, tenant } => match self.enter(user, tenant, credential.method()) {
                Ok(()) => return Ok(true),
                Err(reason) => reason,
            },
            Verdict::Refused { reason } => reason.as_str(),
        };
        self.refused(user.to_owned(), credential.method(), refused);
        if self.tries.exhausted() {
            self.connection.ending.ask(EndReason::LoginTries);
        }
        Ok(false)
    }

    async fn verdict(&self, user: &str, credential: Credential<'_>) -> Result<Verdict, Error> {
        let source = self.connection.source.ip();
        self.connection.unless_cut(self.services.provider.authenticate(user, credential, source)).await
    }

    fn enter(&mut self, user: Arc<User>, tenant: Arc<Tenant>, method: &'static str) -> Result<(), &'static str> {
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
            method,
        });
        self.state = State::In { user, tenant, _place: place };
        Ok(())
    }

    fn refused(&self, user: String, method: &'static str, reason: &'static str) {
        self.services.events.record(&Event::LoginRefused {
            connection: Arc::clone(&self.connection.id),
            user,
            source: self.connection.source,
            method,
            reason,
        });
    }
}

/// Keys that were only offered are no tries, but somebody whose keys are all unknown wants to be found in the log.
impl Drop for Login {
    fn drop(&mut self) {
        if let Some((user, reason)) = self.only_offered.take()
            && self.user().is_none()
        {
            self.refused(user, "publickey", reason);
        }
    }
}

/// The key as identity knows keys, unless it or its signature is too weak.
fn acceptable(key: &keys::PublicKey, algorithm: &Algorithm) -> Option<PublicKey> {
    let blob = key.to_bytes().ok()?;
    PublicKey::from_blob(&blob).ok().filter(|_| accepts_signature(algorithm))
}
