//! The location of a tenant's files, and the way to reach it, as the config states them. Plain data.

use super::{ObjectSettings, Role, Secret};
use crate::name::{BucketId, Prefix};

/// The storage of one tenant: a prefix of one bucket, and all parameters of the requests to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// The name of the bucket in the journal, which keeps facts about its objects.
    pub id: BucketId,
    /// The prefix in the bucket below which all mounts of the tenant lie.
    pub prefix: Prefix,
    /// A bucket's name, an access point's ARN, or an access point's alias.
    pub bucket: String,
    /// The region in the signature, such as `eu-central-1`.
    pub region: String,
    /// Replaces the region's own endpoint: a VPC interface endpoint, or an S3-compatible store. Both `http://` and
    /// `https://` work.
    pub endpoint: Option<String>,
    /// Further parts of the bucket's address.
    pub address: BucketAddress,
    /// `https://endpoint/bucket/key` instead of `https://bucket.endpoint/key`.
    pub path_style: bool,
    /// The account that must own the bucket: 12 digits, sent with every request.
    pub expected_bucket_owner: Option<String>,
    /// The VPC endpoints that the tenant's requests to S3 come through, such as `vpce-0123456789abcdef0`. The
    /// policies that the bucket's owner installs refuse every other way; empty if they allow all.
    pub source_vpc_endpoints: Vec<String>,
    /// The attributes of new objects.
    pub objects: ObjectSettings,
    /// Decides if uploaded bytes are hashed into the signature.
    pub payload_signing: PayloadSigning,
    /// Decides how the store checks that it received the bytes that were sent.
    pub checksums: Checksums,
    /// The credentials of the requests.
    pub credentials: StorageCredentials,
}

/// The parts of a bucket's address that few tenants have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketAddress {
    /// The ARN of the access point whose alias [`Storage::bucket`] is. Requests have the alias, and policies the ARN.
    pub access_point_arn: Option<String>,
    /// Requests to S3 and STS go to the hosts of AWS that have IPv6 addresses too.
    pub dual_stack: bool,
    /// Requests to S3 and STS go to the hosts of AWS whose cryptography is validated by FIPS 140.
    pub fips: bool,
}

/// True for the alias that S3 gave to an access point. It is used like a bucket's name, and doesn't reveal the ARN.
pub(crate) fn is_access_point_alias(bucket: &str) -> bool {
    bucket.ends_with("-s3alias")
}

/// The choice to hash uploaded bytes into the signature.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PayloadSigning {
    /// No hash: the checksum and TLS protect the bytes, at a quarter of the CPU.
    #[default]
    Unsigned,
    /// SHA-256 of every body, for bucket policies that demand it by `s3:x-amz-content-sha256`.
    Signed,
}

/// The check that bytes arrived as they were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Checksums {
    /// CRC-64/NVME with every PutObject and part, and over the whole object at Complete.
    #[default]
    Crc64Nvme,
    /// No checksum unless the protocol requires one, for stores that refuse CRC-64/NVME.
    WhenRequired,
}

/// The way to obtain credentials for a [`Storage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageCredentials {
    /// The credentials that assume the role, or the vendor's role before it, or that sign requests if there is no role.
    pub base: BaseCredentials,
    /// The role that sessions assume, narrowed to their mount. Without it sessions use [`Self::base`], and only this
    /// server's own checks jail them.
    pub role: Option<Role>,
}

/// Credentials that don't depend on the session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BaseCredentials {
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

impl Storage {
    /// True if objects may be encrypted with a KMS key. In AWS the bucket's default encryption is unknown. Other stores
    /// use KMS only if the config says so.
    pub(crate) fn may_use_kms(&self) -> bool {
        self.id.is_in_aws() || self.objects.encryption.is_kms()
    }

    /// The ARN of the access point that the requests go through; `None` for a bucket, and for an alias whose ARN is unknown.
    pub(crate) fn access_point(&self) -> Option<&str> {
        let bucket = Some(&self.bucket).filter(|bucket| bucket.starts_with("arn:"));
        self.address.access_point_arn.as_ref().or(bucket).map(String::as_str)
    }

    /// The AWS partition in the bucket's ARNs.
    pub(crate) fn partition(&self) -> &'static str {
        match self.region.split_once('-') {
            Some(("cn", _)) => "aws-cn",
            Some(("us", rest)) if rest.starts_with("gov-") => "aws-us-gov",
            Some(("us", rest)) if rest.starts_with("iso-") => "aws-iso",
            Some(("us", rest)) if rest.starts_with("isob-") => "aws-iso-b",
            Some(("us", rest)) if rest.starts_with("isof-") => "aws-iso-f",
            Some(("eu", rest)) if rest.starts_with("isoe-") => "aws-iso-e",
            Some(("eusc", _)) => "aws-eusc",
            _ => "aws",
        }
    }
}

#[cfg(test)]
impl Storage {
    /// A bucket in AWS without a role.
    pub(crate) fn of_a_test(prefix: &str) -> Self {
        Self {
            id: BucketId::new("vendor", None),
            prefix: Prefix::parse(prefix).unwrap(),
            bucket: "vendor".to_owned(),
            region: "eu-central-1".to_owned(),
            endpoint: None,
            address: BucketAddress::default(),
            path_style: false,
            expected_bucket_owner: None,
            source_vpc_endpoints: Vec::new(),
            objects: ObjectSettings::default(),
            payload_signing: PayloadSigning::default(),
            checksums: Checksums::default(),
            credentials: StorageCredentials { base: BaseCredentials::DefaultChain, role: None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_never_printed() {
        let base = BaseCredentials::Static {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: Secret::from("wJalrXUtnFEMI".to_owned()),
        };
        let printed = format!("{base:?} {base:#?}");
        assert!(printed.contains("AKIDEXAMPLE") && printed.contains("redacted"), "{printed}");
        assert!(!printed.contains("wJalr"), "{printed}");
    }
}
