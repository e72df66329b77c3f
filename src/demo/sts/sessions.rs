//! Sessions of roles: keys that end. Their tokens are compared here, since s3s checks signatures alone.

use crate::demo::{iam::Principal, s3::locked};
use base64::{Engine, prelude::BASE64_STANDARD};
use std::{
    collections::BTreeMap,
    fmt, io,
    sync::Mutex,
    time::{Duration, SystemTime},
};

/// What an access key of a session begins with.
const KEY_PREFIX: &str = "ASIA";
/// How long an ended session is known, so that its holder is told that it ended.
const REMEMBERED: Duration = Duration::from_hours(1);
/// The letters and digits of access keys.
const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// The keys of a session.
#[derive(Clone)]
pub struct Credentials {
    pub access_key_id: String,
    pub secret_access_key: String,
    pub session_token: String,
    pub expiration: SystemTime,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = formatter.debug_struct("Credentials");
        shown.field("access_key_id", &self.access_key_id).field("expiration", &self.expiration).finish_non_exhaustive()
    }
}

/// Why a session's key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// No such key, no token, or not the token of this key.
    Token,
    /// It has ended.
    Expired,
}

/// All sessions that haven't long ended.
#[derive(Debug, Default)]
pub struct Sessions(Mutex<BTreeMap<String, Session>>);

#[derive(Debug)]
struct Session {
    credentials: Credentials,
    principal: Principal,
}

impl Sessions {
    /// Opens a session that lasts so long from now.
    pub fn open(&self, principal: Principal, lifetime: Duration) -> io::Result<Credentials> {
        let now = SystemTime::now();
        let key: String = random::<16>()?
            .iter()
            .filter_map(|byte| ALPHABET.get(usize::from(byte % 32)))
            .map(|c| char::from(*c))
            .collect();
        let credentials = Credentials {
            access_key_id: format!("{KEY_PREFIX}{key}"),
            secret_access_key: BASE64_STANDARD.encode(random::<30>()?),
            session_token: BASE64_STANDARD.encode(random::<150>()?),
            expiration: now + lifetime,
        };
        let mut sessions = locked(&self.0);
        sessions.retain(|_, session| session.credentials.expiration + REMEMBERED > now);
        let session = Session { credentials: credentials.clone(), principal };
        sessions.insert(credentials.access_key_id.clone(), session);
        Ok(credentials)
    }

    /// What the holder of a key signs with.
    pub fn secret(&self, access_key_id: &str) -> Option<String> {
        locked(&self.0).get(access_key_id).map(|session| session.credentials.secret_access_key.clone())
    }

    /// Who a key with its token is.
    pub fn principal(&self, access_key_id: &str, token: Option<&str>) -> Result<Principal, Unfit> {
        let sessions = locked(&self.0);
        let session = sessions.get(access_key_id).ok_or(Unfit::Token)?;
        if token != Some(session.credentials.session_token.as_str()) {
            return Err(Unfit::Token);
        }
        if session.credentials.expiration <= SystemTime::now() {
            return Err(Unfit::Expired);
        }
        Ok(session.principal.clone())
    }

    /// Ends all sessions now.
    pub fn end(&self) {
        let now = SystemTime::now();
        for session in locked(&self.0).values_mut() {
            session.credentials.expiration = session.credentials.expiration.min(now);
        }
    }
}

fn random<const BYTES: usize>() -> io::Result<[u8; BYTES]> {
    let mut bytes = [0; BYTES];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(bytes)
}
