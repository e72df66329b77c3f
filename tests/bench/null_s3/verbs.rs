//! S3's verbs, by method and query.

use super::{
    http::{Head, HttpResponse, decode},
    listing,
    objects::{IncompleteUpload, ObjectHead, Objects},
};
use std::ops::Range;

const OK: &str = "200 OK";
const MODIFIED: &str = "Thu, 01 Jan 2026 00:00:00 GMT";

/// Answers a request. Only a POST has a `body`.
pub fn answer(objects: &Objects, head: &Head, body: &[u8]) -> HttpResponse {
    if head.path == "/_counts" {
        return HttpResponse {
            body: objects.counts(),
            ..HttpResponse::new(OK).with("Content-Type", "application/json")
        };
    }
    let (_, key) = head.path.trim_start_matches('/').split_once('/').unwrap_or_default();
    let upload = head.query("uploadId");
    let copied = head.header("x-amz-copy-source");
    let (kind, answer) = match (head.method.as_str(), key) {
        ("HEAD", "") => ("HeadBucket", HttpResponse::new(OK)),
        ("HEAD", key) => ("HeadObject", read(objects, head, key)),
        ("GET", "") => match head.query("uploads") {
            Some(_) => {
                ("ListMultipartUploads", HttpResponse::new(OK).xml(listing::uploads(&objects.lock().uploads, head)))
            }
            None => ("ListObjectsV2", HttpResponse::new(OK).xml(listing::page(&objects.lock().objects, head))),
        },
        ("GET", key) => match upload {
            Some(id) => ("ListParts", parts(objects, head, id)),
            None => ("GetObject", read(objects, head, key)),
        },
        ("PUT", key) => match (upload, copied) {
            (Some(id), None) => ("UploadPart", put_part(objects, head, id)),
            (None, None) => ("PutObject", put(objects, head, key)),
            (None, Some(source)) => ("CopyObject", copy(objects, head, source, key)),
            (Some(id), Some(source)) => ("UploadPartCopy", copy_part(objects, head, id, source)),
        },
        ("POST", "") => ("DeleteObjects", remove_many(objects, &String::from_utf8_lossy(body))),
        ("POST", key) => match upload {
            Some(id) => ("CompleteMultipartUpload", complete(objects, head, id, key)),
            None => ("CreateMultipartUpload", create(objects, head, key)),
        },
        ("DELETE", key) => {
            let mut state = objects.lock();
            match upload {
                Some(id) => state.uploads.remove(id).map(drop),
                None => state.objects.remove(key).map(drop),
            };
            (
                if upload.is_some() { "AbortMultipartUpload" } else { "DeleteObject" },
                HttpResponse::new("204 No Content"),
            )
        }
        _ => ("Unknown", HttpResponse::error("501 Not Implemented", "NotImplemented")),
    };
    objects.count(kind, 1);
    if let Some((_, bytes)) = answer.object {
        objects.count("bytes_sent", bytes);
    }
    objects.count("bytes_received", head.body_bytes());
    answer
}

/// Answers GET and HEAD.
fn read(objects: &Objects, head: &Head, key: &str) -> HttpResponse {
    let Some(object) = objects.lock().objects.get(key).cloned() else {
        return HttpResponse::error("404 Not Found", "NoSuchKey");
    };
    if head.header("if-match").is_some_and(|etag| etag.trim_matches('"') != object.etag) {
        return HttpResponse::error("412 Precondition Failed", "PreconditionFailed");
    }
    let asked = head.header("range").filter(|_| head.method == "GET").and_then(|text| range(text, object.size));
    let size = object.size;
    let mut answer = match &asked {
        Some(range) if range.is_empty() => {
            return HttpResponse::error("416 Range Not Satisfiable", "InvalidRange")
                .with("Content-Range", format!("bytes */{size}"));
        }
        Some(range) => HttpResponse::new("206 Partial Content")
            .with("Content-Range", format!("bytes {}-{}/{size}", range.start, range.end - 1)),
        None => HttpResponse::new(OK),
    };
    let range = asked.unwrap_or(0..size);
    if head.method == "HEAD" {
        answer.told_bytes = Some(size);
    } else {
        answer.object = Some((range.start, range.end - range.start));
    }
    answer.headers.extend(object.headers);
    answer.with("ETag", quoted(&object.etag)).with("Last-Modified", MODIFIED).with("Accept-Ranges", "bytes")
}

/// Parses a range and cuts it at the object's end. Returns an empty range if it can't be satisfied, `None` if its
/// syntax isn't S3's.
fn range(text: &str, size: u64) -> Option<Range<u64>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        return Some(size.saturating_sub(last.parse().ok()?)..size);
    }
    let first = first.parse().ok()?;
    let end = if last.is_empty() { size } else { last.parse::<u64>().ok()?.saturating_add(1).min(size) };
    Some(first..end.max(first))
}

fn put(objects: &Objects, head: &Head, key: &str) -> HttpResponse {
    publish(objects, head, key, body_size(head), stored_headers(head)).unwrap_or_else(|refusal| refusal)
}

/// Returns the source object of a copy.
fn source(objects: &Objects, head: &Head, name: &str) -> Result<ObjectHead, HttpResponse> {
    let name = decode(name);
    let name = name.trim_start_matches('/').split_once('/').map_or("", |(_, key)| key);
    let Some(source) = objects.lock().objects.get(name).cloned() else {
        return Err(HttpResponse::error("404 Not Found", "NoSuchKey"));
    };
    if head.header("x-amz-copy-source-if-match").is_some_and(|etag| etag.trim_matches('"') != source.etag) {
        return Err(HttpResponse::error("412 Precondition Failed", "PreconditionFailed"));
    }
    Ok(source)
}

