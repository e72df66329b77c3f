//! The number of an AWS account.

use std::{borrow::Cow, fmt, str::FromStr};

/// An account number of twelve digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AccountId(Cow<'static, str>);

/// The error for a text that is no [`AccountId`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no account id: it has twelve digits")]
pub struct NoAccountId(String);

impl AccountId {
    /// The account of AWS's own examples.
    pub(crate) const EXAMPLE: Self = Self(Cow::Borrowed("123456789012"));

    /// The digits.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = NoAccountId;

    fn from_str(text: &str) -> Result<Self, NoAccountId> {
        let digits = text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if digits { Ok(Self(text.to_owned().into())) } else { Err(NoAccountId(text.to_owned())) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twelve_digits_are_an_account() {
        assert_eq!("012345678901".parse::<AccountId>().unwrap().to_string(), "012345678901");
        for wrong in ["", "12345678901", "1234567890123", "12345678901a", "12345678901٣"] {
            assert_eq!(wrong.parse::<AccountId>(), Err(NoAccountId(wrong.to_owned())));
        }
    }
}
