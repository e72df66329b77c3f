//! Where a tenant's files lie and how to get there, as config says it. Plain data.

use super::Secret;
use crate::store::{Checksums, PayloadSigning, S3Options};

/// One bucket, and all that is needed to speak to it.
#[derive(Clone, Debug)]
pub struct Place {
    /// A bucket's name, an access point's ARN or its alias.
    pub bucket: String,
    /// The region to sign for, such as `eu-central-1`.
    pub region: String,
    /// Another endpoint than the region's own: a VPC interface endpoint, or an S3-compatible store. `http://` and
    /// `https://` both work.
    pub endpoint: Option<String>,
    /// `https://endpoint/bucket/key` instead of `https://bucket.endpoint/key`.
    pub path_style: bool,
    /// The KMS key that new objects are encrypted with; `None` leaves it to the bucket.
    pub kms_key: Option<String>,
    /// The account that must own the bucket: 12 digits, sent with every request.
    pub expected_bucket_owner: Option<String>,
    /// The storage class of new objects, such as `STANDARD_IA`; `None` is S3's own default.
    pub storage_class: Option<String>,
    /// Whether uploaded bytes are hashed into the signature.
    pub payload_signing: PayloadSigning,
    /// How the store checks that bytes arrived as they were sent.
    pub checksums: Checksums,
    /// Who we are there.
    pub credentials: Credentials,
}

impl Place {
    pub(super) fn s3_options(&self) -> S3Options {
        S3Options {
            bucket: self.bucket.clone(),
            expected_bucket_owner: self.expected_bucket_owner.clone(),
            storage_class: self.storage_class.clone(),
            kms_key: self.kms_key.clone(),
            payload_signing: self.payload_signing,
            checksums: self.checksums,
        }
    }
}

/// How to get credentials for a [`Place`].
#[derive(Clone, Debug)]
pub enum Credentials {
    /// An access key that doesn't change.
    Static {
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: Secret,
    },
    /// The SDK's default chain: environment, profile, web identity (EKS), ECS, EC2 instance metadata.
    DefaultChain,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let credentials = Credentials::Static {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::from("wJalrXUtnFEMI".to_owned()),
        };
        let printed = format!("{credentials:?} {credentials:#?}");
        assert!(printed.contains("AKIDEXAMPLE") && printed.contains("redacted"), "{printed}");
        assert!(!printed.contains("wJalr"), "{printed}");
    }
}
