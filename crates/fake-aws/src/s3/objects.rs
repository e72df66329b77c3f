//! Single objects: HEAD, GET, PUT, COPY and DELETE.

use super::{
    body::{self, Incoming, MAX_BODY_BYTES},
    caller::{Caller, told},
    checksum::{self, claims},
    encryption::{EncryptionHeaders, ObjectEncryption, encryption_headers},
    error::{Error, Result},
    kms::{DECRYPT, ENCRYPT},
    service::Service,
    store::{Attributes, Conditions, S3Object},
    tagging::{tag_count, tag_count_header, tags_of_copy},
    tags::ObjectTags,
};
use hyper::{HeaderMap, http::Extensions};
use s3s::{
    S3Request, S3Response,
    dto::{
        ChecksumType, CopyObjectInput, CopyObjectOutput, CopyObjectResult, Delete, DeleteObjectsInput,
        DeleteObjectsOutput, DeletedObject, ETag, ETagCondition, GetObjectInput, GetObjectOutput, HeadObjectInput,
        HeadObjectOutput, Metadata, MetadataDirective, ObjectIdentifier, PutObjectInput, PutObjectOutput, Timestamp,
    },
    region::Region,
};
use std::{ops::Range, sync::Arc, time::SystemTime};
use tokio::task::spawn_blocking;

/// S3's limit on user metadata, in bytes.
const MAX_METADATA_BYTES: usize = 2 << 10;
/// S3's limit on the keys of one DeleteObjects.
const MAX_REMOVED: usize = 1000;

/// Runs blocking disk work to its end, even if the client disconnects: disk and index must agree.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    spawn_blocking(work).await.map_err(|error| Error::Io(error.into()))?
}

/// Builds the attributes of a new object without tags.
pub(crate) fn attributes(content_type: Option<String>, metadata: Option<Metadata>) -> Result<Attributes> {
    let metadata = metadata.unwrap_or_default();
    if metadata.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > MAX_METADATA_BYTES {
        return Err(Error::InvalidRequest("Your metadata headers exceed the maximum allowed metadata size".to_owned()));
    }
    Ok(Attributes { content_type, metadata: metadata.into_iter().collect(), ..Attributes::default() })
}

/// Converts an ETag to s3s's type.
pub(crate) fn etag(value: &str) -> ETag {
    ETag::Strong(value.to_owned())
}

