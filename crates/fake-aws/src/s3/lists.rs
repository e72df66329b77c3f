//! ListBuckets, ListObjects and ListObjectsV2.

use super::{
    caller::Caller,
    error::{Error, Result},
    listing::{self, ListingScope},
    objects::{etag, length, timestamp},
    service::Service,
    store::{Index, S3Object},
};
use crate::iam::Principal;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    Bucket, CommonPrefix, CommonPrefixList, EncodingType, ListBucketsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, Object, ObjectList, ObjectStorageClass, Owner, Timestamp,
};
use std::sync::Arc;

/// Limit on the entries of a page.
pub(crate) const MAX_KEYS: i32 = 1000;

/// Characters that `encoding-type=url` escapes.
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Writes names in the encoding that the client asked for.
#[derive(Clone, Copy)]
pub(crate) struct Encoding {
    url: bool,
}

impl Encoding {
    pub(crate) fn of(asked: Option<&EncodingType>) -> Self {
        Self { url: asked.is_some_and(|encoding| encoding.as_str() == EncodingType::URL) }
    }

    pub(crate) fn write(self, name: &str) -> String {
        if self.url { utf8_percent_encode(name, URL).to_string() } else { name.to_owned() }
    }

    fn objects(self, objects: Vec<(String, Arc<S3Object>)>) -> ObjectList {
        let show = |(key, object): (String, Arc<S3Object>)| Object {
            key: Some(self.write(&key)),
            size: length(object.size),
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(timestamp(object.modified)),
            storage_class: Some(ObjectStorageClass::from_static(ObjectStorageClass::STANDARD)),
            ..Object::default()
        };
        objects.into_iter().map(show).collect()
    }

    fn prefixes(self, prefixes: &[String]) -> CommonPrefixList {
        prefixes.iter().map(|prefix| CommonPrefix { prefix: Some(self.write(prefix)) }).collect()
    }
}

impl Service {
    /// Lists the buckets of the caller's account.
    pub(crate) fn buckets(&self, caller: &Caller) -> ListBucketsOutput {
        let bucket = |name: &str| Bucket {
            name: Some(name.to_owned()),
            creation_date: Some(Timestamp::default()),
            bucket_region: None,
        };
        let owner = |principal: &Principal| Owner { display_name: None, id: Some(principal.account.to_string()) };
        ListBucketsOutput {
            buckets: Some(self.store.bucket_names().filter(|name| caller.owns(name)).map(bucket).collect()),
            owner: caller.principal().ok().map(owner),
            ..ListBucketsOutput::default()
        }
    }

    pub(crate) fn list_v2(&self, input: ListObjectsV2Input) -> Result<ListObjectsV2Output> {
        let encoding = Encoding::of(input.encoding_type.as_ref());
        let (max, max_keys) = limit(input.max_keys)?;
        let token = input.continuation_token.as_deref().map(read_token).transpose()?;
        let scope = ListingScope {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: token.as_deref().or(input.start_after.as_deref()),
            max,
        };
        let page = self.store.view(&input.bucket, |index| page(index, scope))?;
        Ok(ListObjectsV2Output {
            key_count: i32::try_from(page.objects.len() + page.prefixes.len()).ok(),
            common_prefixes: Some(encoding.prefixes(&page.prefixes)),
            contents: Some(encoding.objects(page.objects)),
            is_truncated: Some(page.next.is_some()),
            next_continuation_token: page.next.map(|next| BASE64_URL_SAFE_NO_PAD.encode(next)),
            continuation_token: input.continuation_token,
            prefix: Some(encoding.write(scope.prefix)),
            delimiter: input.delimiter.as_deref().map(|delimiter| encoding.write(delimiter)),
            start_after: input.start_after.as_deref().map(|after| encoding.write(after)),
            encoding_type: input.encoding_type,
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            ..ListObjectsV2Output::default()
        })
    }

    pub(crate) fn list_v1(&self, input: ListObjectsInput) -> Result<ListObjectsOutput> {
        let encoding = Encoding::of(input.encoding_type.as_ref());
        let (max, max_keys) = limit(input.max_keys)?;
        let scope = ListingScope {
            prefix: input.prefix.as_deref().unwrap_or_default(),
            delimiter: input.delimiter.as_deref(),
            after: input.marker.as_deref().filter(|marker| !marker.is_empty()),
            max,
        };
        let page = self.store.view(&input.bucket, |index| page(index, scope))?;
        Ok(ListObjectsOutput {
            common_prefixes: Some(encoding.prefixes(&page.prefixes)),
            contents: Some(encoding.objects(page.objects)),
            is_truncated: Some(page.next.is_some()),
            // S3 omits it without a delimiter, and clients then take the last key. All clients accept it.
            next_marker: page.next.map(|next| encoding.write(&next)),
            marker: Some(encoding.write(input.marker.as_deref().unwrap_or_default())),
            prefix: Some(encoding.write(scope.prefix)),
            delimiter: input.delimiter.as_deref().map(|delimiter| encoding.write(delimiter)),
            encoding_type: input.encoding_type,
            max_keys: Some(max_keys),
            name: Some(input.bucket),
            ..ListObjectsOutput::default()
        })
    }
}

fn page(index: &Index, scope: ListingScope<'_>) -> listing::ListingPage<Arc<S3Object>> {
    listing::page(index, scope, |entry| Arc::clone(&entry.object))
}

/// Returns the number of entries to list, and the number to report to the client.
pub(crate) fn limit(asked: Option<i32>) -> Result<(usize, i32)> {
    let asked = asked.unwrap_or(MAX_KEYS).min(MAX_KEYS);
    let max = usize::try_from(asked).map_err(|_| Error::InvalidArgument("The number of entries is negative"))?;
    Ok((max, asked))
}

fn read_token(token: &str) -> Result<String> {
    let wrong = Error::InvalidArgument("The continuation token provided is incorrect");
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(token) else { return Err(wrong) };
    String::from_utf8(bytes).map_err(|_| wrong)
}
