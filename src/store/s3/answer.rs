//! Translates S3's answers into the types of [`crate::store`]. If an answer lacks a field that S3 always sends, it
//! becomes [`Error::Broken`].

use super::{body, encoding};
use crate::store::{
    ETag, Error, Headers, ListedObject, MultipartUpload, Object, Page, PageToken, Part, PartsPage, Pin, Read, Result,
    StoredObject, UploadId, UploadsPage, UploadsToken, VersionId,
};
use aws_sdk_s3::{
    operation::{
        RequestId, complete_multipart_upload::CompleteMultipartUploadOutput, copy_object::CopyObjectOutput,
        get_object::GetObjectOutput, head_object::HeadObjectOutput, list_multipart_uploads::ListMultipartUploadsOutput,
        list_objects_v2::ListObjectsV2Output, list_parts::ListPartsOutput, put_object::PutObjectOutput,
    },
    primitives::DateTime,
    types::{ArchiveStatus, EncodingType, StorageClass},
};
use std::{collections::HashMap, ops::Range};

pub(super) fn put(answer: PutObjectOutput) -> Result<StoredObject> {
    let request_id = request_id(&answer);
    stored(answer.e_tag, answer.version_id, answer.checksum_crc64_nvme.as_deref(), request_id)
}

pub(super) fn completed(answer: CompleteMultipartUploadOutput) -> Result<StoredObject> {
    let request_id = request_id(&answer);
    stored(answer.e_tag, answer.version_id, answer.checksum_crc64_nvme.as_deref(), request_id)
}

pub(super) fn copied(answer: CopyObjectOutput) -> Result<StoredObject> {
    let request_id = request_id(&answer);
    let Some(copy) = answer.copy_object_result else { return Err(missing("CopyObjectResult")) };
    let stored = stored(copy.e_tag, answer.version_id, copy.checksum_crc64_nvme.as_deref(), request_id)?;
    Ok(StoredObject { modified: copy.last_modified.map(|time| time.secs()), ..stored })
}

fn stored(
    etag: Option<String>,
    version: Option<String>,
    checksum: Option<&str>,
    request_id: Option<String>,
) -> Result<StoredObject> {
    let crc64 = checksum.and_then(encoding::read_checksum);
    Ok(StoredObject { pin: pin(etag, version)?, modified: None, crc64, request_id })
}

/// The value of `x-amz-request-id`.
fn request_id(answer: &impl RequestId) -> Option<String> {
    answer.request_id().filter(|id| !id.is_empty()).map(str::to_owned)
}

/// The tag with its quotes. Some stores omit the quotes in some answers, but tags are compared and sent back.
pub(super) fn etag(etag: Option<String>) -> Result<ETag> {
    let etag = etag.ok_or_else(|| missing("ETag"))?;
    Ok(ETag(if etag.ends_with('"') { etag } else { format!("\"{etag}\"") }))
}

pub(super) fn head(answer: HeadObjectOutput) -> Result<Object> {
    let in_archive = matches!(answer.storage_class, Some(StorageClass::Glacier | StorageClass::DeepArchive))
        || matches!(answer.archive_status, Some(ArchiveStatus::ArchiveAccess | ArchiveStatus::DeepArchiveAccess));
    // `ongoing-request="true"` while it is being restored, "false" with an expiry date after that.
    let restored = answer.restore.as_deref().is_some_and(|restore| restore.contains("ongoing-request=\"false\""));
    Ok(Object {
        size: length(answer.content_length)?,
        pin: pin(answer.e_tag, answer.version_id)?,
        modified: seconds(answer.last_modified)?,
        metadata: metadata(answer.metadata),
        headers: Headers {
            cache_control: answer.cache_control,
            content_disposition: answer.content_disposition,
            content_encoding: answer.content_encoding,
            content_language: answer.content_language,
            content_type: answer.content_type,
            expires: answer.expires_string,
            website_redirect_location: answer.website_redirect_location,
        },
        archived: in_archive && !restored,
    })
}

/// Translates the answer to a GET of `asked`, which is not empty.
pub(super) fn read(answer: GetObjectOutput, asked: &Range<u64>) -> Result<Read> {
    let length = length(answer.content_length)?;
    let (range, size) = match answer.content_range.as_deref() {
        Some(said) => content_range(said).ok_or_else(|| Error::Broken(format!("Content-Range `{said}`")))?,
        // The whole object although a range was requested: acceptable only if the range covers it.
        None => (0..length, length),
    };
    if range != (asked.start..asked.end.min(size)) || range.end - range.start != length {
        return Err(Error::Broken(format!("bytes {range:?} of {size}, {length} of them, when asked for {asked:?}")));
    }
    let object = Object {
        size,
        pin: pin(answer.e_tag, answer.version_id)?,
        modified: seconds(answer.last_modified)?,
        metadata: metadata(answer.metadata),
        headers: Headers::default(),
        // S3 refuses to read an archived object.
        archived: false,
    };
    Ok(Read { object, range, body: body::received(answer.body, length) })
}