fn copy(objects: &Objects, head: &Head, name: &str, key: &str) -> HttpResponse {
    let source = match source(objects, head, name) {
        Ok(source) => source,
        Err(refusal) => return refusal,
    };
    match publish(objects, head, key, source.size, source.headers) {
        Ok(done) => {
            let etag = done.headers.first().map(|(_, etag)| etag.clone()).unwrap_or_default();
            let modified = "2026-01-01T00:00:00.000Z";
            done.xml(format!(
                "<CopyObjectResult><ETag>{etag}</ETag><LastModified>{modified}</LastModified></CopyObjectResult>"
            ))
        }
        Err(refusal) => refusal,
    }
}

fn create(objects: &Objects, head: &Head, key: &str) -> HttpResponse {
    let id = objects.unique();
    let upload = IncompleteUpload { key: key.to_owned(), headers: stored_headers(head), ..IncompleteUpload::default() };
    objects.lock().uploads.insert(id.clone(), upload);
    let key = listing::escape(key);
    HttpResponse::new(OK).xml(format!(
        "<InitiateMultipartUploadResult><Key>{key}</Key><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
    ))
}

fn put_part(objects: &Objects, head: &Head, id: &str) -> HttpResponse {
    let number = head.query("partNumber").and_then(|number| number.parse().ok()).unwrap_or_default();
    match objects.lock().uploads.get_mut(id) {
        Some(upload) => upload.parts.insert(number, body_size(head)),
        None => return HttpResponse::error("404 Not Found", "NoSuchUpload"),
    };
    HttpResponse::new(OK).with("ETag", quoted(&part_etag(id, number)))
}

fn copy_part(objects: &Objects, head: &Head, id: &str, name: &str) -> HttpResponse {
    let source = match source(objects, head, name) {
        Ok(source) => source,
        Err(refusal) => return refusal,
    };
    let asked = head.header("x-amz-copy-source-range").and_then(|text| range(text, source.size));
    let copied = asked.unwrap_or(0..source.size);
    let number = head.query("partNumber").and_then(|number| number.parse().ok()).unwrap_or_default();
    match objects.lock().uploads.get_mut(id) {
        Some(upload) => upload.parts.insert(number, copied.end - copied.start),
        None => return HttpResponse::error("404 Not Found", "NoSuchUpload"),
    };
    let etag = quoted(&part_etag(id, number));
    HttpResponse::new(OK).xml(format!("<CopyPartResult><ETag>{etag}</ETag></CopyPartResult>"))
}

fn parts(objects: &Objects, head: &Head, id: &str) -> HttpResponse {
    match objects.lock().uploads.get(id) {
        Some(upload) => {
            HttpResponse::new(OK).xml(listing::parts(&upload.parts, head, |number| quoted(&part_etag(id, number))))
        }
        None => HttpResponse::error("404 Not Found", "NoSuchUpload"),
    }
}

fn complete(objects: &Objects, head: &Head, id: &str, key: &str) -> HttpResponse {
    let (size, headers) = match objects.lock().uploads.get(id) {
        Some(upload) => (upload.parts.values().sum(), upload.headers.clone()),
        None => return HttpResponse::error("404 Not Found", "NoSuchUpload"),
    };
    match publish(objects, head, key, size, headers) {
        Ok(done) => {
            objects.lock().uploads.remove(id);
            let etag = done.headers.first().map(|(_, etag)| etag.clone()).unwrap_or_default();
            done.xml(format!("<CompleteMultipartUploadResult><ETag>{etag}</ETag></CompleteMultipartUploadResult>"))
        }
        Err(refusal) => refusal,
    }
}

fn remove_many(objects: &Objects, body: &str) -> HttpResponse {
    for key in body.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next()) {
        objects.lock().objects.remove(&listing::unescape(key));
    }
    HttpResponse::new(OK).xml("<DeleteResult></DeleteResult>".to_owned())
}

/// Stores an object. Its ETag is the first header of the answer.
fn publish(
    objects: &Objects,
    head: &Head,
    key: &str,
    size: u64,
    headers: Vec<(String, String)>,
) -> Result<HttpResponse, HttpResponse> {
    let etag = objects.unique();
    let mut state = objects.lock();
    if head.header("if-none-match") == Some("*") && state.objects.contains_key(key) {
        return Err(HttpResponse::error("412 Precondition Failed", "PreconditionFailed"));
    }
    let there = state.objects.get(key).map(|object| object.etag.as_str());
    if head.header("if-match").is_some_and(|etag| Some(etag.trim_matches('"')) != there) {
        return Err(HttpResponse::error("412 Precondition Failed", "PreconditionFailed"));
    }
    state.objects.insert(key.to_owned(), ObjectHead { size, etag: etag.clone(), headers });
    Ok(HttpResponse::new(OK).with("ETag", quoted(&etag)))
}

/// Size of the body without the framing of aws-chunked.
fn body_size(head: &Head) -> u64 {
    let decoded = head.header("x-amz-decoded-content-length").and_then(|length| length.parse().ok());
    decoded.unwrap_or_else(|| head.body_bytes())
}

fn stored_headers(head: &Head) -> Vec<(String, String)> {
    let is_stored = |(name, _): &&(String, String)| name.starts_with("x-amz-meta-") || name == "content-type";
    head.headers.iter().filter(is_stored).cloned().collect()
}

fn part_etag(id: &str, number: u32) -> String {
    format!("{id}-{number}")
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}
