//! S3's multipart operations. Their rules are in `multipart.rs`.

use super::{
    body::{self, Incoming},
    caller::{Caller, told},
    checksum::{self, ClaimedChecksums, claims},
    encryption::{ObjectEncryption, encryption_headers},
    error::{Error, Result},
    kms::{DECRYPT, ENCRYPT},
    lists::{Encoding, limit},
    multipart::{self, Completion, ListedUpload, PartReference, S3Upload, UploadName},
    objects::{attributes, blocking, etag, length, preconditions, timestamp},
    service::Service,
    store::{Attributes, Conditions},
    tags::ObjectTags,
};
use hyper::{HeaderMap, http::Extensions};
use s3s::{
    S3Request,
    dto::{
        AbortMultipartUploadInput, ChecksumType, CompleteMultipartUploadInput, CompleteMultipartUploadOutput,
        CompletedPart, CopyPartResult, CreateMultipartUploadInput, CreateMultipartUploadOutput, Initiator,
        ListMultipartUploadsInput, ListMultipartUploadsOutput, ListPartsInput, ListPartsOutput, MultipartUpload, Part,
        StorageClass, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
    },
};
use std::{ops::Range, sync::Arc};

/// S3 copies ranges only of objects larger than this.
const MIN_SOURCE_BYTES: u64 = 5 << 20;
/// Rough cost of an open upload beside its parts' bytes: room for its metadata and its table of parts.
const UPLOAD_OVERHEAD_BYTES: u64 = 4 << 10;

impl Service {
    pub(crate) fn create_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> Result<CreateMultipartUploadOutput> {
        let caller = Caller::of(&request.extensions)?;
        let input = request.input;
        self.store.check_bucket(&input.bucket)?;
        let (headers, target) = (encryption_headers!(input), (input.bucket.as_str(), input.key.as_str()));
        let encryption = self.encrypt(headers, &request.extensions, request.region.as_ref(), target)?;
        let upload = S3Upload::new(
            Attributes {
                tags: ObjectTags::parse(input.tagging.as_deref())?,
                encryption: encryption.clone(),
                ..attributes(input.content_type, input.metadata)?
            },
            input.checksum_algorithm.as_ref().map(|algorithm| algorithm.as_str().to_owned()),
            input.checksum_type.as_ref().map(|kind| kind.as_str().to_owned()),
            &caller.principal()?.arn,
            self.store.charge(UPLOAD_OVERHEAD_BYTES)?,
        )?;
        let checksum_type = upload.checksum_type.clone().map(ChecksumType::from);
        let bucket = self.store.real_name(&input.bucket).to_owned();
        let id = self.uploads.create(&bucket, &input.key, upload);
        Ok(CreateMultipartUploadOutput {
            bucket: Some(bucket),
            key: Some(input.key),
            upload_id: Some(id),
            checksum_algorithm: input.checksum_algorithm,
            checksum_type,
            server_side_encryption: Some(encryption.algorithm()),
            ssekms_key_id: encryption.key_id(),
            bucket_key_enabled: encryption.bucket_key(),
            ..CreateMultipartUploadOutput::default()
        })
    }

    pub(crate) async fn put_part(&self, request: S3Request<UploadPartInput>) -> Result<UploadPartOutput> {
        let mut input = request.input;
        let incoming = Incoming {
            body: input.body.take(),
            length: input.content_length,
            claims: claims!(input),
            trailer: request.trailing_headers,
        };
        let name = self.upload_name(&input.bucket, input.key, input.upload_id);
        let checked = self.uploads.check_part(&name, input.part_number);
        let encryption =
            match checked.and_then(|()| self.encryption_of(&request.extensions, &name, &[ENCRYPT, DECRYPT])) {
                Ok(encryption) => encryption,
                Err(error) => {
                    body::drain(incoming.body).await;
                    return Err(error);
                }
            };
        let taken = body::store(&self.store, incoming, &request.headers).await?;
        let part = self.uploads.put_part(&name, input.part_number, taken)?;
        Ok(UploadPartOutput {
            e_tag: Some(etag(&part.etag)),
            checksum_crc64nvme: Some(checksum::encode(part.crc64)),
            server_side_encryption: Some(encryption.algorithm()),
            ssekms_key_id: encryption.key_id(),
            bucket_key_enabled: encryption.bucket_key(),
            ..UploadPartOutput::default()
        })
    }

