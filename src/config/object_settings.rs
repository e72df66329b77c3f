//! The keys of `[storage]` that describe new objects.

use super::{
    document::ConfigTable,
    value::{texts, words},
};
use crate::account::{Encryption, ObjectMetadata, ObjectSettings, ObjectTag};
use std::collections::BTreeSet;
use unicode_properties::{GeneralCategoryGroup, UnicodeGeneralCategory as _};

/// S3's limit on the tags of one object.
const MAX_TAGS: usize = 10;
/// The limit on the header with the tags, in bytes. S3 takes 8 KiB for all headers of a request.
const MAX_TAGGING: usize = 4096;

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

/// True for what S3 takes as a tag's key or value: it counts UTF-16 units, and takes letters and numbers by their category in
/// Unicode, of which combining marks have another.
fn is_tag_text(text: &str, max: usize) -> bool {
    let is_of_words = |character: char| {
        matches!(character.general_category_group(), GeneralCategoryGroup::Letter | GeneralCategoryGroup::Number)
    };
    let fits = |character: char| is_of_words(character) || " +-=._:/@".contains(character);
    text.encode_utf16().count() <= max && text.chars().all(fits)
}

/// The words of `object_metadata`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OriginPart {
    User,
    Session,
}

words!(OriginPart { "user" => OriginPart::User, "session" => OriginPart::Session });

texts! {
    StorageClass: "a storage class such as \"STANDARD_IA\"", |text| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
    };
    TagKey: "1 to 128 letters, digits, spaces and `+-=._:/@`, which don't begin with `aws:`", |text| {
        let is_reserved = text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("aws:"));
        !text.is_empty() && !is_reserved && is_tag_text(text, 128)
    };
    TagValue: "up to 256 letters, digits, spaces and `+-=._:/@`", |text| is_tag_text(text, 256);
}

/// Reads the keys, and reports those that contradict each other.
pub(super) fn read(table: &mut ConfigTable<'_>) -> ObjectSettings {
    let settings = ObjectSettings {
        storage_class: table.optional::<StorageClass>("storage_class").map(|class| class.0),
        encryption: read_encryption(table),
        bucket_owner_full_control: table.or("bucket_owner_full_control", false),
        requester_pays: table.or("requester_pays", false),
        tags: read_tags(table),
    };
    let (count, bytes) = (settings.tags.len(), settings.tagging().map_or(0, |tagging| tagging.len()));
    if count > MAX_TAGS {
        table.problem("object_tags", format!("has {count} tags; S3 takes {MAX_TAGS} for an object"));
    } else if bytes > MAX_TAGGING {
        let message = format!(
            "has {bytes} bytes as a header, in which most characters but ASCII letters and digits have 3 or more; it \
             takes up to {MAX_TAGGING}"
        );
        table.problem("object_tags", message);
    }
    settings
}

/// Reads the parts of a file's origin that its metadata names.
pub(super) fn read_metadata(table: &mut ConfigTable<'_>) -> ObjectMetadata {
    let parts = table.list::<OriginPart>("object_metadata").unwrap_or_default();
    ObjectMetadata { user: parts.contains(&OriginPart::User), session: parts.contains(&OriginPart::Session) }
}

/// Reads the tags whose keys differ.
fn read_tags(table: &mut ConfigTable<'_>) -> Vec<ObjectTag> {
    let mut keys = BTreeSet::new();
    let tags = table.tables("object_tags", |table| {
        let (key, value) = (table.required::<TagKey>("key"), table.required::<TagValue>("value"));
        let (key, value) = (key?.0, value?.0);
        if !keys.insert(key.clone()) {
            table.problem("key", "is the key of another tag too; an object has one tag of each key");
        }
        Some(ObjectTag { key, value })
    });
    tags.unwrap_or_default()
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
        let message = "goes with `encryption = \"sse-kms\"` alone: name that kind, or leave `bucket_key` out";
        table.problem("bucket_key", message);
    }
    match kind {
        EncryptionKind::Bucket => Encryption::Bucket,
        EncryptionKind::SseS3 => Encryption::SseS3,
        EncryptionKind::SseKms => Encryption::SseKms { key, bucket_key },
        EncryptionKind::DsseKms => Encryption::DsseKms { key },
    }
}
