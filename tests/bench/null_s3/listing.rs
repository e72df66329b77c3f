//! ListObjectsV2 and ListParts, and as much of XML as it takes.

use super::{http::Head, objects::Object};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::{collections::BTreeMap, fmt::Write, ops::Bound};

const MAX_KEYS: usize = 1000;
const URL: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// The page that `head` asks for.
pub fn page(objects: &BTreeMap<String, Object>, head: &Head) -> String {
    let prefix = head.query("prefix").unwrap_or_default();
    let delimiter = head.query("delimiter").filter(|delimiter| !delimiter.is_empty());
    let after = head.query("continuation-token").or(head.query("start-after")).unwrap_or_default();
    let max = head.query("max-keys").and_then(|max| max.parse().ok()).unwrap_or(MAX_KEYS).min(MAX_KEYS);
    let url = head.query("encoding-type") == Some("url");
    let name = |name: &str| if url { utf8_percent_encode(name, URL).to_string() } else { escape(name) };

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
    let encoding = if url { "<EncodingType>url</EncodingType>" } else { "" };
    format!(
        "<ListBucketResult><Prefix>{}</Prefix><KeyCount>{count}</KeyCount><MaxKeys>{max}</MaxKeys>{encoding}\
         <IsTruncated>{truncated}</IsTruncated>{next}{entries}</ListBucketResult>",
        name(prefix)
    )
}

/// The page of an upload's parts that `head` asks for.
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

/// Text for XML.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Text from XML.
pub fn unescape(text: &str) -> String {
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&apos;", "'");
    text.replace("&amp;", "&")
}
