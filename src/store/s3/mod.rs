//! [`Bucket`] in S3, through the AWS SDK: one call a method, nothing remembered between them.
//!
//! This file decides what is sent: conditions, checksums, signatures, encryption. The files below it translate names
//! and answers, and `s3/error.rs` is the table of refusals. The caller that builds the client (`cloud`) decides on
//! credentials, connections and the number of retries.

mod answer;
mod body;
mod encoding;
mod error;
mod many;
mod requester_pays;
mod retry;
mod twin;

pub(crate) use error::{is_credentials, reasons};

use super::{
    Bucket, Condition, Error, ListScope, NewObject, Object, Page, PageToken, Part, PartsPage, Payload, Pin, Read,
    RemovalCondition, Result, StoredObject, UploadId, UploadsPage, UploadsToken, VersionId,
};
use crate::{
    name::{BucketId, Key, Prefix},
    policy::TenantUsage,
};
use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    config::{self, RequestChecksumCalculation, ResponseChecksumValidation},
    operation::get_object::GetObjectOutput,
    primitives::ByteStream,
    types::{
        ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart, EncodingType, MetadataDirective,
        ObjectCannedAcl, ServerSideEncryption, StorageClass, TaggingDirective,
    },
};
use requester_pays::RequesterPays;
use std::{ops::Range, sync::Arc};

/// In `If-None-Match`: there must be no object. In `If-Match`: there must be one.
const ANYTHING: &str = "*";
/// No object ends behind this offset, and stores that count in signed integers refuse larger ones.
const MAX_OFFSET: u64 = i64::MAX as u64;

/// The most parts, or uploads, of a page.
const PAGE: i32 = 1000;

/// The bucket, and the settings that every request to it carries.
#[derive(Clone, Debug)]
pub(crate) struct S3Options {
    /// The bucket's identity for the rest of the server.
    pub(crate) id: BucketId,
    /// A bucket's name, an access point's ARN or its alias.
    pub(crate) bucket: String,
    /// Sent with every request, so that S3 refuses it if the bucket changed hands.
    pub(crate) expected_bucket_owner: Option<String>,
    /// True if every request says that its sender pays for it.
    pub(crate) requester_pays: bool,
    /// The attributes of every new object.
    pub(crate) objects: S3ObjectOptions,
    /// True if uploaded bytes are hashed into the signature.
    pub(crate) sign_payloads: bool,
    /// True if uploaded bytes carry a CRC-64/NVME.
    pub(crate) send_checksums: bool,
    /// The daily usage of the bucket's tenant. The client that the caller builds charges the requests to it.
    pub(crate) usage: Arc<TenantUsage>,
}

/// The attributes that every new object gets. `None` leaves them to the bucket.
#[derive(Clone, Debug, Default)]
pub(crate) struct S3ObjectOptions {
    pub(crate) storage_class: Option<StorageClass>,
    pub(crate) encryption: Option<ServerSideEncryption>,
    pub(crate) kms_key: Option<String>,
    pub(crate) bucket_key: Option<bool>,
    pub(crate) acl: Option<ObjectCannedAcl>,
    /// The tags as a query. Copies have those of their source instead, except that the marker of an empty directory is no
    /// copy.
    pub(crate) tagging: Option<String>,
}

/// A bucket in S3, or in a store that speaks its protocol.
#[derive(Debug)]
pub(crate) struct S3Bucket {
    client: Client,
    options: S3Options,
}

/// A request that creates an object, with all its attributes. `PutObject`, `CopyObject` and `CreateMultipartUpload`
/// take them in the same way.
macro_rules! born {
    ($bucket:ident, $request:expr, $key:expr, $object:expr) => {{
        let NewObject { metadata, headers } = $object;
        $request
            .bucket(&$bucket.options.bucket)
            .key($key.as_str())
            .set_metadata(Some(metadata.into_iter().collect()))
            .set_cache_control(headers.cache_control)
            .set_content_disposition(headers.content_disposition)
            .set_content_encoding(headers.content_encoding)
            .set_content_language(headers.content_language)
            .set_content_type(headers.content_type)
            .set_expires(headers.expires.as_deref().and_then(encoding::date))
            .set_website_redirect_location(headers.website_redirect_location)
            .set_storage_class($bucket.options.objects.storage_class.clone())
            .set_server_side_encryption($bucket.options.objects.encryption.clone())
            .set_ssekms_key_id($bucket.options.objects.kms_key.clone())
            .set_bucket_key_enabled($bucket.options.objects.bucket_key)
            .set_acl($bucket.options.objects.acl.clone())
            .set_expected_bucket_owner($bucket.owner())
    }};
}

