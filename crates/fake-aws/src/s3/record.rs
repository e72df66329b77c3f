//! The record of an object on disk: TOML, one file a key.

use super::{
    data::{Data, Extent},
    encryption::{ObjectEncryption, ObjectKmsKey},
    files::DataFile,
    store::{Attributes, S3Object},
    tags::ObjectTags,
};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::Path,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

/// The content of an object's record.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ObjectRecord {
    key: String,
    size: u64,
    etag: String,
    /// Seconds since 1970.
    modified: u64,
    /// In hexadecimal digits, because TOML's integers are signed.
    crc64: String,
    content_type: Option<String>,
    /// ARN of the key in KMS. Absent in records of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    kms_key: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bucket_key: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    dual_layer: bool,
    /// File names in `data/`, in the order of the object's bytes.
    files: Vec<String>,
    metadata: BTreeMap<String, String>,
    /// Absent in records of objects without tags, and in all records of earlier versions.
    #[serde(default, skip_serializing_if = "ObjectTags::is_empty")]
    tags: ObjectTags,
}

impl ObjectRecord {
    pub(crate) fn new(key: &str, object: &S3Object) -> Self {
        let name = |extent: &Extent| match extent {
            Extent::File(file) => file.name().map(str::to_owned),
            Extent::Memory(_) | Extent::Zeros(_) => None,
        };
        Self {
            key: key.to_owned(),
            size: object.size,
            etag: object.etag.clone(),
            modified: object.modified.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            crc64: format!("{:016x}", object.crc64),
            content_type: object.attributes.content_type.clone(),
            kms_key: object.attributes.encryption.key_id(),
            bucket_key: object.attributes.encryption.bucket_key().is_some(),
            dual_layer: object.attributes.encryption.has_two_layers(),
            files: object.data.extents.iter().filter_map(name).collect(),
            metadata: object.attributes.metadata.clone(),
            tags: object.attributes.tags.clone(),
        }
    }

    pub(crate) fn to_text(&self) -> io::Result<String> {
        toml::to_string(self).map_err(io::Error::other)
    }

    pub(crate) fn parse(text: &str) -> io::Result<Self> {
        toml::from_str(text).map_err(io::Error::other)
    }

    /// Returns the key and its object. Its files must exist in `data`, and their sizes must add up to the object's.
    pub(crate) fn into_object(self, data: &Path) -> io::Result<(String, S3Object)> {
        let mut extents = Vec::with_capacity(self.files.len());
        let mut size = 0;
        for name in self.files {
            let path = data.join(name);
            let bytes = fs::metadata(&path)?.len();
            size += bytes;
            extents.push(Extent::File(Arc::new(DataFile::found(path, bytes))));
        }
        if size != self.size {
            return Err(io::Error::other(format!("its files hold {size} bytes instead of {}", self.size)));
        }
        let arn = self.kms_key.map(|arn| arn.parse()).transpose().map_err(io::Error::other)?;
        let Self { bucket_key, dual_layer, .. } = self;
        let encryption = ObjectEncryption(arn.map(|arn| ObjectKmsKey { arn, bucket_key, dual_layer }));
        let object = S3Object {
            size,
            etag: self.etag,
            modified: UNIX_EPOCH + Duration::from_secs(self.modified),
            crc64: u64::from_str_radix(&self.crc64, 16).map_err(io::Error::other)?,
            attributes: Attributes {
                content_type: self.content_type,
                metadata: self.metadata,
                tags: self.tags,
                encryption,
            },
            data: Data { extents },
        };
        Ok((self.key, object))
    }
}
