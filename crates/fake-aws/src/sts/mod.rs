//! A small STS: AssumeRole and GetCallerIdentity in the query protocol, on the same address as the S3.
//!
//! ```text
//! POST / → edge → s3s (signature) → route → parameters → call → assume_role → sessions → answer
//! ```

mod answer;
mod assume_role;
mod assume_role_log;
mod call;
mod edge;
mod error;
mod parameters;
mod route;
mod sessions;
mod xml;

pub(crate) use answer::headers;
pub use assume_role_log::AssumeRoleRequest;
pub(crate) use call::{is_name_character, is_tag_character};
pub(crate) use edge::{MAX_FORM_BYTES, is_form, serve};
pub(crate) use error::Error;
pub(crate) use parameters::{Parameters, Shape};
pub(crate) use route::Route;
pub(crate) use sessions::{TemporaryCredentials, Unfit};
pub(crate) use xml::{element, refusal, success};

use crate::{
    clock::ServerClock,
    iam::{Principal, Register},
};
use assume_role_log::AssumeRoleLog;
use call::Call;
use parking_lot::Mutex;
use s3s::auth::SecretKey;
use sessions::RoleSessions;
use std::{sync::Arc, time::Duration};

/// Users, sessions, and the record of requests.
#[derive(Debug)]
pub(crate) struct Sts {
    pub(crate) register: Arc<Register>,
    /// The clock of all services.
    pub(crate) clock: Arc<ServerClock>,
    sessions: RoleSessions,
    asked: AssumeRoleLog,
    /// Lifetime of new sessions. `None` grants the lifetime that the caller asks for.
    lifetime: Mutex<Option<Duration>>,
}

impl Sts {
    pub(crate) fn new(register: Register, lifetime: Option<Duration>) -> Self {
        let clock = Arc::<ServerClock>::default();
        Self {
            register: Arc::new(register),
            sessions: RoleSessions::new(Arc::clone(&clock)),
            clock,
            asked: AssumeRoleLog::default(),
            lifetime: Mutex::new(lifetime),
        }
    }

    pub(crate) fn secret(&self, access_key_id: &str) -> Option<SecretKey> {
        let user = self.register.user(access_key_id).map(|(user, _)| user.secret_access_key.clone());
        user.or_else(|| self.sessions.secret(access_key_id)).map(SecretKey::from)
    }

    /// Returns the principal of an access key. Users have no token, sessions must send their own.
    pub(crate) fn principal(&self, access_key_id: &str, token: Option<&str>) -> Result<Principal, Unfit> {
        match (self.register.user(access_key_id), token) {
            (Some((_, principal)), None) => Ok(principal.clone()),
            (Some(_), Some(_)) => Err(Unfit::Token),
            (None, token) => self.sessions.principal(access_key_id, token, &self.register.roles),
        }
    }

    /// Returns the recorded AssumeRole requests, oldest first.
    pub(crate) fn asked(&self) -> Vec<AssumeRoleRequest> {
        self.asked.all()
    }

    /// Makes new sessions last `lifetime`. `None` grants the lifetime that the caller asks for.
    pub(crate) fn set_lifetime(&self, lifetime: Option<Duration>) {
        *self.lifetime.lock() = lifetime;
    }

    /// Denies everything to the open sessions of a role.
    pub(crate) fn revoke_sessions(&self, role: &str) {
        self.sessions.revoke(role);
    }

    /// Ends all open sessions.
    pub(crate) fn end_sessions(&self) {
        self.sessions.end();
    }

    /// Answers AssumeRole, or fails with the injected failure.
    fn assume_role(&self, caller: &Principal, parameters: Parameters, failure: Option<Error>) -> Result<String, Error> {
        let mut asked = AssumeRoleRequest::of(&caller.arn, &parameters);
        let granted = failure.map_or(Ok(()), Err).and_then(|()| Call::parse(parameters)).and_then(|call| {
            let lifetime = *self.lifetime.lock();
            assume_role::assume_role(&self.register.roles, &self.sessions, lifetime, caller, call)
        });
        asked.granted = granted.is_ok();
        self.asked.keep(asked);
        answer::assumed(&granted?)
    }
}
