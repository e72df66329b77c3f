//! Names of tenants and users: short, printable ASCII, safe in paths, logs and role session names.

use serde::{Serialize, Serializer};
use std::{fmt, str::FromStr, sync::Arc};

/// The maximum length of a name, in bytes. AWS Transfer Family allows 100 for a user.
const MAX_NAME_BYTES: usize = 100;

/// The reason why a name is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no {kind} name: 1 to {MAX_NAME_BYTES} letters, digits, `_`, `.`{at} and `-`, the first a letter, digit or `_`", name.escape_debug())]
pub struct InvalidName {
    name: String,
    kind: &'static str,
    at: &'static str,
}

fn is_name(name: &str, also: &[u8]) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(word)
        && name.bytes().all(|b| word(b) || b == b'.' || b == b'-' || also.contains(&b))
        && !name.contains("..")
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $also:literal, $at:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $type(Arc<str>);

        impl $type {
            /// Returns the name as it appears in the config and the logs.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = InvalidName;

            fn from_str(name: &str) -> Result<Self, InvalidName> {
                if is_name(name, $also) {
                    Ok(Self(name.into()))
                } else {
                    Err(InvalidName { name: name.to_owned(), kind: $kind, at: $at })
                }
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }
    };
}

name!(
    /// A tenant's name: letters, digits, `_`, `.` and `-`.
    TenantName, "tenant", b"", ""
);
name!(
    /// A user's name: like a tenant's, and with `@` for users who log in with a mail address.
    UserName, "user", b"@", ", `@`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_path_or_a_line_are_refused() {
        for bad in ["", ".", "..", "../x", "a/b", "a..b", "-a", ".a", "@a", "a b", "a\n", "ä", "a\0", &"a".repeat(101)]
        {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
            assert!(bad.parse::<TenantName>().is_err(), "{bad:?}");
        }
        assert!("alice@example.com".parse::<UserName>().is_ok());
        assert!("alice@example.com".parse::<TenantName>().is_err());
        assert!(&"a".repeat(100).parse::<TenantName>().is_ok());
    }

    #[test]
    fn the_error_says_what_would_be_right() {
        let error = "a\nb".parse::<TenantName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`a\\nb` is no tenant name: 1 to 100 letters, digits, `_`, `.` and `-`, the first a letter, digit or `_`"
        );
    }
}
