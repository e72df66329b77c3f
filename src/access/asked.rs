//! The requests to log in of one connection that have no record yet. They get one when the client leaves without a try, or
//! asks with another name.

use std::{borrow::Cow, mem};

/// The longest name or reason that is kept, in characters: the client chose it, and it stays until the connection ends.
const MAX_KEPT: usize = 256;

/// A login that was refused, for its record.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    pub user: String,
    /// The method of SSH.
    pub method: &'static str,
    pub reason: Cow<'static, str>,
    /// The fingerprint of the key, for `publickey`.
    pub fingerprint: Option<String>,
}

/// The last of these requests.
#[derive(Debug, Default)]
pub enum Asked {
    #[default]
    Nothing,
    /// A request `none`, which asks for the methods.
    Methods { user: String },
    /// A request `keyboard-interactive`, whose prompt has no answer yet.
    Prompted { user: String },
    /// A key that is the user's, and for which no signature came.
    Accepted { user: String, fingerprint: String },
    /// Keys that were refused before they signed. They are no tries: agents offer each of their keys.
    Refused { first: Refused, others: u32 },
}

impl Asked {
    /// The client asks for the methods.
    pub fn methods(&mut self, user: &str) {
        if let Self::Nothing = self {
            *self = Self::Methods { user: kept(user) };
        }
    }

    /// The client is asked for a password. Gives the line of refused keys of another name.
    pub fn prompted(&mut self, user: &str) -> Option<Refused> {
        self.replace(user, Self::Prompted { user: kept(user) })
    }

    /// The client may sign with a key. Gives the line of refused keys of another name.
    pub fn accepted(&mut self, user: &str, fingerprint: String) -> Option<Refused> {
        self.replace(user, Self::Accepted { user: kept(user), fingerprint })
    }

    /// The client makes a try, which has a line of its own. Gives the line of refused keys of another name.
    pub fn tried(&mut self, user: &str) -> Option<Refused> {
        self.replace(user, Self::Nothing)
    }

    /// A key was refused before it signed. Gives the line of refused keys of another name.
    pub fn refused(&mut self, user: &str, fingerprint: Option<String>, reason: &str) -> Option<Refused> {
        if let Self::Refused { first, others } = self
            && first.user == kept(user)
        {
            *others = others.saturating_add(1);
            return None;
        }
        let first = Refused { user: kept(user), method: "publickey", reason: kept(reason).into(), fingerprint };
        self.replace(user, Self::Refused { first, others: 0 })
    }

    /// The line of a client that asks no more, if there is something to say.
    pub fn take(&mut self) -> Option<Refused> {
        let line = |user, method, reason: &'static str, fingerprint| {
            Some(Refused { user, method, reason: reason.into(), fingerprint })
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
                Some(Refused { reason: reason.into(), ..first })
            }
        }
    }

    /// True if the line would say no more than that the connection ended.
    pub fn is_silent(&self) -> bool {
        matches!(self, Self::Nothing | Self::Methods { .. } | Self::Prompted { .. })
    }

    fn replace(&mut self, user: &str, new: Self) -> Option<Refused> {
        let line = match self {
            Self::Refused { first, .. } if first.user != kept(user) => self.take(),
            _ => None,
        };
        *self = new;
        line
    }
}

fn kept(text: &str) -> String {
    text.chars().take(MAX_KEPT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reason(line: Option<Refused>) -> Option<(String, String)> {
        line.map(|line| (line.user, line.reason.into_owned()))
    }

    /// Issue 12.2.
    #[test]
    fn refused_keys_of_one_name_have_one_line_and_each_name_has_its_own() {
        let mut asked = Asked::default();
        asked.methods("alice");
        for _ in 0..3 {
            assert_eq!(asked.refused("alice", Some("SHA256:x".into()), "unknown key"), None);
        }
        let line = asked.refused("bob", None, "unknown user");
        assert_eq!(reason(line), Some(("alice".into(), "unknown key; so were 2 more that it offered".into())));
        assert_eq!(reason(asked.tried("root")), Some(("bob".into(), "unknown user".into())));
        assert_eq!(asked.take(), None);
    }

    #[test]
    fn a_try_with_the_same_name_needs_no_line_of_the_keys_before_it() {
        let mut asked = Asked::default();
        assert_eq!(asked.refused("alice", None, "unknown key"), None);
        assert_eq!(asked.tried("alice"), None);
        assert_eq!(asked.take(), None);
    }

    #[test]
    fn a_client_that_leaves_says_how_far_it_came() {
        let mut asked = Asked::default();
        asked.methods("alice");
        assert_eq!(asked.take().unwrap().method, "none");
        assert_eq!(asked.prompted("alice"), None);
        assert_eq!(asked.take().unwrap().method, "keyboard-interactive");
        assert_eq!(asked.accepted("alice", "SHA256:x".into()), None);
        let line = asked.take().unwrap();
        assert_eq!((line.method, line.fingerprint.as_deref()), ("publickey", Some("SHA256:x")));
        assert!(line.reason.contains("did not sign"));
    }

    #[test]
    fn a_name_is_kept_cut() {
        let mut asked = Asked::default();
        asked.methods(&"x".repeat(250_000));
        assert_eq!(asked.take().unwrap().user.len(), MAX_KEPT);
        assert_eq!(asked.refused(&"x".repeat(250_000), None, &"y".repeat(250_000)), None);
        assert_eq!(asked.refused(&"x".repeat(250_000), None, ""), None, "the same name");
    }
}
