//! Sessions of roles, with keys that expire. s3s checks signatures only, so tokens are compared here.

use crate::{
    clock::ServerClock,
    iam::{Policy, Principal, RoleRegister},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use parking_lot::Mutex;
use std::{
    collections::BTreeMap,
    fmt, io,
    sync::Arc,
    time::{Duration, SystemTime},
};

/// Prefix of a session's access key id.
const KEY_PREFIX: &str = "ASIA";
/// Time that an ended session is remembered, so that its holder is told that it expired.
const REMEMBERED: Duration = Duration::from_hours(1);
/// Characters of access key ids.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Credentials of a session.
#[derive(Clone)]
pub(crate) struct TemporaryCredentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: String,
    pub(crate) session_token: String,
    pub(crate) expiration: SystemTime,
}

impl fmt::Debug for TemporaryCredentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("TemporaryCredentials");
        shown.field("access_key_id", &self.access_key_id).field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

/// Reason why a session's key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unfit {
    /// The key is unknown, or the token is missing or of another key.
    Token,
    /// The session has ended.
    Expired,
}

/// All sessions that are open, or ended less than [`REMEMBERED`] ago.
#[derive(Debug)]
pub(crate) struct RoleSessions {
    sessions: Mutex<BTreeMap<String, RoleSession>>,
    clock: Arc<ServerClock>,
}

#[derive(Debug)]
struct RoleSession {
    credentials: TemporaryCredentials,
    principal: Principal,
    is_revoked: bool,
}

impl RoleSessions {
    /// No sessions yet. They will expire by `clock`.
    pub(crate) fn new(clock: Arc<ServerClock>) -> Self {
        Self { sessions: Mutex::default(), clock }
    }

    /// Opens a session that lasts `lifetime` from now.
    pub(crate) fn open(&self, principal: Principal, lifetime: Duration) -> io::Result<TemporaryCredentials> {
        let now = self.clock.now();
        let key: String = random::<16>()?
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
            .map(|c| char::from(*c))
            .collect();
        let credentials = TemporaryCredentials {
            access_key_id: format!("{KEY_PREFIX}{key}"),
            secret_access_key: BASE64_STANDARD.encode(random::<30>()?),
            session_token: BASE64_STANDARD.encode(random::<150>()?),
            expiration: now + lifetime,
        };
        let mut sessions = self.sessions.lock();
        sessions.retain(|_, session| session.credentials.expiration + REMEMBERED > now);
        let session = RoleSession { credentials: credentials.clone(), principal, is_revoked: false };
        sessions.insert(credentials.access_key_id.clone(), session);
        Ok(credentials)
    }

    /// Returns the secret of a session's access key.
    pub(crate) fn secret(&self, access_key_id: &str) -> Option<String> {
        self.sessions.lock().get(access_key_id).map(|session| session.credentials.secret_access_key.clone())
    }

    /// Returns the principal of a key with its token. It has the policies that its role has now.
    pub(crate) fn principal(
        &self,
        access_key_id: &str,
        token: Option<&str>,
        roles: &RoleRegister,
    ) -> Result<Principal, Unfit> {
        let sessions = self.sessions.lock();
        let session = sessions.get(access_key_id).ok_or(Unfit::Token)?;
        if token != Some(session.credentials.session_token.as_str()) {
            return Err(Unfit::Token);
        }
        if session.credentials.expiration <= self.clock.now() {
            return Err(Unfit::Expired);
        }
        let mut principal = session.principal.clone();
        let role = principal.session.as_ref().filter(|_| !session.is_revoked);
        if let Some(assumed) = role {
            principal.policies = roles.by_arn(&assumed.role).map(|role| role.policies()).unwrap_or_default();
        }
        Ok(principal)
    }

    /// Denies everything to the sessions that a role has now.
    pub(crate) fn revoke(&self, role: &str) {
        let denial = Arc::new(Policy::denial());
        let of_role =
            |session: &&mut RoleSession| session.principal.session.as_ref().is_some_and(|assumed| assumed.role == role);
        for session in self.sessions.lock().values_mut().filter(of_role) {
            session.principal.policies = vec![Arc::clone(&denial)];
            session.is_revoked = true;
        }
    }

    /// Ends all sessions now.
    pub(crate) fn end(&self) {
        let now = self.clock.now();
        for session in self.sessions.lock().values_mut() {
            session.credentials.expiration = session.credentials.expiration.min(now);
        }
    }
}

fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
