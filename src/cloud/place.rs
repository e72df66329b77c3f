//! The location of a tenant's files, and the way to reach it, as the config states them. Plain data.

use super::{ExternalId, RoleArn, Secret};
use crate::{
    name::BucketId,
    store::{Checksums, PayloadSigning, S3Options},
};
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use futures_util::FutureExt as _;
use std::net::Ipv4Addr;

/// One bucket, and all parameters of the requests to it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The name of the bucket in the journal, which keeps facts about its objects.
    pub id: BucketId,
    /// A bucket's name, an access point's ARN, or an access point's alias.
    pub bucket: String,
    /// The region in the signature, such as `eu-central-1`.
    pub region: String,
    /// Replaces the region's own endpoint: a VPC interface endpoint, or an S3-compatible store. Both `http://` and
    /// `https://` work.
    pub endpoint: Option<String>,
    /// `https://endpoint/bucket/key` instead of `https://bucket.endpoint/key`.
    pub path_style: bool,
    /// The KMS key that encrypts new objects; `None` leaves the choice to the bucket.
    pub kms_key: Option<String>,
    /// The account that must own the bucket: 12 digits, sent with every request.
    pub expected_bucket_owner: Option<String>,
    /// The storage class of new objects, such as `STANDARD_IA`; `None` is S3's own default.
    pub storage_class: Option<String>,
    /// Decides if uploaded bytes are hashed into the signature.
    pub payload_signing: PayloadSigning,
    /// Decides how the store checks that it received the bytes that were sent.
    pub checksums: Checksums,
    /// The credentials of the requests.
    pub credentials: Credentials,
}

/// The way to obtain credentials for a [`Place`].
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The credentials that assume the role, or that sign requests if there is none.
    pub base: Base,
    /// The role that sessions assume, narrowed to their mount. Without it sessions use [`Self::base`], and only this
    /// server's own checks jail them.
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
    /// The ARN of the role.
    pub arn: RoleArn,
    /// The external ID that the role's trust policy requires. It keeps others who know only the ARN from using the role
    /// through this server. Sent with every request.
    pub external_id: ExternalId,
    /// Replaces the region's own STS endpoint.
    pub sts_endpoint: Option<String>,
    /// True if sessions carry the tags `tenant` and `user`. The trust policy must allow `sts:TagSession` then.
    pub session_tags: bool,
    /// True if sessions carry a source identity. The trust policy must allow `sts:SetSourceIdentity` then.
    pub source_identity: bool,
}

/// The reason why no request can reach a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBucket {
    /// S3 creates no bucket of this name.
    #[error(
        "is no name that S3 gives to a bucket; it takes 3 to 63 lower-case letters, digits, `-` and `.`, which begins and \
         ends with a letter or a digit, has no two dots in a row and is no IP address"
    )]
    Name,
    /// The SDK can't determine an endpoint for the bucket.
    #[error("no request can be sent to it: {0}")]
    Unreachable(String),
}

impl Place {
    /// Checks that requests can be sent to the bucket. Sends none.
    ///
    /// # Errors
    /// If no bucket in AWS can have the name, or if the SDK would fail on every request.
    pub fn check_bucket(&self) -> Result<(), InvalidBucket> {
        if self.id.is_in_aws() && !self.bucket.starts_with("arn:") && !is_aws_name(&self.bucket, &self.region) {
            return Err(InvalidBucket::Name);
        }
        let unreachable = |error: &dyn std::error::Error| InvalidBucket::Unreachable(error.to_string());
        // The same parameters that the client uses, which is made at the first request.
        let params = Params::builder()
            .bucket(&self.bucket)
            .region(&self.region)
            .set_endpoint(self.endpoint.clone())
            .force_path_style(self.path_style)
            .build()
            .map_err(|error| unreachable(&error))?;
        let resolver = DefaultResolver::new();
        let endpoint = resolver.resolve_endpoint(&params).now_or_never();
        endpoint.transpose().map(drop).map_err(|error| unreachable(&*error))
    }

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

    /// True if objects may be encrypted with a KMS key. In AWS the bucket's default encryption is unknown. Other stores
    /// use KMS only if the config names a key.
    pub(super) fn may_use_kms(&self) -> bool {
        self.id.is_in_aws() || self.kms_key.is_some()
    }

    /// The AWS partition in the bucket's ARNs.
    pub(super) fn partition(&self) -> &'static str {
        match self.region.split_once('-') {
            Some(("cn", _)) => "aws-cn",
            Some(("us", rest)) if rest.starts_with("gov-") => "aws-us-gov",
            _ => "aws",
        }
    }
}

/// True for a name that a bucket in AWS can have. Prefixes and suffixes that S3 reserved later are accepted: a bucket
/// may be older than the rule.
fn is_aws_name(name: &str, region: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    // Until 2018 S3 accepted more names in us-east-1, and those buckets still exist.
    if region == "us-east-1" {
        return (3..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    }
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| is_word(byte) || b"-.".contains(&byte))
        && [name.bytes().next(), name.bytes().last()].iter().flatten().all(|byte| is_word(*byte))
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err()
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
