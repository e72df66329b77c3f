//! Open uploads, and the two listings of them: `ListParts`, `ListMultipartUploads`.

use super::refusal::refused;
use crate::store::{self, Error, NewObject, Part, PartsPage, Result, UploadId, UploadsPage, UploadsToken};
use bytes::{Bytes, BytesMut};
use crc_fast::{CrcAlgorithm::Crc64Nvme, checksum_combine};
use std::collections::BTreeMap;

/// S3's minimum size of a part, except the last, in bytes.
pub(super) const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;
/// The most entries of a page.
const PAGE: usize = 1000;

#[derive(Debug)]
pub(super) struct OpenUpload {
    pub(super) raw_key: String,
    pub(super) born: NewObject,
    pub(super) parts: BTreeMap<u32, (Part, Bytes)>,
    pub(super) initiated: i64,
    pub(super) initiator: Option<String>,
}

impl OpenUpload {
    /// The whole object and its checksum, if S3 would accept `parts`.
    pub(super) fn assembled(&self, parts: &[Part]) -> Result<(Bytes, u64)> {
        if parts.is_empty() {
            return Err(refused("MalformedXML", "no parts"));
        }
        let mut whole = BytesMut::new();
        let mut crc64 = 0;
        for (index, part) in parts.iter().enumerate() {
            if u32::try_from(index + 1) != Ok(part.number) {
                return Err(refused("InvalidPartOrder", "part numbers must be consecutive from 1"));
            }
            let Some((stored, bytes)) = self.parts.get(&part.number) else {
                return Err(refused("InvalidPart", "no such part"));
            };
            if stored.etag != part.etag || stored.crc64 != part.crc64 {
                return Err(refused("InvalidPart", "not the part that was stored"));
            }
            if stored.size < MIN_PART_BYTES && index + 1 < parts.len() {
                return Err(refused("EntityTooSmall", "a part before the last is smaller than 5 MiB"));
            }
            whole.extend_from_slice(bytes);
            crc64 = checksum_combine(Crc64Nvme, crc64, stored.crc64.unwrap_or_default(), stored.size);
        }
        Ok((whole.freeze(), crc64))
    }

    fn page(&self, after: u32) -> PartsPage {
        let mut behind = self.parts.range(after.saturating_add(1)..).map(|(_, (part, _))| part.clone());
        let parts = behind.by_ref().take(PAGE).collect();
        PartsPage { parts, more: behind.next().is_some() }
    }
}

/// One page of an upload's parts.
pub(super) fn parts(
    uploads: &BTreeMap<String, OpenUpload>,
    raw_key: &str,
    upload: &UploadId,
    after: u32,
) -> Result<PartsPage> {
    let open = uploads.get(&upload.0).filter(|open| open.raw_key == raw_key);
    open.map(|open| open.page(after)).ok_or(Error::NotFound)
}

/// One page of the uploads of keys that begin with `prefix`.
pub(super) fn page(uploads: &BTreeMap<String, OpenUpload>, prefix: &str, after: Option<&UploadsToken>) -> UploadsPage {
    let after = after.map(|token| (token.key.as_str(), token.upload.as_str()));
    let mut below: Vec<_> = uploads
        .iter()
        .filter(|(_, open)| open.raw_key.starts_with(prefix))
        .filter(|(id, open)| after.is_none_or(|after| (open.raw_key.as_str(), id.as_str()) > after))
        .map(|(id, open)| store::MultipartUpload {
            raw_key: open.raw_key.clone(),
            upload: UploadId(id.clone()),
            initiated: open.initiated,
            initiator: open.initiator.clone(),
        })
        .collect();
    below.sort_by(|one, other| (&one.raw_key, &one.upload.0).cmp(&(&other.raw_key, &other.upload.0)));
    let more = below.len() > PAGE;
    below.truncate(PAGE);
    let last = below.last().filter(|_| more);
    let next = last.map(|last| UploadsToken { key: last.raw_key.clone(), upload: last.upload.0.clone() });
    UploadsPage { uploads: below, next }
}
