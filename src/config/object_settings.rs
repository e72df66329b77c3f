//! The keys of `[storage]` that describe new objects.

use super::{
    document::ConfigTable,
    value::{texts, words},
};
use crate::account::{Encryption, ObjectSettings};

/// The words of `encryption`.
#[derive(Clone, Copy, Debug)]
enum EncryptionKind {
    Bucket,
    SseS3,
    SseKms,
    DsseKms,
}

words!(EncryptionKind {
    "bucket" => EncryptionKind::Bucket,
    "sse-s3" => EncryptionKind::SseS3,
    "sse-kms" => EncryptionKind::SseKms,
    "dsse-kms" => EncryptionKind::DsseKms,
});

texts! {
    StorageClass: "a storage class such as \"STANDARD_IA\"", |text| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
}

/// Reads the keys, and reports those that contradict each other.
pub(super) fn read(table: &mut ConfigTable<'_>) -> ObjectSettings {
    ObjectSettings {
        storage_class: table.optional::<StorageClass>("storage_class").map(|class| class.0),
        encryption: read_encryption(table),
        bucket_owner_full_control: table.or("bucket_owner_full_control", false),
        requester_pays: table.or("requester_pays", false),
    }
}

/// Without `encryption`, a `kms_key` alone means SSE-KMS.
fn read_encryption(table: &mut ConfigTable<'_>) -> Encryption {
    let kind = table.optional::<EncryptionKind>("encryption");
    let key = table.optional::<String>("kms_key");
    let bucket_key = table.optional::<bool>("bucket_key");
    // A word that isn't known is one problem already.
    if table.has("encryption") && kind.is_none() {
        return Encryption::default();
    }
    let otherwise = if key.is_some() { EncryptionKind::SseKms } else { EncryptionKind::Bucket };
    let kind = kind.unwrap_or(otherwise);
    if key.is_some() && matches!(kind, EncryptionKind::Bucket | EncryptionKind::SseS3) {
        let message = "goes with `encryption = \"sse-kms\"` or \"dsse-kms\", and `encryption` names another kind; leave \
                       one of them out";
        table.problem("kms_key", message);
    }
    if bucket_key.is_some() && !matches!(kind, EncryptionKind::SseKms) {
        let message =
            "goes with `encryption = \"sse-kms\"` alone: S3 encrypts other objects without a key of the bucket";
        table.problem("bucket_key", message);
    }
    match kind {
        EncryptionKind::Bucket => Encryption::Bucket,
        EncryptionKind::SseS3 => Encryption::SseS3,
        EncryptionKind::SseKms => Encryption::SseKms { key, bucket_key },
        EncryptionKind::DsseKms => Encryption::DsseKms { key },
    }
}
