//! The token by which one rename recognizes its copy among all copies of the same source. Another rename may make a
//! copy at the same moment, and an earlier one may have made a copy whose answer was lost.

use crate::store::{NewObject, Object, Result};
use crc_fast::{CrcAlgorithm::Crc64Nvme, checksum};

/// The metadata and headers that the copy of one rename gets.
#[derive(Debug)]
pub(super) enum CopyToken {
    /// All attributes that HEAD showed of the source, with a token that no other copy has.
    Own(NewObject),
    /// The source has metadata that no request can carry, or too much to add a token. S3 copies the metadata, and the
    /// copy can't be told from another.
    None,
}

impl CopyToken {
    /// A new token, for a copy of `file`. If the copy has a task, the token tells the task's id.
    ///
    /// # Errors
    /// [`Error::Broken`](crate::store::Error::Broken) if the system has no random bytes.
    pub(super) fn new(file: &Object, task: Option<&str>) -> Result<Self> {
        let mut object = NewObject { metadata: file.metadata.clone(), headers: file.headers.clone() };
        match task {
            Some(id) => drop(object.metadata.insert(NewObject::TOKEN.to_owned(), token(id, file))),
            None => object.add_token()?,
        }
        Ok(if can_be_said(&object) { Self::Own(object) } else { Self::None })
    }

    /// The metadata and headers, unless S3 copies them.
    pub(super) fn object(&self) -> Option<&NewObject> {
        match self {
            Self::Own(object) => Some(object),
            Self::None => None,
        }
    }

    /// True if an object is the copy that has this token.
    pub(super) fn is_of(&self, there: &Object) -> bool {
        let token = self.object().and_then(NewObject::token);
        token.is_some() && there.metadata.get(NewObject::TOKEN).map(String::as_str) == token
    }
}

/// True if `there` is the copy that the task of this id made of the present version of `file`.
pub(super) fn is_copy_of_task(there: &Object, id: &str, file: &Object) -> bool {
    there.size == file.size && there.metadata.get(NewObject::TOKEN).is_some_and(|found| *found == token(id, file))
}

/// The token of a task's copy: the task's id, the ETag of the copied version, and a checksum of that version's token.
/// Another upload or copy of the same bytes may have the same ETag, but has a token of its own. Stores differ in
/// whether a listing shows the ETag's quotes.
fn token(id: &str, file: &Object) -> String {
    let source = file.metadata.get(NewObject::TOKEN).map(String::as_bytes).unwrap_or_default();
    format!("{id}.{}.{:016x}", file.pin.etag.0.trim_matches('"'), checksum(Crc64Nvme, source))
}

/// True if headers can carry the object's attributes. Stores other than S3 may show metadata that no request can carry.
fn can_be_said(NewObject { metadata, headers }: &NewObject) -> bool {
    let headers = [
        &headers.cache_control,
        &headers.content_disposition,
        &headers.content_encoding,
        &headers.content_language,
        &headers.content_type,
        &headers.website_redirect_location,
    ];
    let texts = headers.into_iter().flatten().chain(metadata.values());
    let bytes: usize = metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    bytes <= NewObject::MAX_METADATA_BYTES
        && texts.map(String::as_str).all(|text| text.bytes().all(|byte| matches!(byte, b' '..=b'~')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::Prefix, store::Bucket as _, testing::MemoryBucket};
    use std::collections::BTreeMap;

    async fn token_of(name: &str, value: &str) -> (CopyToken, Object) {
        let bucket = MemoryBucket::new();
        bucket.insert_with("x", "x", BTreeMap::from([(name.to_owned(), value.to_owned())]));
        let file = bucket.head(&Prefix::parse("").unwrap().key("x").unwrap()).await.unwrap();
        (CopyToken::new(&file, None).unwrap(), file)
    }

    #[tokio::test]
    async fn each_is_of_one_copy() {
        let (one, file) = token_of("mtime", "7").await;
        let (other, _) = token_of("mtime", "7").await;
        let copy = Object { metadata: one.object().unwrap().metadata.clone(), ..file.clone() };
        assert_eq!(copy.metadata["mtime"], "7");
        assert_eq!((one.is_of(&copy), other.is_of(&copy), one.is_of(&file)), (true, false, false));
    }

    #[tokio::test]
    async fn metadata_that_no_request_can_say_are_left_to_s3() {
        for value in ["a".repeat(2_000), "F\u{fc}\u{df}e".to_owned(), "a\nb".to_owned()] {
            let (token, file) = token_of("note", &value).await;
            assert!(token.object().is_none(), "{value}");
            assert!(!token.is_of(&file));
        }
        assert!(token_of("note", &"a".repeat(1_900)).await.0.object().is_some());
    }
}
