//! Where a tenant's files lie and how to get there, as config says it. Plain data.

use super::{ExternalId, RoleArn, Secret};
use crate::store::{BucketId, Checksums, PayloadSigning, S3Options};

/// One bucket, and all that is needed to speak to it.
#[derive(Clone, Debug)]
pub struct Place {
    /// What the bucket is called where something is kept of its objects.
    pub id: BucketId,
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

/// How to get credentials for a [`Place`].
#[derive(Clone, Debug)]
pub struct Credentials {
    /// Who we are before we are anybody else.
    pub base: Base,
    /// The role that a session works as, narrowed to its mount. `None`: it works as [`Self::base`] itself, jailed by
    /// this server's own checks alone.
    pub role: Option<Role>,
}

/// Credentials that don't depend on the session.
#[derive(Clone, Debug)]
pub enum Base {
    /// An access key that doesn't change.
    Static {
        /// The public half.
        access_key_id: String,
        /// The secret half.
        secret_access_key: Secret,
    },
    /// The SDK's default chain: environment, profile, web identity (EKS), container (ECS), EC2 instance metadata.
    DefaultChain,
}

/// A role to assume, in the vendor's account or in the customer's.
#[derive(Clone, Debug)]
pub struct Role {
    /// Which one.
    pub arn: RoleArn,
    /// What its trust policy asks for, so that nobody who merely knows the ARN can have us work for him there. Sent with
    /// every request.
    pub external_id: ExternalId,
    /// Another endpoint of STS than the region's own.
    pub sts_endpoint: Option<String>,
    /// Whether sessions carry the tags `tenant` and `user`. The trust policy must allow `sts:TagSession` then.
    pub session_tags: bool,
    /// Whether sessions carry a source identity. The trust policy must allow `sts:SetSourceIdentity` then.
    pub source_identity: bool,
}

impl Place {
    pub(super) fn s3_options(&self) -> S3Options {
        S3Options {
            id: self.id.clone(),
            bucket: self.bucket.clone(),
            expected_bucket_owner: self.expected_bucket_owner.clone(),
            storage_class: self.storage_class.clone(),
            kms_key: self.kms_key.clone(),
            payload_signing: self.payload_signing,
            checksums: self.checksums,
        }
    }

    /// What a bucket's own default encryption is, nobody told us; other stores have a KMS only where we name its key.
    pub(super) fn may_use_kms(&self) -> bool {
        self.id.is_in_aws() || self.kms_key.is_some()
    }

    /// The part of AWS that ARNs of the bucket name.
    pub(super) fn partition(&self) -> &'static str {
        match self.region.split_once('-') {
            Some(("cn", _)) => "aws-cn",
            Some(("us", rest)) if rest.starts_with("gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let base = Base::Static {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::from("wJalrXUtnFEMI".to_owned()),
        };
        let printed = format!("{base:?} {base:#?}");
        assert!(printed.contains("AKIDEXAMPLE") && printed.contains("redacted"), "{printed}");
        assert!(!printed.contains("wJalr"), "{printed}");
    }
}
