//! Wraps s3s for STS requests. It changes two things: s3s accepts forms of 8 KiB at most, and it words signature errors
//! as S3 does before [`super::Route`] is called.

use super::{Error, answer};
use http_body_util::BodyExt;
use hyper::{
    HeaderMap, Method, Request, Response, Uri,
    body::{Bytes, Incoming},
    header::{self, HeaderValue},
};
use s3s::{Body, HttpError, service::S3Service};
use sha2::{Digest, Sha256};

/// Limit on a form. It fits a percent-encoded session policy of 2,048 characters with many tags.
pub(crate) const MAX_FORM_BYTES: usize = 64 << 10;
const CONTENT_SHA256: &str = "x-amz-content-sha256";

/// True if a request is for the STS.
pub(crate) fn is_form(method: &Method, uri: &Uri, headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    method == Method::POST && uri.path() == "/" && kind.starts_with("application/x-www-form-urlencoded")
}

/// Passes an STS request to s3s, and rewords refusals.
pub(crate) async fn serve(service: &S3Service, request: Request<Incoming>) -> Result<Response<Body>, HttpError> {
    let (mut parts, body) = request.into_parts();
    let mut body = Body::from(body);
    let Ok(form) = body.store_all_limited(MAX_FORM_BYTES).await else {
        return Ok(refuse(&Error::Validation("The form is too long or broken off".to_owned())));
    };
    // Given the hash, s3s doesn't read the form to compute it and applies no limit. STS clients don't send the hash.
    if let Ok(hash) = HeaderValue::try_from(hex::encode(Sha256::digest(&form))) {
        parts.headers.entry(CONTENT_SHA256).or_insert(hash);
    }
    let response = service.call(Request::from_parts(parts, body)).await?;
    if response.status().is_success() { Ok(response) } else { Ok(in_words(response).await) }
}

/// Rewords S3's refusal as STS's.
async fn in_words(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let bytes: Bytes = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    // S3's error is the root of its document, STS's isn't.
    let Some((_, error)) = text.split_once("<Error><Code>") else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    let code = error.split_once("</Code>").map_or(error, |(code, _)| code);
    let message = error.split_once("<Message>").and_then(|(_, rest)| rest.split_once("</Message>"));
    refuse(&Error::of_protocol(code, message.map_or("", |(message, _)| message)))
}

fn refuse(error: &Error) -> Response<Body> {
    let mut response = Response::new(Body::from(answer::refusal(error)));
    *response.status_mut() = error.code().1;
    *response.headers_mut() = answer::headers();
    response
}
