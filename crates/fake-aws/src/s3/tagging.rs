//! S3's operations on the tags of objects, and the tags of copies.

use super::{
    caller::Caller,
    error::{Error, Result},
    objects::blocking,
    service::Service,
    store::S3Object,
    tags::ObjectTags,
};
use hyper::{
    HeaderMap,
    header::{HeaderName, HeaderValue},
    http::Extensions,
};
use s3s::dto::{
    CopyObjectInput, DeleteObjectTaggingInput, GetObjectTaggingInput, GetObjectTaggingOutput, PutObjectTaggingInput,
    TaggingDirective,
};
use std::sync::Arc;

const VERSIONS: Error = Error::NotImplemented("versions");

impl Service {
    pub(crate) fn tags(&self, input: &GetObjectTaggingInput) -> Result<GetObjectTaggingOutput> {
        if input.version_id.is_some() {
            return Err(VERSIONS);
        }
        let object = self.store.object(&input.bucket, &input.key)?;
        Ok(GetObjectTaggingOutput { tag_set: object.attributes.tags.to_set(), version_id: None })
    }

    pub(crate) async fn put_tags(&self, input: PutObjectTaggingInput) -> Result<()> {
        if input.version_id.is_some() {
            return Err(VERSIONS);
        }
        self.retag(input.bucket, input.key, ObjectTags::of_set(input.tagging.tag_set)?).await
    }

    pub(crate) async fn remove_tags(&self, input: DeleteObjectTaggingInput) -> Result<()> {
        if input.version_id.is_some() {
            return Err(VERSIONS);
        }
        self.retag(input.bucket, input.key, ObjectTags::default()).await
    }

    async fn retag(&self, bucket: String, key: String, tags: ObjectTags) -> Result<()> {
        let store = Arc::clone(&self.store);
        blocking(move || store.retag(&bucket, &key, tags)).await
    }
}

/// Returns the tags of a copy. To copy tags, a caller needs the permissions to read them at the source and to write them
/// at the target. The gate judged tags that the request itself has.
pub(crate) fn tags_of_copy(
    caller: &Caller,
    input: &CopyObjectInput,
    source: (&str, &str),
    tags: &ObjectTags,
) -> Result<ObjectTags> {
    let replace = input.tagging_directive.as_ref().is_some_and(|way| way.as_str() == TaggingDirective::REPLACE);
    match input.tagging.as_deref() {
        header if replace => ObjectTags::parse(header),
        Some(_) => Err(Error::NotImplemented("tags of a copy whose directive isn't REPLACE")),
        None if tags.is_empty() => Ok(ObjectTags::default()),
        None => {
            caller.may_with("s3:GetObjectTagging", source.0, source.1)?;
            caller.may_with("s3:PutObjectTagging", &input.bucket, &input.key)?;
            Ok(tags.clone())
        }
    }
}

/// Returns the number of an object's tags. S3 tells it only to callers who may read the tags.
pub(crate) fn tag_count(extensions: &Extensions, bucket: &str, key: &str, object: &S3Object) -> Option<i32> {
    let count = i32::try_from(object.attributes.tags.len()).ok().filter(|count| *count > 0)?;
    let caller = Caller::of(extensions).ok()?;
    caller.may_with("s3:GetObjectTagging", bucket, key).ok().map(|()| count)
}

/// The header with the number of tags in the answer to HEAD, which s3s doesn't know.
pub(crate) fn tag_count_header(count: Option<i32>) -> HeaderMap {
    let name = HeaderName::from_static("x-amz-tagging-count");
    count.map(|count| (name, HeaderValue::from(count))).into_iter().collect()
}