/// A page of at most `max_keys` names, which was asked for with `after`.
///
/// SeaweedFS (4.48) says that nothing follows a full page whose last name is a marker, if the rest lies in the marker's
/// directory. So what follows such a page is asked for, whatever the page says.
///
/// # Errors
/// [`Error::Broken`], also if the store begins again instead of behind a name.
pub(super) fn page(answer: ListObjectsV2Output, after: Option<&PageToken>, max_keys: u16) -> Result<Page> {
    let name = names(answer.encoding_type.as_ref());
    let objects = answer.contents.unwrap_or_default().into_iter().map(|object| {
        Ok(ListedObject {
            raw_key: name(object.key.ok_or_else(|| missing("Key"))?),
            size: length(object.size)?,
            etag: etag(object.e_tag)?,
            modified: seconds(object.last_modified)?,
        })
    });
    let directories = answer.common_prefixes.unwrap_or_default().into_iter().filter_map(|common| common.prefix);
    let objects = objects.collect::<Result<Vec<_>>>()?;
    if let (Some(PageToken::After(name)), Some(first)) = (after, objects.first())
        && first.raw_key <= *name
    {
        return Err(Error::Broken("a listing ignores start-after".to_owned()));
    }
    let next = if answer.is_truncated == Some(true) {
        let token = answer.next_continuation_token.ok_or_else(|| missing("NextContinuationToken"))?;
        Some(PageToken::Continuation(token))
    } else if objects.len() == usize::from(max_keys) {
        let last = objects.last().map(|object| object.raw_key.clone());
        last.filter(|key| key.ends_with('/')).map(PageToken::After)
    } else {
        None
    };
    Ok(Page { objects, directories: directories.map(name).collect(), next })
}

pub(super) fn parts(answer: ListPartsOutput) -> Result<PartsPage> {
    let parts = answer.parts.unwrap_or_default().into_iter().map(|part| {
        let number = part.part_number.and_then(|number| u32::try_from(number).ok());
        Ok(Part {
            number: number.ok_or_else(|| missing("PartNumber"))?,
            etag: etag(part.e_tag)?,
            size: length(part.size)?,
            crc64: part.checksum_crc64_nvme.as_deref().and_then(encoding::read_checksum),
        })
    });
    Ok(PartsPage { parts: parts.collect::<Result<_>>()?, more: answer.is_truncated == Some(true) })
}

pub(super) fn uploads(answer: ListMultipartUploadsOutput) -> Result<UploadsPage> {
    let name = names(answer.encoding_type.as_ref());
    let uploads = answer.uploads.unwrap_or_default().into_iter().map(|upload| {
        Ok(MultipartUpload {
            raw_key: name(upload.key.ok_or_else(|| missing("Key"))?),
            upload: UploadId(upload.upload_id.ok_or_else(|| missing("UploadId"))?),
            initiated: seconds(upload.initiated)?,
            initiator: upload.initiator.and_then(|initiator| initiator.id),
        })
    });
    let uploads = uploads.collect::<Result<_>>()?;
    let next = match answer.is_truncated {
        Some(true) => Some(UploadsToken {
            key: name(answer.next_key_marker.ok_or_else(|| missing("NextKeyMarker"))?),
            upload: answer.next_upload_id_marker.ok_or_else(|| missing("NextUploadIdMarker"))?,
        }),
        _ => None,
    };
    Ok(UploadsPage { uploads, next })
}

/// A function that decodes the names of a listing. Stores that ignore `encoding-type` send names as they are, and don't
/// claim to have encoded them.
fn names(encoding: Option<&EncodingType>) -> impl Fn(String) -> String + use<> {
    let encoded = encoding == Some(&EncodingType::Url);
    move |raw| if encoded { encoding::decoded(&raw) } else { raw }
}

/// `bytes 0-4/10` as the range, end exclusive, and the whole size.
fn content_range(said: &str) -> Option<(Range<u64>, u64)> {
    let (range, size) = said.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (start, end) = (first.parse().ok()?, last.parse::<u64>().ok()?.checked_add(1)?);
    (start < end).then_some((start..end, size.parse().ok()?))
}

fn pin(etag: Option<String>, version: Option<String>) -> Result<Pin> {
    Ok(Pin { etag: self::etag(etag)?, version: version.map(VersionId) })
}

fn length(bytes: Option<i64>) -> Result<u64> {
    bytes.and_then(|bytes| u64::try_from(bytes).ok()).ok_or_else(|| missing("length"))
}

fn seconds(time: Option<DateTime>) -> Result<i64> {
    time.map(|time| time.secs()).ok_or_else(|| missing("time"))
}

fn metadata(metadata: Option<HashMap<String, String>>) -> std::collections::BTreeMap<String, String> {
    metadata.unwrap_or_default().into_iter().collect()
}

