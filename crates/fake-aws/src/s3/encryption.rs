//! Server-side encryption of an object: with keys of S3, or with a key of KMS. The bytes themselves are never encrypted
//! here. Only the permissions and the headers are those of encrypted objects.

use super::error::{Error, Result};
use crate::iam::{AccountId, KmsKeyArn};
use s3s::dto::ServerSideEncryption;

/// The header of dual-layer encryption with a KMS key.
const DUAL_LAYER: &str = ServerSideEncryption::AWS_KMS_DSSE;

/// The KMS key of an object, or of new objects in a bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ObjectKmsKey {
    pub(crate) arn: KmsKeyArn,
    /// True if S3 derives the object's key from a key of the bucket. The encryption context then is the bucket.
    pub(crate) bucket_key: bool,
    /// True if S3 encrypts the object in two layers. The permissions are the same.
    pub(crate) dual_layer: bool,
}

/// Encryption of an object. Without a KMS key, S3 encrypts with its own keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ObjectEncryption(pub(crate) Option<ObjectKmsKey>);

/// The headers of a request about the encryption of a new object.
pub(crate) struct EncryptionHeaders {
    /// `x-amz-server-side-encryption`.
    pub(crate) algorithm: Option<String>,
    /// `x-amz-server-side-encryption-aws-kms-key-id`.
    pub(crate) key_id: Option<String>,
    /// `x-amz-server-side-encryption-bucket-key-enabled`.
    pub(crate) bucket_key: Option<bool>,
    /// True if the request brings a key or an encryption context of its own.
    pub(crate) unsupported: bool,
}

/// Reads the [`EncryptionHeaders`] of a PutObjectInput, a CopyObjectInput or a CreateMultipartUploadInput.
macro_rules! encryption_headers {
    ($input:expr) => {
        $crate::s3::encryption::EncryptionHeaders {
            algorithm: $input.server_side_encryption.as_ref().map(|algorithm| algorithm.as_str().to_owned()),
            key_id: $input.ssekms_key_id.clone(),
            bucket_key: $input.bucket_key_enabled,
            unsupported: $input.sse_customer_algorithm.is_some() || $input.ssekms_encryption_context.is_some(),
        }
    };
}
pub(super) use encryption_headers;

impl EncryptionHeaders {
    /// Returns the encryption of the new object. A key without an ARN is one of the caller's account, in the region that
    /// the request was signed for.
    pub(crate) fn resolve(
        self,
        default: ObjectEncryption,
        account: &AccountId,
        region: Option<&str>,
    ) -> Result<ObjectEncryption> {
        let Self { algorithm, key_id, bucket_key, unsupported } = self;
        if unsupported {
            return Err(Error::NotImplemented("keys of clients and encryption contexts"));
        }
        match (algorithm.as_deref(), key_id) {
            (None, None) => Ok(ObjectEncryption(
                default.0.map(|key| ObjectKmsKey { bucket_key: bucket_key.unwrap_or(key.bucket_key), ..key }),
            )),
            (Some("AES256"), None) => Ok(ObjectEncryption::default()),
            (Some(DUAL_LAYER), _) if bucket_key == Some(true) => {
                Err(Error::NotImplemented("a key of the bucket for two layers"))
            }
            (Some(algorithm @ ("aws:kms" | DUAL_LAYER)), Some(id)) => {
                let arn = if id.contains([':', '/']) {
                    id.parse().map_err(|_| Error::KmsKeyNotFound(id))?
                } else {
                    KmsKeyArn::new(region.unwrap_or_default(), account.clone(), &id)
                };
                let (bucket_key, dual_layer) = (bucket_key.unwrap_or_default(), algorithm == DUAL_LAYER);
                Ok(ObjectEncryption(Some(ObjectKmsKey { arn, bucket_key, dual_layer })))
            }
            (Some("aws:kms" | DUAL_LAYER), None) => Err(Error::NotImplemented("the key aws/s3, which AWS manages")),
            (None | Some("AES256"), Some(_)) => Err(Error::InvalidArgument(
                "Server Side Encryption with AWS KMS managed key requires HTTP header x-amz-server-side-encryption : \
                 aws:kms",
            )),
            (Some(_), _) => Err(Error::NotImplemented("this kind of encryption")),
        }
    }
}

impl ObjectEncryption {
    /// The header `x-amz-server-side-encryption` of an answer.
    pub(crate) fn algorithm(&self) -> ServerSideEncryption {
        ServerSideEncryption::from_static(match &self.0 {
            None => ServerSideEncryption::AES256,
            Some(ObjectKmsKey { dual_layer: true, .. }) => DUAL_LAYER,
            Some(_) => ServerSideEncryption::AWS_KMS,
        })
    }

    /// The header `x-amz-server-side-encryption-aws-kms-key-id` of an answer.
    pub(crate) fn key_id(&self) -> Option<String> {
        self.0.as_ref().map(|key| key.arn.to_string())
    }

    /// True if a KMS key encrypts the object in two layers.
    pub(crate) fn has_two_layers(&self) -> bool {
        self.0.as_ref().is_some_and(|key| key.dual_layer)
    }

    /// The header `x-amz-server-side-encryption-bucket-key-enabled` of an answer.
    pub(crate) fn bucket_key(&self) -> Option<bool> {
        self.0.as_ref().map(|key| key.bucket_key).filter(|enabled| *enabled)
    }
}
