//! The attributes of a tenant's new objects, as the config states them. Plain data.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// The settings of the requests that create a tenant's objects. The default leaves all to the bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSettings {
    /// The storage class, such as `STANDARD_IA`; `None` is S3's own default.
    pub storage_class: Option<String>,
    /// The server-side encryption.
    pub encryption: Encryption,
    /// Gives the bucket's owner full control of new objects, for buckets in which the account that uploads owns them.
    pub bucket_owner_full_control: bool,
    /// The tags of new files and markers. Copies have those of their source. The marker of an empty directory that is renamed
    /// is a new one.
    pub tags: Vec<ObjectTag>,
    /// Every request says that the sender pays for it, not only those that create objects.
    pub requester_pays: bool,
}

/// The parts of a file's origin that its metadata names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ObjectMetadata {
    /// `x-amz-meta-uploaded-by`: the user.
    pub user: bool,
    /// `x-amz-meta-session`: the session, by the id in its records.
    pub session: bool,
}

/// A tag of new objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectTag {
    /// S3 takes 1 to 128 characters of some kinds.
    pub key: String,
    /// S3 takes up to 256 characters of the same kinds.
    pub value: String,
}

/// The server-side encryption of new objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Encryption {
    /// The bucket's default.
    #[default]
    Bucket,
    /// Keys of S3.
    SseS3,
    /// A key of KMS.
    SseKms {
        /// The key's ARN, id or alias; `None` is `aws/s3`, a key that AWS manages. Policies name the key only by its
        /// ARN, and otherwise allow every key that S3 uses for the bucket.
        key: Option<String>,
        /// True if S3 derives the keys of objects from a key of the bucket; `None` is the bucket's default.
        bucket_key: Option<bool>,
    },
    /// A key of KMS, in two layers.
    DsseKms {
        /// As for [`Self::SseKms`].
        key: Option<String>,
    },
}

impl ObjectSettings {
    /// The tags as a query, which the header `x-amz-tagging` takes. `None` if there are none.
    pub(crate) fn tagging(&self) -> Option<String> {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pair = |tag: &ObjectTag| format!("{}={}", escaped(&tag.key), escaped(&tag.value));
        let pairs: Vec<_> = self.tags.iter().map(pair).collect();
        (!pairs.is_empty()).then(|| pairs.join("&"))
    }
}

impl Encryption {
    /// The KMS key, if the config names one.
    #[must_use]
    pub fn kms_key(&self) -> Option<&str> {
        match self {
            Self::Bucket | Self::SseS3 => None,
            Self::SseKms { key, .. } | Self::DsseKms { key } => key.as_deref(),
        }
    }

    /// True if KMS encrypts new objects.
    pub(crate) const fn is_kms(&self) -> bool {
        matches!(self, Self::SseKms { .. } | Self::DsseKms { .. })
    }
}