impl Service {
    pub(crate) fn head(&self, extensions: &Extensions, input: HeadObjectInput) -> Result<S3Response<HeadObjectOutput>> {
        let object = self.store.object(&input.bucket, &input.key)?;
        if input.part_number.is_some() {
            return Err(Error::NotImplemented("partNumber"));
        }
        preconditions(
            &object,
            input.if_match,
            input.if_none_match,
            input.if_modified_since,
            input.if_unmodified_since,
        )?;
        let checked = input.checksum_mode.is_some();
        let encryption = &object.attributes.encryption;
        // S3 reads the checksum with the object's key.
        let actions = if checked { &[DECRYPT][..] } else { &[] };
        self.check_key(Caller::of(extensions)?, actions, encryption, (&input.bucket, &input.key))?;
        let tag_count = tag_count(extensions, &input.bucket, &input.key, &object);
        let output = HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: length(object.size),
            content_type: Some(content_type(&object)),
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(object.modified.into()),
            metadata: Some(object.attributes.metadata.clone().into_iter().collect()),
            checksum_crc64nvme: checked.then(|| checksum::encode(object.crc64)),
            checksum_type: checked.then(full_object),
            server_side_encryption: Some(encryption.algorithm()),
            ssekms_key_id: encryption.key_id(),
            bucket_key_enabled: encryption.bucket_key(),
            ..HeadObjectOutput::default()
        };
        Ok(S3Response::with_headers(output, tag_count_header(tag_count)))
    }

    pub(crate) fn read(&self, extensions: &Extensions, input: GetObjectInput) -> Result<GetObjectOutput> {
        let object = self.store.object(&input.bucket, &input.key)?;
        if input.part_number.is_some() {
            return Err(Error::NotImplemented("partNumber"));
        }
        preconditions(
            &object,
            input.if_match,
            input.if_none_match,
            input.if_modified_since,
            input.if_unmodified_since,
        )?;
        let encryption = &object.attributes.encryption;
        self.check_key(Caller::of(extensions)?, &[DECRYPT], encryption, (&input.bucket, &input.key))?;
        let size = object.size;
        let asked = input.range.map(|range| range.check(size).map_err(|_| Error::InvalidRange { size })).transpose()?;
        let content_range = asked.as_ref().map(|range| content_range(range, size));
        let range = asked.unwrap_or(0..size);
        // The checksum covers the whole object, so a range has none.
        let checked = input.checksum_mode.is_some() && range == (0..size);
        Ok(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: length(range.end - range.start),
            content_range,
            content_type: Some(content_type(&object)),
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(object.modified.into()),
            metadata: Some(object.attributes.metadata.clone().into_iter().collect()),
            checksum_crc64nvme: checked.then(|| checksum::encode(object.crc64)),
            checksum_type: checked.then(full_object),
            server_side_encryption: Some(encryption.algorithm()),
            ssekms_key_id: encryption.key_id(),
            bucket_key_enabled: encryption.bucket_key(),
            tag_count: tag_count(extensions, &input.bucket, &input.key, &object),
            body: Some(object.data.read(range)),
            ..GetObjectOutput::default()
        })
    }

    pub(crate) async fn put(&self, request: S3Request<PutObjectInput>) -> Result<PutObjectOutput> {
        let mut input = request.input;
        let (headers, target) = (encryption_headers!(input), (input.bucket.as_str(), input.key.as_str()));
        let encrypted = self.encrypt(headers, &request.extensions, request.region.as_ref(), target);
        let encryption = match encrypted {
            Ok(encryption) => encryption,
            Err(error) => {
                body::drain(input.body.take()).await;
                return Err(error);
            }
        };
        let incoming = Incoming {
            body: input.body.take(),
            length: input.content_length,
            claims: claims!(input),
            trailer: request.trailing_headers,
        };
        let taken = body::store(&self.store, incoming, &request.headers).await?;
        let tags = ObjectTags::parse(input.tagging.as_deref())?;
        let attributes = Attributes { tags, encryption, ..attributes(input.content_type, input.metadata)? };
        let object = S3Object::new(taken.size, taken.crc64, attributes, taken.data);
        let conditions = Conditions { matches: input.if_match, none_matches: input.if_none_match };
        let store = Arc::clone(&self.store);
        let object = blocking(move || store.publish(&input.bucket, &input.key, object, &conditions)).await?;
        Ok(PutObjectOutput {
            e_tag: Some(etag(&object.etag)),
            checksum_crc64nvme: Some(checksum::encode(object.crc64)),
            checksum_type: Some(full_object()),
            server_side_encryption: Some(object.attributes.encryption.algorithm()),
            ssekms_key_id: object.attributes.encryption.key_id(),
            bucket_key_enabled: object.attributes.encryption.bucket_key(),
            ..PutObjectOutput::default()
        })
    }

    pub(crate) async fn copy(&self, request: S3Request<CopyObjectInput>) -> Result<CopyObjectOutput> {
        let input = request.input;
        let caller = Caller::of(&request.extensions)?;
        let (source_bucket, source_key) = caller.source_of(&input.copy_source)?;
        let source = self.store.object(source_bucket, source_key);
        let source = source.map_err(|error| told(&request.extensions, source_bucket, error))?;
        let (matches, unmodified) = (input.copy_source_if_match.clone(), input.copy_source_if_unmodified_since.clone());
        preconditions(&source, matches, None, None, unmodified)?;
        if input.copy_source_if_none_match.is_some() || input.copy_source_if_modified_since.is_some() {
            return Err(Error::NotImplemented("conditions that want a changed copy source"));
        }
        let replace = input.metadata_directive.as_ref().is_some_and(|way| way.as_str() == MetadataDirective::REPLACE);
        let changes = replace || input.server_side_encryption.is_some();
        let same_bucket = self.store.real_name(source_bucket) == self.store.real_name(&input.bucket);
        if !changes && same_bucket && source_key == input.key {
            let text = "This copy request is illegal because it is trying to copy an object to itself without \
                        changing the object's metadata, storage class, website redirect location or encryption \
                        attributes.";
            return Err(Error::InvalidRequest(text.to_owned()));
        }
        if source.size > MAX_BODY_BYTES {
            let text = "The specified copy source is larger than the maximum allowable size for a copy source: \
                        5368709120";
            return Err(Error::InvalidRequest(text.to_owned()));
        }
        let tags = tags_of_copy(caller, &input, (source_bucket, source_key), &source.attributes.tags)?;
        let attributes =
            if replace { attributes(input.content_type, input.metadata)? } else { source.attributes.clone() };
        let (headers, target) = (encryption_headers!(input), (input.bucket.as_str(), input.key.as_str()));
        let encryption = self.encrypt(headers, &request.extensions, request.region.as_ref(), target)?;
        self.check_key(caller, &[DECRYPT], &source.attributes.encryption, (source_bucket, source_key))?;
        let attributes = Attributes { tags, encryption, ..attributes };
        let conditions = write_conditions(&request.headers)?;
        let store = Arc::clone(&self.store);
        let object = blocking(move || {
            let twin = source.twin(attributes)?;
            store.publish(&input.bucket, &input.key, twin, &conditions)
        })
        .await?;
        let copied = CopyObjectResult {
            e_tag: Some(etag(&object.etag)),
            last_modified: Some(object.modified.into()),
            checksum_crc64nvme: Some(checksum::encode(object.crc64)),
            checksum_type: Some(full_object()),
            ..CopyObjectResult::default()
        };
        Ok(CopyObjectOutput {
            copy_object_result: Some(copied),
            server_side_encryption: Some(object.attributes.encryption.algorithm()),
            ssekms_key_id: object.attributes.encryption.key_id(),
            bucket_key_enabled: object.attributes.encryption.bucket_key(),
            ..CopyObjectOutput::default()
        })
    }

    /// Returns the encryption of a new object, if the caller may use its key.
    pub(crate) fn encrypt(
        &self,
        headers: EncryptionHeaders,
        extensions: &Extensions,
        region: Option<&Region>,
        (bucket, key): (&str, &str),
    ) -> Result<ObjectEncryption> {
        let caller = Caller::of(extensions)?;
        let encryption = headers.resolve(
            self.keys.default_of(self.store.real_name(bucket)),
            &caller.principal()?.account,
            region.map(Region::as_str),
        )?;
        self.check_key(caller, &[ENCRYPT], &encryption, (bucket, key))?;
        Ok(encryption)
    }

    /// Checks that the caller may perform `actions` with the key of an object. KMS hears of the object in its bucket, also
    /// through an access point.
    pub(crate) fn check_key(
        &self,
        caller: &Caller,
        actions: &[&str],
        encryption: &ObjectEncryption,
        (bucket, key): (&str, &str),
    ) -> Result<()> {
        self.keys.check(caller, actions, encryption, (self.store.real_name(bucket), key))
    }

    pub(crate) async fn remove(&self, bucket: String, key: String, expected: Option<ETagCondition>) -> Result<()> {
        let store = Arc::clone(&self.store);
        blocking(move || store.remove(&bucket, &key, expected.as_ref())).await
    }

    /// Removes the objects that `input` names. The output reports the `forbidden` keys as denied.
    pub(crate) async fn remove_many(
        &self,
        input: DeleteObjectsInput,
        forbidden: Vec<String>,
    ) -> Result<DeleteObjectsOutput> {
        self.store.check_bucket(&input.bucket)?;
        let Delete { objects, quiet } = input.delete;
        if !(1..=MAX_REMOVED).contains(&(objects.len() + forbidden.len())) {
            return Err(Error::MalformedList);
        }
        let mut output = DeleteObjectsOutput::default();
        let refused = forbidden.into_iter().map(|key| deletion_error(key, Error::AccessDenied)).collect::<Vec<_>>();
        output.errors = Some(refused).filter(|refused| !refused.is_empty());
        for ObjectIdentifier { key, e_tag, .. } in objects {
            let expected = e_tag.map(ETagCondition::ETag);
            match self.remove(input.bucket.clone(), key.clone(), expected).await {
                Ok(()) if quiet == Some(true) => {}
                Ok(()) => {
                    let deleted = DeletedObject { key: Some(key), ..DeletedObject::default() };
                    output.deleted.get_or_insert_default().push(deleted);
                }
                Err(error) => output.errors.get_or_insert_default().push(deletion_error(key, error)),
            }
        }
        Ok(output)
    }
}