impl S3Bucket {
    /// A bucket reached through the client that `config` describes: region, endpoint, credentials, HTTP client, connect
    /// and read time-outs, number of tries. This function sets the options on which the requests themselves rely.
    #[must_use]
    pub(crate) fn new(config: config::Builder, options: S3Options) -> Self {
        let config = config
            // The requests send their own checksums. A range can't be checked against the whole object's checksum.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .timeout_config(retry::prompt())
            .retry_classifier(retry::RetryRaces);
        let config = if options.requester_pays { config.interceptor(RequesterPays) } else { config };
        Self { client: Client::from_conf(config.build()), options }
    }

    /// The client, for requests that no other part of the server makes.
    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    async fn get(&self, key: &Key, range: &Range<u64>, pin: Option<&Pin>, version: Option<&VersionId>) -> Result<Read> {
        // HTTP can't express an empty range: S3 would send the whole object.
        let last = range.end.checked_sub(1).filter(|last| range.start <= *last);
        let last = last.ok_or(Error::RangeNotSatisfiable { size: None })?;
        let answer: GetObjectOutput = self
            .client
            .get_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .range(format!("bytes={}-{}", range.start, last.min(MAX_OFFSET)))
            .set_if_match(pin.map(|pin| pin.etag.0.clone()))
            .set_version_id(version.map(|version| version.0.clone()))
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        answer::read(answer, range)
    }

    fn body(&self, payload: Payload) -> ByteStream {
        if self.options.sign_payloads { body::joined(&payload) } else { body::streamed(payload) }
    }

    fn is_unsigned(&self) -> bool {
        !self.options.sign_payloads
    }

    fn is_checked(&self) -> bool {
        self.options.send_checksums
    }

    async fn create(&self, key: &Key, object: NewObject, tagging: Option<String>) -> Result<UploadId> {
        let answer = born!(self, self.client.create_multipart_upload(), key, object)
            .set_tagging(tagging)
            .set_checksum_algorithm(self.is_checked().then_some(ChecksumAlgorithm::Crc64Nvme))
            .set_checksum_type(self.is_checked().then_some(ChecksumType::FullObject))
            .send()
            .await?;
        answer.upload_id.map(UploadId).ok_or_else(|| Error::Broken("no UploadId".to_owned()))
    }

    fn checksum(&self, crc64: u64) -> Option<String> {
        self.is_checked().then(|| encoding::checksum(crc64))
    }

    fn owner(&self) -> Option<String> {
        self.options.expected_bucket_owner.clone()
    }
}

#[async_trait]
impl Bucket for S3Bucket {
    fn id(&self) -> &BucketId {
        &self.options.id
    }

    fn usage(&self) -> &Arc<TenantUsage> {
        &self.options.usage
    }

    async fn head(&self, key: &Key) -> Result<Object> {
        let answer = self
            .client
            .head_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        answer::head(answer)
    }

    async fn read(&self, key: &Key, range: Range<u64>, pin: Option<&Pin>) -> Result<Read> {
        let gone = match self.get(key, &range, pin, None).await {
            // If a role's listing is limited to a prefix, S3 answers 403 for a missing key.
            Err(gone @ (Error::Conflict { .. } | Error::NotFound | Error::Forbidden { .. })) => gone,
            answered => return answered,
        };
        // The first GET doesn't name the version, because that needs `s3:GetObjectVersion`, which few roles have. This
        // one keeps `If-Match`, because the version `null` can be overwritten like any object.
        match pin.and_then(|pin| pin.version.as_ref()) {
            None => Err(gone),
            version @ Some(_) => match self.get(key, &range, pin, version).await {
                Err(Error::Forbidden { .. } | Error::NotFound) => Err(gone),
                answered => answered,
            },
        }
    }

    async fn put(&self, key: &Key, payload: Payload, object: &NewObject, condition: Condition) -> Result<StoredObject> {
        let request = born!(self, self.client.put_object(), key, object.clone())
            .set_tagging(self.options.objects.tagging.clone())
            .set_if_none_match(if_none_match(&condition))
            .set_if_match(if_match(&condition))
            .set_checksum_crc64_nvme(self.checksum(payload.crc64))
            .body(self.body(payload))
            .customize()
            .config_override(retry::unhurried());
        let request = if self.is_unsigned() { request.disable_payload_signing() } else { request };
        let answer = request.send().await?;
        answer::put(answer)
    }

