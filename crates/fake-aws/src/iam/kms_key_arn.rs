//! The ARN of a KMS key.

use super::AccountId;
use serde::Deserialize;
use std::{fmt, str::FromStr};

/// `arn:aws:kms:REGION:ACCOUNT:key/ID`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct KmsKeyArn {
    region: String,
    account: AccountId,
    id: String,
}

/// The error for a text that is no [`KmsKeyArn`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no ARN of a KMS key: it has the form arn:aws:kms:REGION:ACCOUNT:key/ID")]
pub struct NoKmsKeyArn(String);

impl KmsKeyArn {
    pub(crate) fn new(region: &str, account: AccountId, id: &str) -> Self {
        Self { region: region.to_owned(), account, id: id.to_owned() }
    }

    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    /// The account that the key belongs to.
    pub(crate) fn account(&self) -> &AccountId {
        &self.account
    }
}

impl FromStr for KmsKeyArn {
    type Err = NoKmsKeyArn;

    fn from_str(text: &str) -> Result<Self, NoKmsKeyArn> {
        let invalid = || NoKmsKeyArn(text.to_owned());
        let ["arn", "aws", "kms", region, account, key] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(invalid());
        };
        let account = account.parse().map_err(|_| invalid())?;
        let id = key.strip_prefix("key/").filter(|id| !id.is_empty() && !region.is_empty()).ok_or_else(invalid)?;
        Ok(Self::new(region, account, id))
    }
}

impl TryFrom<String> for KmsKeyArn {
    type Error = NoKmsKeyArn;

    fn try_from(text: String) -> Result<Self, NoKmsKeyArn> {
        text.parse()
    }
}

impl fmt::Display for KmsKeyArn {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "arn:aws:kms:{}:{}:key/{}", self.region, self.account, self.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_names_region_account_and_key() {
        let text = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd";
        let arn: KmsKeyArn = text.parse().unwrap();
        assert_eq!(
            (arn.to_string().as_str(), arn.region(), arn.account().as_str()),
            (text, "eu-central-1", "111122223333")
        );
        for wrong in [
            "",
            "1234abcd",
            "alias/a",
            &text.replace("key/", "alias/"),
            &text.replace("kms", "s3"),
            "arn:aws:kms:r:1:key/k",
        ] {
            assert!(wrong.parse::<KmsKeyArn>().is_err(), "{wrong}");
        }
    }
}