fn missing(what: &str) -> Error {
    Error::Broken(format!("no {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::{
        primitives::ByteStream,
        types::{CommonPrefix, Object as S3Object},
    };

    fn got(content_range: Option<&str>, length: i64) -> GetObjectOutput {
        GetObjectOutput::builder()
            .e_tag("\"e\"")
            .last_modified(DateTime::from_secs(7))
            .content_length(length)
            .set_content_range(content_range.map(str::to_owned))
            .body(ByteStream::from_static(b""))
            .build()
    }

    #[test]
    fn a_range_is_truncated_at_the_end_of_the_object() {
        let answer = read(got(Some("bytes 3-9/10"), 7), &(3..100)).unwrap();
        assert_eq!((answer.range, answer.object.size), (3..10, 10));
        assert_eq!(read(got(None, 10), &(0..10)).unwrap().range, 0..10);
        assert_eq!(read(got(None, 0), &(0..10)).unwrap().range, 0..0);
    }

    #[test]
    fn another_range_than_the_one_asked_for_is_refused() {
        for (content_range, length, asked) in [
            (Some("bytes 0-9/10"), 10, 3..10),
            (Some("bytes 3-8/10"), 6, 3..10),
            (Some("bytes 3-9/10"), 6, 3..10),
            (Some("bytes 9-3/10"), 7, 3..10),
            (Some("bytes 3-18446744073709551615/10"), 7, 3..10),
            (Some("bytes 3-9/*"), 7, 3..10),
            (None, 10, 3..10),
            (None, 10, 0..9),
        ] {
            let answer = read(got(content_range, length), &asked);
            assert!(matches!(answer, Err(Error::Broken(_))), "{content_range:?} {length} {asked:?}");
        }
    }

    #[test]
    fn an_archived_object_is_so_until_it_is_restored() {
        let answer = |class, restore: Option<&str>| {
            HeadObjectOutput::builder()
                .e_tag("\"e\"")
                .last_modified(DateTime::from_secs(7))
                .content_length(1)
                .storage_class(class)
                .set_restore(restore.map(str::to_owned))
                .build()
        };
        let archived = |class, restore| head(answer(class, restore)).unwrap().archived;
        assert!(archived(StorageClass::DeepArchive, None));
        assert!(archived(StorageClass::Glacier, Some(r#"ongoing-request="true""#)));
        assert!(!archived(
            StorageClass::Glacier,
            Some(r#"ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT""#)
        ));
        assert!(!archived(StorageClass::GlacierIr, None));
    }

    #[test]
    fn a_tag_has_its_quotes() {
        for (said, expected) in [("\"e-2\"", "\"e-2\""), ("e-2", "\"e-2\""), ("W/\"e\"", "W/\"e\"")] {
            assert_eq!(etag(Some(said.to_owned())).unwrap(), ETag(expected.to_owned()));
        }
        assert!(matches!(etag(None), Err(Error::Broken(_))));
    }

    #[test]
    fn a_full_page_that_ends_with_a_marker_has_another_behind_it() {
        let listed = |after: Option<&PageToken>, keys: &[&str], max_keys| {
            let object = |key: &&str| {
                let object = S3Object::builder().key(*key).size(1).e_tag("\"e\"").last_modified(DateTime::from_secs(7));
                object.build()
            };
            let answer = ListObjectsV2Output::builder().is_truncated(false);
            let answer = answer.set_contents(Some(keys.iter().map(object).collect())).build();
            page(answer, after, max_keys).map(|page| page.next)
        };
        let behind = PageToken::After("d/e/".to_owned());
        assert_eq!(listed(None, &["d/", "d/e/"], 2).unwrap(), Some(behind.clone()));
        assert_eq!(listed(Some(&behind), &["d/e/f", "d/e/g"], 2).unwrap(), None);
        assert!(matches!(listed(Some(&behind), &["d/", "d/e/"], 2), Err(Error::Broken(_))));
        for (keys, max_keys) in [(&["d/", "d/e/"][..], 3), (&["d/", "d/e"], 2), (&[], 1)] {
            assert_eq!(listed(None, keys, max_keys).unwrap(), None, "{keys:?}");
        }
    }

    #[test]
    fn names_are_decoded_only_where_they_were_encoded() {
        let listing = |encoding| {
            let object = S3Object::builder().key("a+%01").size(1).e_tag("\"e\"").last_modified(DateTime::from_secs(7));
            let answer = ListObjectsV2Output::builder()
                .set_encoding_type(encoding)
                .contents(object.build())
                .common_prefixes(CommonPrefix::builder().prefix("d+%2B/").build());
            let page = page(answer.build(), None, 1000).unwrap();
            (page.objects[0].raw_key.clone(), page.directories[0].clone())
        };
        assert_eq!(listing(Some(EncodingType::Url)), ("a \u{1}".into(), "d +/".into()));
        assert_eq!(listing(None), ("a+%01".into(), "d+%2B/".into()));
    }
}