    async fn create_upload(&self, key: &Key, object: &NewObject) -> Result<UploadId> {
        self.create(key, object.clone(), self.options.objects.tagging.clone()).await
    }

    async fn create_copy(&self, key: &Key, source: &Key, pin: &Pin, object: &NewObject) -> Result<UploadId> {
        self.create_twin(key, source, pin, object).await
    }

    async fn upload_part(&self, key: &Key, upload: &UploadId, number: u32, payload: Payload) -> Result<Part> {
        let (size, crc64) = (payload.len(), payload.crc64);
        let request = self
            .client
            .upload_part()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .upload_id(&upload.0)
            .part_number(part_number(number))
            .set_checksum_crc64_nvme(self.checksum(crc64))
            .set_expected_bucket_owner(self.owner())
            .body(self.body(payload))
            .customize()
            .config_override(retry::unhurried());
        let request = if self.is_unsigned() { request.disable_payload_signing() } else { request };
        let answer = request.send().await?;
        Ok(Part { number, etag: answer::etag(answer.e_tag)?, size, crc64: Some(crc64) })
    }

    async fn copy_part(
        &self,
        key: &Key,
        upload: &UploadId,
        number: u32,
        source: &Key,
        pin: &Pin,
        range: Range<u64>,
    ) -> Result<Part> {
        let size = range.end.saturating_sub(range.start);
        let last = range.end.checked_sub(1).filter(|_| size > 0).ok_or(Error::RangeNotSatisfiable { size: None })?;
        let answer = self
            .client
            .upload_part_copy()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .upload_id(&upload.0)
            .part_number(part_number(number))
            .copy_source(encoding::copy_source(&self.options.bucket, source))
            .copy_source_if_match(&pin.etag.0)
            .copy_source_range(format!("bytes={}-{last}", range.start))
            .set_expected_bucket_owner(self.owner())
            .set_expected_source_bucket_owner(self.owner())
            .customize()
            .config_override(retry::unhurried())
            .send()
            .await?;
        let copied = answer.copy_part_result.ok_or_else(|| Error::Broken("no CopyPartResult".to_owned()))?;
        let crc64 = copied.checksum_crc64_nvme.as_deref().and_then(encoding::read_checksum);
        Ok(Part { number, etag: answer::etag(copied.e_tag)?, size, crc64 })
    }

    async fn complete_upload(
        &self,
        key: &Key,
        upload: &UploadId,
        parts: &[Part],
        condition: Condition,
    ) -> Result<StoredObject> {
        let completed = parts
            .iter()
            .map(|part| CompletedPart::builder().part_number(part_number(part.number)).e_tag(&part.etag.0).build());
        let size = i64::try_from(parts.iter().map(|part| part.size).sum::<u64>()).ok();
        let answer = self
            .client
            .complete_multipart_upload()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .upload_id(&upload.0)
            .multipart_upload(CompletedMultipartUpload::builder().set_parts(Some(completed.collect())).build())
            .set_if_none_match(if_none_match(&condition))
            .set_if_match(if_match(&condition))
            .set_checksum_crc64_nvme(encoding::combined_crc64(parts).and_then(|crc64| self.checksum(crc64)))
            .set_checksum_type(self.is_checked().then_some(ChecksumType::FullObject))
            .set_mpu_object_size(size.filter(|_| self.is_checked()))
            .set_expected_bucket_owner(self.owner())
            .customize()
            .config_override(retry::unhurried())
            .send()
            .await?;
        answer::completed(answer)
    }

    async fn list_parts(&self, key: &Key, upload: &UploadId, after: u32) -> Result<PartsPage> {
        let answer = self
            .client
            .list_parts()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .upload_id(&upload.0)
            .max_parts(PAGE)
            .part_number_marker(after.to_string())
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        answer::parts(answer)
    }

    async fn list_uploads(&self, prefix: &Prefix, after: Option<&UploadsToken>) -> Result<UploadsPage> {
        let answer = self
            .client
            .list_multipart_uploads()
            .bucket(&self.options.bucket)
            .prefix(prefix.as_str())
            .set_key_marker(after.map(|token| token.key.clone()))
            .set_upload_id_marker(after.map(|token| token.upload.clone()))
            .max_uploads(PAGE)
            .encoding_type(EncodingType::Url)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        answer::uploads(answer)
    }