    /// Copies a range of an object into a part.
    pub(crate) async fn copy_part(&self, request: S3Request<UploadPartCopyInput>) -> Result<UploadPartCopyOutput> {
        let input = request.input;
        let caller = Caller::of(&request.extensions)?;
        let (bucket, key) = caller.source_of(&input.copy_source)?;
        let source = self.store.object(bucket, key).map_err(|error| told(&request.extensions, bucket, error))?;
        self.check_key(caller, &[DECRYPT], &source.attributes.encryption, (bucket, key))?;
        preconditions(&source, input.copy_source_if_match, None, None, input.copy_source_if_unmodified_since)?;
        if input.copy_source_if_none_match.is_some() || input.copy_source_if_modified_since.is_some() {
            return Err(Error::NotImplemented("conditions that want a changed copy source"));
        }
        let name = self.upload_name(&input.bucket, input.key, input.upload_id);
        self.uploads.check_part(&name, input.part_number)?;
        let encryption = self.encryption_of(&request.extensions, &name, &[ENCRYPT, DECRYPT])?;
        let range = copied_range(input.copy_source_range.as_deref(), source.size)?;
        let incoming = Incoming {
            length: length(range.end - range.start),
            body: Some(source.data.read(range)),
            claims: ClaimedChecksums::default(),
            trailer: None,
        };
        let taken = body::store(&self.store, incoming, &HeaderMap::new()).await?;
        let part = self.uploads.put_part(&name, input.part_number, taken)?;
        let copied = CopyPartResult {
            e_tag: Some(etag(&part.etag)),
            checksum_crc64nvme: Some(checksum::encode(part.crc64)),
            last_modified: Some(timestamp(part.modified)),
            ..CopyPartResult::default()
        };
        Ok(UploadPartCopyOutput {
            copy_part_result: Some(copied),
            server_side_encryption: Some(encryption.algorithm()),
            ssekms_key_id: encryption.key_id(),
            bucket_key_enabled: encryption.bucket_key(),
            ..UploadPartCopyOutput::default()
        })
    }

    /// The name of an upload, which has the bucket's name also through an access point. Answers name the bucket, too.
    ///
    /// Source: S3 API reference, for example `Bucket` of ListParts: "Does not return the access point ARN or access point
    /// alias if used."
    fn upload_name(&self, bucket: &str, key: String, id: String) -> UploadName {
        UploadName { bucket: self.store.real_name(bucket).to_owned(), key, id }
    }

    /// Returns the encryption of an upload, if the caller may perform `actions` with its key.
    fn encryption_of(&self, extensions: &Extensions, name: &UploadName, actions: &[&str]) -> Result<ObjectEncryption> {
        let encryption = self.uploads.look(name, |upload| upload.attributes.encryption.clone())?;
        self.check_key(Caller::of(extensions)?, actions, &encryption, (&name.bucket, &name.key))?;
        Ok(encryption)
    }