/// The error entry of DeleteObjects for a key that it didn't delete.
fn deletion_error(key: String, error: Error) -> s3s::dto::Error {
    let error = s3s::S3Error::from(error);
    s3s::dto::Error {
        code: Some(error.code().as_str().to_owned()),
        message: error.message().map(str::to_owned),
        key: Some(key),
        version_id: None,
    }
}

/// Checks the conditions of HEAD and GET in the order of RFC 9110 §13.2.2.
pub(crate) fn preconditions(
    object: &S3Object,
    matches: Option<ETagCondition>,
    none_matches: Option<ETagCondition>,
    modified_since: Option<Timestamp>,
    unmodified_since: Option<Timestamp>,
) -> Result<()> {
    let is = |condition: &ETagCondition| match condition {
        ETagCondition::Any => true,
        ETagCondition::ETag(etag) => etag.value() == object.etag,
    };
    let after = |moment: Timestamp| Timestamp::from(object.modified) > moment;
    match (matches, unmodified_since) {
        (Some(condition), _) if !is(&condition) => return Err(Error::PreconditionFailed),
        (None, Some(moment)) if after(moment.clone()) => return Err(Error::PreconditionFailed),
        _ => {}
    }
    match (none_matches, modified_since) {
        (Some(condition), _) if is(&condition) => Err(Error::NotModified),
        (None, Some(moment)) if !after(moment.clone()) => Err(Error::NotModified),
        _ => Ok(()),
    }
}

/// Reads `If-Match` and `If-None-Match` of a copy, which s3s doesn't parse.
fn write_conditions(headers: &HeaderMap) -> Result<Conditions> {
    let condition = |name: &str| {
        headers
            .get(name)
            .map(|value| ETagCondition::parse_http_header(value.as_bytes()))
            .transpose()
            .map_err(|_| Error::InvalidRequest(format!("{name} is invalid")))
    };
    Ok(Conditions { matches: condition("if-match")?, none_matches: condition("if-none-match")? })
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

fn content_type(object: &S3Object) -> String {
    object.attributes.content_type.clone().unwrap_or_else(|| "binary/octet-stream".to_owned())
}

/// Converts a size to S3's signed numbers. No object here exceeds them.
pub(crate) fn length(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

fn full_object() -> ChecksumType {
    ChecksumType::from_static(ChecksumType::FULL_OBJECT)
}

/// Converts a time to s3s's type.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    time.into()
}