    async fn abort_upload(&self, key: &Key, upload: &UploadId) -> Result<()> {
        let answer = self
            .client
            .abort_multipart_upload()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .upload_id(&upload.0)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await;
        absent_is_done(answer.map(drop).map_err(Error::from))
    }

    async fn copy(
        &self,
        source: &Key,
        pin: &Pin,
        target: &Key,
        object: Option<&NewObject>,
        condition: Condition,
    ) -> Result<StoredObject> {
        let directive = if object.is_some() { MetadataDirective::Replace } else { MetadataDirective::Copy };
        let answer = born!(self, self.client.copy_object(), target, object.cloned().unwrap_or_default())
            .copy_source(encoding::copy_source(&self.options.bucket, source))
            .copy_source_if_match(&pin.etag.0)
            .set_if_none_match(if_none_match(&condition))
            .set_if_match(if_match(&condition))
            .metadata_directive(directive)
            .tagging_directive(TaggingDirective::Copy)
            .set_expected_source_bucket_owner(self.owner())
            .customize()
            .config_override(retry::unhurried())
            .send()
            .await?;
        answer::copied(answer)
    }

    async fn remove(&self, key: &Key, condition: RemovalCondition) -> Result<()> {
        let lost = retry::LostAnswers::default();
        let answer = self
            .client
            .delete_object()
            .bucket(&self.options.bucket)
            .key(key.as_str())
            .set_if_match(must_match(&condition))
            .set_expected_bucket_owner(self.owner())
            .customize()
            .interceptor(lost.clone())
            .send()
            .await;
        match answer.map(drop).map_err(Error::from) {
            Err(Error::NotFound) if condition == RemovalCondition::Always || lost.any() => Ok(()),
            // Both may also mean that the object is gone: 403 under a scoped policy, a conflict on SeaweedFS.
            Err(Error::Forbidden { request } | Error::Conflict { request }) if lost.any() => {
                Err(Error::Unreachable(request))
            }
            removed => removed,
        }
    }

    async fn remove_many(&self, objects: &[(Key, Pin)]) -> Result<Vec<Result<()>>> {
        let delete = many::request(objects)?;
        let answer = self
            .client
            .delete_objects()
            .bucket(&self.options.bucket)
            .delete(delete)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        let request = many::request_id(&answer);
        Ok(many::answers(objects, answer.errors.unwrap_or_default(), &request))
    }

    async fn list(&self, scope: ListScope<'_>, after: Option<&PageToken>, max_keys: u16) -> Result<Page> {
        let delimiter = matches!(scope, ListScope::Directory(_)).then(|| "/".to_owned());
        let (token, start_after) = match after.cloned() {
            Some(PageToken::Continuation(token)) => (Some(token), None),
            Some(PageToken::After(key)) => (None, Some(key)),
            None => (None, None),
        };
        let answer = self
            .client
            .list_objects_v2()
            .bucket(&self.options.bucket)
            .prefix(scope.prefix())
            .set_delimiter(delimiter)
            .set_continuation_token(token)
            .set_start_after(start_after)
            .max_keys(i32::from(max_keys))
            // XML can't carry every name. One such key of another program must not hide the rest.
            .encoding_type(EncodingType::Url)
            .set_expected_bucket_owner(self.owner())
            .send()
            .await?;
        answer::page(answer, after, max_keys)
    }
}

fn if_none_match(condition: &Condition) -> Option<String> {
    (*condition == Condition::Absent).then(|| ANYTHING.to_owned())
}

fn if_match(condition: &Condition) -> Option<String> {
    match condition {
        Condition::Matches(etag) => Some(etag.0.clone()),
        Condition::Always | Condition::Absent => None,
    }
}

fn must_match(condition: &RemovalCondition) -> Option<String> {
    match condition {
        RemovalCondition::Always => None,
        RemovalCondition::Present => Some(ANYTHING.to_owned()),
        RemovalCondition::Matches(etag) => Some(etag.0.clone()),
    }
}

/// S3 accepts 1 to 10,000, and refuses other numbers itself.
fn part_number(number: u32) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn absent_is_done(answer: Result<()>) -> Result<()> {
    match answer {
        Err(Error::NotFound) => Ok(()),
        answered => answered,
    }
}