    pub(crate) async fn complete_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> Result<CompleteMultipartUploadOutput> {
        let input = request.input;
        let parts = input.multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let completion = Completion {
            parts: parts.into_iter().map(named).collect::<Result<_>>()?,
            checksum_type: input.checksum_type.map(|kind| kind.as_str().to_owned()),
            crc64nvme: input.checksum_crc64nvme,
            size: input.mpu_object_size,
        };
        let conditions = Conditions { matches: input.if_match, none_matches: input.if_none_match };
        let name = self.upload_name(&input.bucket, input.key, input.upload_id);
        self.encryption_of(&request.extensions, &name, &[DECRYPT])?;
        let (store, uploads) = (Arc::clone(&self.store), Arc::clone(&self.uploads));
        let (name, object) = blocking(move || {
            let publish = |object| store.publish(&name.bucket, &name.key, object, &conditions);
            let object = uploads.complete(&name, &completion, publish)?;
            Ok((name, object))
        })
        .await?;
        Ok(CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", name.bucket, name.key)),
            bucket: Some(name.bucket),
            key: Some(name.key),
            e_tag: Some(etag(&object.etag)),
            checksum_crc64nvme: Some(checksum::encode(object.crc64)),
            checksum_type: Some(ChecksumType::from_static(ChecksumType::FULL_OBJECT)),
            server_side_encryption: Some(object.attributes.encryption.algorithm()),
            ssekms_key_id: object.attributes.encryption.key_id(),
            bucket_key_enabled: object.attributes.encryption.bucket_key(),
            ..CompleteMultipartUploadOutput::default()
        })
    }

    pub(crate) fn abort_upload(&self, input: AbortMultipartUploadInput) -> Result<()> {
        self.uploads.abort(&self.upload_name(&input.bucket, input.key, input.upload_id))
    }

    pub(crate) fn list_upload_parts(&self, input: ListPartsInput) -> Result<ListPartsOutput> {
        let (max, max_parts) = limit(input.max_parts)?;
        let marker = input.part_number_marker.unwrap_or_default();
        let name = self.upload_name(&input.bucket, input.key, input.upload_id);
        let (parts, truncated) = self.uploads.look(&name, |upload| upload.parts(marker, max))?;
        Ok(ListPartsOutput {
            is_truncated: Some(truncated),
            max_parts: Some(max_parts),
            part_number_marker: Some(marker),
            next_part_number_marker: parts.last().filter(|_| truncated).map(|(number, _)| *number),
            parts: Some(parts.into_iter().map(|(number, part)| shown(number, &part)).collect()),
            bucket: Some(name.bucket),
            key: Some(name.key),
            upload_id: Some(name.id),
            ..ListPartsOutput::default()
        })
    }

    pub(crate) fn list_uploads(&self, input: ListMultipartUploadsInput) -> Result<ListMultipartUploadsOutput> {
        self.store.check_bucket(&input.bucket)?;
        if input.delimiter.is_some() {
            return Err(Error::NotImplemented("a delimiter in ListMultipartUploads"));
        }
        let encoding = Encoding::of(input.encoding_type.as_ref());
        let (max, max_uploads) = limit(input.max_uploads)?;
        let prefix = input.prefix.unwrap_or_default();
        let after = (input.key_marker.as_deref().unwrap_or_default(), input.upload_id_marker.as_deref());
        let bucket = self.store.real_name(&input.bucket);
        let (uploads, truncated) = self.uploads.list(bucket, &prefix, after, max);
        let last = uploads.last().filter(|_| truncated).map(|listed| listed.name.clone());
        let show = |ListedUpload { name, initiated, initiator }: ListedUpload| MultipartUpload {
            key: Some(encoding.write(&name.key)),
            upload_id: Some(name.id),
            initiated: Some(timestamp(initiated)),
            initiator: Some(named_after(initiator)),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            ..MultipartUpload::default()
        };
        Ok(ListMultipartUploadsOutput {
            is_truncated: Some(truncated),
            max_uploads: Some(max_uploads),
            next_key_marker: last.as_ref().map(|name| encoding.write(&name.key)),
            next_upload_id_marker: last.map(|name| name.id),
            uploads: Some(uploads.into_iter().map(show).collect()),
            prefix: Some(encoding.write(&prefix)),
            key_marker: input.key_marker.as_deref().map(|key| encoding.write(key)),
            upload_id_marker: input.upload_id_marker,
            encoding_type: input.encoding_type,
            bucket: Some(bucket.to_owned()),
            ..ListMultipartUploadsOutput::default()
        })
    }
}

/// The initiator of an upload. Its display name is the ARN behind the `/`: the user, or the role and its session.
fn named_after(arn: String) -> Initiator {
    let display_name = arn.split_once('/').map(|(_, name)| name.to_owned());
    Initiator { id: Some(arn), display_name }
}

fn named(part: CompletedPart) -> Result<PartReference> {
    let (Some(number), Some(etag)) = (part.part_number, part.e_tag) else { return Err(Error::MalformedList) };
    let others = [&part.checksum_crc32, &part.checksum_crc32c, &part.checksum_sha1, &part.checksum_sha256];
    Ok(PartReference {
        number,
        etag: etag.into_value(),
        has_checksum: part.checksum_crc64nvme.is_some() || others.into_iter().any(Option::is_some),
        crc64nvme: part.checksum_crc64nvme,
    })
}

fn shown(number: i32, part: &multipart::StoredPart) -> Part {
    Part {
        part_number: Some(number),
        size: length(part.size),
        e_tag: Some(etag(&part.etag)),
        last_modified: Some(timestamp(part.modified)),
        checksum_crc64nvme: Some(checksum::encode(part.crc64)),
        ..Part::default()
    }
}

/// Parses `bytes=FIRST-LAST` of a source. Without a range it is the whole source.
fn copied_range(said: Option<&str>, size: u64) -> Result<Range<u64>> {
    const INVALID: Error =
        Error::InvalidArgument("The x-amz-copy-source-range value must be of the form bytes=first-last");
    let Some(said) = said else { return Ok(0..size) };
    if size <= MIN_SOURCE_BYTES {
        let text = "The specified copy source is not supported as a byte-range copy source.";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    let bounds = said.strip_prefix("bytes=").and_then(|range| range.split_once('-'));
    let Some((Ok(first), Ok(last))) = bounds.map(|(first, last)| (first.parse::<u64>(), last.parse::<u64>())) else {
        return Err(INVALID);
    };
    if first > last || last >= size { Err(INVALID) } else { Ok(first..last + 1) }
}
