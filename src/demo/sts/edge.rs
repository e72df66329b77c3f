//! What s3s says of a signature before [`super::Route`] is asked is in S3's words; here it becomes STS's.

use super::{Error, answer};
use http_body_util::BodyExt;
use hyper::{HeaderMap, Method, Request, Response, Uri, header};
use s3s::Body;

/// Whether a request is for the STS.
pub fn is_for_sts<B>(request: &Request<B>) -> bool {
    is_form(request.method(), request.uri(), request.headers())
}

/// The same, of its parts.
pub fn is_form(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    method == Method::POST && uri.path() == "/" && kind.starts_with("application/x-www-form-urlencoded")
}

/// An answer to such a request, in STS's words.
pub async fn put_in_words(response: Response<Body>) -> Response<Body> {
    if response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // S3's error is the root of its document, STS's is not.
    let Some((_, error)) = text.split_once("<Error><Code>") else {
        parts.headers.remove(header::CONTENT_LENGTH);
        return Response::from_parts(parts, Body::from(bytes));
    };
    let code = error.split_once("</Code>").map_or(error, |(code, _)| code);
    let message = error.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    let error = Error::of_protocol(code, message.map_or("", |(message, _)| message));
    let mut response = Response::new(Body::from(answer::refusal(&error)));
    *response.status_mut() = error.code().1;
    *response.headers_mut() = answer::headers();
    response
}
