//! The first step of a copy in parts. CopyObject keeps an object's headers and tags by itself. A copy in parts has to
//! read them and send them again when it creates the upload, because they are fixed there.

use super::{S3Bucket, answer};
use crate::{
    name::Key,
    store::{Error, NewObject, Pin, Result, UploadId},
};
use aws_sdk_s3::types::Tag;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

impl S3Bucket {
    /// `CreateMultipartUpload` with the headers and tags of `source`.
    pub(super) async fn create_twin(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId> {
        let like = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(source.as_str())
            .if_match(&pin.etag.0)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        // S3 tells the number only to a role that may read the tags. If the tenant's files have tags, the copy has to fail
        // for a role that may not, or it would lose them.
        let tagging = match like.tag_count {
            Some(1..) => self.tagging(source).await?,
            _ if self.options.objects.tagging.is_some() => match self.tagging(source).await {
                Err(error) if is_not_implemented(&error) => None,
                answer => answer?,
            },
            _ => None,
        };
        let object = NewObject { headers: answer::head(like)?.headers, ..object.clone() };
        self.create(key, object, tagging).await
    }

    /// An object's tags, as the header `x-amz-tagging` writes them. `None` if it has none.
    async fn tagging(&self, key: &Key) -> Result<Option<String>> {
        let answer = self
            .client
            .get_object_tagging()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        Ok((!answer.tag_set.is_empty()).then(|| query(&answer.tag_set)))
    }
}

/// True if the store has no tags. S3's errors have a code, and those of a proxy the status alone.
fn is_not_implemented(error: &Error) -> bool {
    matches!(error, Error::Refused { code, .. } if matches!(code.as_str(), "NotImplemented" | "HTTP 501"))
}

/// Tags as a query string.
fn query(tags: &[Tag]) -> String {
    let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pair = |tag: &Tag| format!("{}={}", escaped(tag.key()), escaped(tag.value()));
    tags.iter().map(pair).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_are_written_as_a_query() {
        let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build().unwrap();
        assert_eq!(query(&[tag("kind", "a&b"), tag("cost centre", "ü=1")]), "kind=a%26b&cost%20centre=%C3%BC%3D1");
    }
}
