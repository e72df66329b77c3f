//! ListObjectsV2, ListParts and ListMultipartUploads, with the little XML that they need.

use super::{
    http::Head,
    objects::{IncompleteUpload, ObjectHead},
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    ops::Bound,
};

const MAX_KEYS: usize = 1000;
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Returns the page that `head` asks for.
pub fn page(objects: &BTreeMap<String, ObjectHead>, head: &Head) -> String {
    let prefix = head.query("prefix").unwrap_or_default();
    let delimiter = head.query("delimiter").filter(|delimiter| !delimiter.is_empty());
    let after = head.query("continuation-token").or(head.query("start-after")).unwrap_or_default();
    let max = head.query("max-keys").and_then(|max| max.parse().ok()).unwrap_or(MAX_KEYS).min(MAX_KEYS);
    let url = is_encoded(head);
    let name = |name: &str| written(name, url);

    let mut entries = String::new();
    let (mut count, mut last, mut truncated) = (0, String::new(), false);
    let from = if after >= prefix && !after.is_empty() { Bound::Excluded(after) } else { Bound::Included(prefix) };
    for (key, object) in objects.range::<str, _>((from, Bound::Unbounded)) {
        let Some(rest) = key.strip_prefix(prefix) else { break };
        let rolled = delimiter.and_then(|delimiter| {
            let (first, _) = rest.split_once(delimiter)?;
            Some(format!("{prefix}{first}{delimiter}"))
        });
        if rolled.as_ref().is_some_and(|rolled| *rolled == last || rolled == after) {
            continue;
        }
        if count == max {
            truncated = true;
            break;
        }
        count += 1;
        let written = match &rolled {
            Some(rolled) => write!(entries, "<CommonPrefixes><Prefix>{}</Prefix></CommonPrefixes>", name(rolled)),
            None => write!(
                entries,
                "<Contents><Key>{}</Key><Size>{}</Size><ETag>\"{}\"</ETag>\
                 <LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>",
                name(key),
                object.size,
                object.etag
            ),
        };
        written.expect("a String takes all");
        last = rolled.unwrap_or_else(|| key.clone());
    }
    let next = if truncated && count > 0 {
        format!("<NextContinuationToken>{}</NextContinuationToken>", escape(&last))
    } else {
        String::new()
    };
    let encoding = encoding(url);
    format!(
        "<ListBucketResult><Prefix>{}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{max}</MaxKeys>{encoding}\
         <IsTruncated>{truncated}</IsTruncated>{next}{entries}</ListBucketResult>",
        name(prefix)
    )
}

/// Returns the page of an upload's parts that `head` asks for.
pub fn parts(parts: &BTreeMap<u32, u64>, head: &Head, etag: impl Fn(u32) -> String) -> String {
    let after = head.query("part-number-marker").and_then(|marker| marker.parse::<u32>().ok()).unwrap_or_default();
    let max = head.query("max-parts").and_then(|max| max.parse().ok()).unwrap_or(MAX_KEYS).min(MAX_KEYS);
    let mut behind = parts.range(after.saturating_add(1)..);
    let mut entries = String::new();
    let mut last = after;
    for (number, size) in behind.by_ref().take(max) {
        let etag = etag(*number);
        write!(entries, "<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag><Size>{size}</Size></Part>")
            .expect("a String takes all");
        last = *number;
    }
    let truncated = behind.next().is_some();
    format!(
        "<ListPartsResult><IsTruncated>{truncated}</IsTruncated><MaxParts>{max}</MaxParts>\
         <NextPartNumberMarker>{last}</NextPartNumberMarker>{entries}</ListPartsResult>"
    )
}

/// Returns the page of open uploads that `head` asks for.
pub fn uploads(uploads: &BTreeMap<String, IncompleteUpload>, head: &Head) -> String {
    let prefix = head.query("prefix").unwrap_or_default();
    let after = head.query("key-marker").map(|key| (key, head.query("upload-id-marker").unwrap_or_default()));
    let max = head.query("max-uploads").and_then(|max| max.parse().ok()).unwrap_or(MAX_KEYS).min(MAX_KEYS);
    let url = is_encoded(head);
    let open = uploads.iter().map(|(id, upload)| (upload.key.as_str(), id.as_str()));
    let open = open.filter(|(key, _)| key.starts_with(prefix)).filter(|upload| Some(*upload) > after);
    let open: BTreeSet<_> = open.collect();
    let (mut entries, mut last) = (String::new(), ("", ""));
    for (key, id) in open.iter().take(max) {
        write!(
            entries,
            "<Upload><Key>{}</Key><UploadId>{id}</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>",
            written(key, url)
        )
        .expect("a String takes all");
        last = (key, id);
    }
    format!(
        "<ListMultipartUploadsResult>{}<MaxUploads>{max}</MaxUploads><IsTruncated>{}</IsTruncated>\
         <NextKeyMarker>{}</NextKeyMarker><NextUploadIdMarker>{}</NextUploadIdMarker>{entries}\
         </ListMultipartUploadsResult>",
        encoding(url),
        open.len() > max,
        written(last.0, url),
        last.1
    )
}

fn is_encoded(head: &Head) -> bool {
    head.query("encoding-type") == Some("url")
}

fn written(name: &str, url: bool) -> String {
    if url { utf8_percent_encode(name, URL).to_string() } else { escape(name) }
}

fn encoding(url: bool) -> &'static str {
    if url { "<EncodingType>url</EncodingType>" } else { "" }
}

/// Escapes text for XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Unescapes text from XML.
pub fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}
