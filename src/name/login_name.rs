//! The name that a client logs in with: a user's name, or a text that no user's name can be.
//!
//! The client must not learn which of them it sent. So both are one type, and each part that decides on a login handles
//! both alike.

use super::UserName;

/// The name that a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoginName(Sent);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sent {
    Possible(UserName),
    Impossible(Box<str>),
}

impl LoginName {
    /// Parses the text that a client sent. Takes any text.
    #[must_use]
    pub fn new(sent: &str) -> Self {
        Self(sent.parse().map_or_else(|_| Sent::Impossible(sent.into()), Sent::Possible))
    }

    /// Returns the name, or `None` if no user can have it. Clients can invent any number of such names, so limits count
    /// them as one.
    #[must_use]
    pub fn user(&self) -> Option<&UserName> {
        match &self.0 {
            Sent::Possible(user) => Some(user),
            Sent::Impossible(_) => None,
        }
    }

    /// Returns the text that the client sent. Not escaped, and as long as the client chose.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Sent::Possible(user) => user.as_str(),
            Sent::Impossible(sent) => sent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_text_is_a_login_name_and_keeps_its_words() {
        for (sent, is_possible) in [("alice@example.com", true), ("", false), ("../alice\n", false), ("a b", false)] {
            let name = LoginName::new(sent);
            assert_eq!((name.as_str(), name.user().is_some()), (sent, is_possible));
        }
        assert_eq!(LoginName::new("alice").user(), Some(&"alice".parse().unwrap()));
    }
}
