//! A small STS: AssumeRole and GetCallerIdentity in the query protocol, on the same address as the S3.
//!
//! ```text
//! POST / → edge → s3s (signature) → route → parameters → call → assume_role → sessions → answer
//! ```

mod answer;
mod assume_role;
mod assumed;
mod call;
mod edge;
mod error;
mod parameters;
mod route;
mod sessions;

pub use assumed::AssumeRoleRequest;
pub use edge::{is_form, serve};
pub use error::Error;
pub use route::Route;
pub use sessions::{Credentials, Unfit};

use crate::demo::{
    iam::{Principal, Register},
    s3::locked,
};
use assumed::Asked;
use call::Call;
use parameters::Parameters;
use s3s::auth::SecretKey;
use sessions::Sessions;
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// Who may sign, and what was asked of the STS.
#[derive(Debug)]
pub struct Sts {
    pub register: Arc<Register>,
    sessions: Sessions,
    asked: Asked,
    /// How long new sessions last, if not as long as was asked.
    lifetime: Mutex<Option<Duration>>,
}

impl Sts {
    pub fn new(register: Register, lifetime: Option<Duration>) -> Self {
        Self {
            register: Arc::new(register),
            sessions: Sessions::default(),
            asked: Asked::default(),
            lifetime: Mutex::new(lifetime),
        }
    }

    /// What the holder of an access key signs with.
    pub fn secret(&self, access_key_id: &str) -> Option<SecretKey> {
        let user = self.register.user(access_key_id).map(|(user, _)| user.secret_access_key.clone());
        user.or_else(|| self.sessions.secret(access_key_id)).map(SecretKey::from)
    }

    /// Who signed with an access key. Users have no token, sessions must bring theirs.
    pub fn principal(&self, access_key_id: &str, token: Option<&str>) -> Result<Principal, Unfit> {
        match (self.register.user(access_key_id), token) {
            (Some((_, principal)), None) => Ok(principal.clone()),
            (Some(_), Some(_)) => Err(Unfit::Token),
            (None, token) => self.sessions.principal(access_key_id, token),
        }
    }

    /// Every AssumeRole so far, the oldest first.
    pub fn asked(&self) -> Vec<AssumeRoleRequest> {
        self.asked.all()
    }

    /// Lets sessions that are opened from now on last so long, or as long as they ask for.
    pub fn set_lifetime(&self, lifetime: Option<Duration>) {
        *locked(&self.lifetime) = lifetime;
    }

    /// Ends all open sessions.
    pub fn end_sessions(&self) {
        self.sessions.end();
    }

    /// Answers AssumeRole, or fails as a test wants it.
    fn assume_role(&self, caller: &Principal, parameters: Parameters, failure: Option<Error>) -> Result<String, Error> {
        let mut asked = AssumeRoleRequest::of(&caller.arn, &parameters);
        let granted = failure.map_or(Ok(()), Err).and_then(|()| Call::parse(parameters)).and_then(|call| {
            let lifetime = *locked(&self.lifetime);
            assume_role::assume_role(&self.register, &self.sessions, lifetime, caller, call)
        });
        asked.granted = granted.is_ok();
        self.asked.keep(asked);
        answer::assumed(&granted?)
    }
}
