//! The tags of an object, within S3's limits.

use super::error::{Error, Result};
use crate::sts::is_tag_character;
use s3s::dto::{Tag, TagSet};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// S3's limit on the tags of one object.
const MAX_TAGS: usize = 10;
/// S3's limit on a tag's key, in characters.
const MAX_KEY: usize = 128;
/// S3's limit on a tag's value, in characters.
const MAX_VALUE: usize = 256;

/// The tags of an object, by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct ObjectTags(BTreeMap<String, String>);

impl ObjectTags {
    /// Parses the header `x-amz-tagging`. Without it there are no tags.
    pub(crate) fn parse(header: Option<&str>) -> Result<Self> {
        let mut tags = Self::default();
        for (key, value) in form_urlencoded::parse(header.unwrap_or_default().as_bytes()) {
            tags.add(key.into_owned(), value.into_owned()).map_err(|error| match error {
                Error::InvalidTag(TWICE) => Error::InvalidArgument(
                    "The header 'x-amz-tagging' shall be encoded as UTF-8 then URLEncoded URL query parameters without \
                     tag name duplicates.",
                ),
                error => error,
            })?;
        }
        Ok(tags)
    }

    /// Reads the tags of a PutObjectTagging.
    pub(crate) fn of_set(set: TagSet) -> Result<Self> {
        let mut tags = Self::default();
        for tag in set {
            tags.add(tag.key.ok_or(Error::MalformedTags)?, tag.value.ok_or(Error::MalformedTags)?)?;
        }
        Ok(tags)
    }

    fn add(&mut self, key: String, value: String) -> Result<()> {
        let fits = |text: &str, max: usize| text.chars().count() <= max && text.chars().all(is_tag_character);
        if key.is_empty() || !fits(&key, MAX_KEY) {
            return Err(Error::InvalidTag("The TagKey you have provided is invalid"));
        }
        if !fits(&value, MAX_VALUE) {
            return Err(Error::InvalidTag("The TagValue you have provided is invalid"));
        }
        if key.starts_with("aws:") {
            return Err(Error::InvalidTag("System tags cannot be added/updated by requester"));
        }
        if self.0.insert(key, value).is_some() {
            return Err(Error::InvalidTag(TWICE));
        }
        if self.0.len() > MAX_TAGS { Err(Error::TooManyTags) } else { Ok(()) }
    }

    /// Converts the tags to s3s's type.
    pub(crate) fn to_set(&self) -> TagSet {
        self.0.iter().map(|(key, value)| Tag { key: Some(key.clone()), value: Some(value.clone()) }).collect()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Size of all keys and values, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(|(key, value)| key.len() + value.len()).sum()
    }
}

/// S3's sentence for a key that comes twice.
const TWICE: &str = "Cannot provide multiple Tags with the same key";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_the_limits_of_s3() {
        let tags = |count: usize| (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join("&");
        assert_eq!(ObjectTags::parse(Some(&tags(10))).unwrap().len(), 10);
        assert!(matches!(ObjectTags::parse(Some(&tags(11))), Err(Error::TooManyTags)));
        let long = |key: usize, value: usize| format!("{}={}", "k".repeat(key), "v".repeat(value));
        ObjectTags::parse(Some(&long(128, 256))).unwrap();
        for wrong in [&long(129, 1), &long(1, 257), "=v", "a%2A=v", "a=v%3F", "aws:a=v"] {
            assert!(matches!(ObjectTags::parse(Some(wrong)), Err(Error::InvalidTag(_))), "{wrong}");
        }
        assert!(matches!(ObjectTags::parse(Some("a=1&a=2")), Err(Error::InvalidArgument(_))));
        assert!(ObjectTags::parse(Some("")).unwrap().is_empty() && ObjectTags::parse(None).unwrap().is_empty());
        let odd = ObjectTags::parse(Some("r%C3%B6le+1=a%2Bb&empty=")).unwrap();
        assert_eq!(odd.to_set().iter().map(|tag| tag.key.as_deref().unwrap()).collect::<Vec<_>>(), ["empty", "röle 1"]);
        assert_eq!(odd.to_set()[1].value.as_deref(), Some("a+b"));
    }
}
