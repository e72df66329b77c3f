//! The login requests of one connection that have no record yet. They get one when the client leaves without a try, or
//! asks with another name.

use std::{borrow::Cow, mem};

/// The maximum length of a stored name or reason, in characters. The client chose them, and they stay until the
/// connection ends.
const MAX_TEXT_CHARS: usize = 256;

/// A refused login, for its record.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RefusedLogin {
    pub(crate) user: String,
    /// SSH's name of the method.
    pub(crate) method: &'static str,
    pub(crate) reason: Cow<'static, str>,
    /// The fingerprint of the key, for `publickey`.
    pub(crate) fingerprint: Option<String>,
}

/// The last login request without a record.
#[derive(Debug, Default)]
pub(crate) enum LastRequest {
    #[default]
    Nothing,
    /// The client sent `none`, which asks for the methods.
    Methods { user: String },
    /// The client sent `keyboard-interactive`, and the prompt has no answer yet.
    Prompted { user: String },
    /// The client offered a key of the user, and sent no signature.
    Accepted { user: String, fingerprint: String },
    /// The client offered keys that were refused before it signed. They are no tries: agents offer each of their keys.
    Refused { first: RefusedLogin, others: u32 },
}

impl LastRequest {
    /// Records that the client asked for the methods.
    pub(crate) fn methods(&mut self, user: &str) {
        if let Self::Nothing = self {
            *self = Self::Methods { user: truncated(user) };
        }
    }

    /// Records that the client was prompted for a password. Returns the record of another name's refused keys.
    pub(crate) fn prompted(&mut self, user: &str) -> Option<RefusedLogin> {
        self.replace(user, Self::Prompted { user: truncated(user) })
    }

    /// Records that the client may sign with a key. Returns the record of another name's refused keys.
    pub(crate) fn accepted(&mut self, user: &str, fingerprint: String) -> Option<RefusedLogin> {
        self.replace(user, Self::Accepted { user: truncated(user), fingerprint })
    }

    /// Records that the client made a try, which has a record of its own. Returns the record of another name's refused
    /// keys.
    pub(crate) fn tried(&mut self, user: &str) -> Option<RefusedLogin> {
        self.replace(user, Self::Nothing)
    }

    /// Records that a key was refused before the client signed. Returns the record of another name's refused keys.
    pub(crate) fn refused(&mut self, user: &str, fingerprint: Option<String>, reason: &str) -> Option<RefusedLogin> {
        if let Self::Refused { first, others } = self
            && first.user == truncated(user)
        {
            *others = others.saturating_add(1);
            return None;
        }
        let first =
            RefusedLogin { user: truncated(user), method: "publickey", reason: truncated(reason).into(), fingerprint };
        self.replace(user, Self::Refused { first, others: 0 })
    }

    /// Returns the record of a client that leaves, if it has an unrecorded request.
    pub(crate) fn take(&mut self) -> Option<RefusedLogin> {
        let line = |user, method, reason: &'static str, fingerprint| {
            Some(RefusedLogin { user, method, reason: reason.into(), fingerprint })
        };
        match mem::take(self) {
            Self::Nothing => None,
            Self::Methods { user } => {
                line(user, "none", "the client left after none: it offered no key and no password", None)
            }
            Self::Prompted { user } => {
                line(user, "keyboard-interactive", "the client left when it was asked for the password", None)
            }
            Self::Accepted { user, fingerprint } => {
                line(user, "publickey", "the key was accepted, and the client did not sign with it", Some(fingerprint))
            }
            Self::Refused { first, others: 0 } => Some(first),
            Self::Refused { first, others } => {
                let reason = format!("{}; so were {others} more that it offered", first.reason);
                Some(RefusedLogin { reason: reason.into(), ..first })
            }
        }
    }

    /// True if the record would add nothing to the end of the connection.
    pub(crate) fn is_silent(&self) -> bool {
        matches!(self, Self::Nothing | Self::Methods { .. } | Self::Prompted { .. })
    }

    fn replace(&mut self, user: &str, new: Self) -> Option<RefusedLogin> {
        let line = match self {
            Self::Refused { first, .. } if first.user != truncated(user) => self.take(),
            _ => None,
        };
        *self = new;
        line
    }
}

fn truncated(text: &str) -> String {
    text.chars().take(MAX_TEXT_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: Option<RefusedLogin>) -> Option<(String, String)> {
        line.map(|line| (line.user, line.reason.into_owned()))
    }

    /// Issue 12.2.
    #[test]
    fn refused_keys_of_one_name_have_one_line_and_each_name_has_its_own() {
        let mut last_request = LastRequest::default();
        last_request.methods("alice");
        for _ in 0..3 {
            assert_eq!(last_request.refused("alice", Some("SHA256:x".into()), "unknown key"), None);
        }
        let line = last_request.refused("bob", None, "unknown user");
        assert_eq!(reason(line), Some(("alice".into(), "unknown key; so were 2 more that it offered".into())));
        assert_eq!(reason(last_request.tried("root")), Some(("bob".into(), "unknown user".into())));
        assert_eq!(last_request.take(), None);
    }

    #[test]
    fn a_try_with_the_same_name_needs_no_line_of_the_keys_before_it() {
        let mut last_request = LastRequest::default();
        assert_eq!(last_request.refused("alice", None, "unknown key"), None);
        assert_eq!(last_request.tried("alice"), None);
        assert_eq!(last_request.take(), None);
    }

    #[test]
    fn a_client_that_leaves_says_how_far_it_came() {
        let mut last_request = LastRequest::default();
        last_request.methods("alice");
        assert_eq!(last_request.take().unwrap().method, "none");
        assert_eq!(last_request.prompted("alice"), None);
        assert_eq!(last_request.take().unwrap().method, "keyboard-interactive");
        assert_eq!(last_request.accepted("alice", "SHA256:x".into()), None);
        let line = last_request.take().unwrap();
        assert_eq!((line.method, line.fingerprint.as_deref()), ("publickey", Some("SHA256:x")));
        assert!(line.reason.contains("did not sign"));
    }

    #[test]
    fn a_long_name_is_truncated() {
        let mut last_request = LastRequest::default();
        last_request.methods(&"x".repeat(250_000));
        assert_eq!(last_request.take().unwrap().user.len(), MAX_TEXT_CHARS);
        assert_eq!(last_request.refused(&"x".repeat(250_000), None, &"y".repeat(250_000)), None);
        assert_eq!(last_request.refused(&"x".repeat(250_000), None, ""), None, "the same name");
    }
}
