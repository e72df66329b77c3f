//! The one place that turns the errors of the SDK and S3 into an [`Error`].

use crate::{policy::DailyLimitReached, store::Error};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_s3::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use std::error::Error as StdError;

/// The facts in S3's answer that tell why it refused.
#[derive(Clone, Copy, Debug, Default)]
struct Refusal<'a> {
    status: u16,
    /// Empty for answers without a body, such as those to HEAD.
    code: &'a str,
    message: &'a str,
    /// Empty if no server gave one.
    request_id: &'a str,
    content_range: Option<&'a str>,
}

impl<E> From<SdkError<E, HttpResponse>> for Error
where
    E: ProvideErrorMetadata + StdError + Send + Sync + 'static,
{
    fn from(error: SdkError<E, HttpResponse>) -> Self {
        match &error {
            SdkError::ServiceError(refusal) => {
                let (meta, answer) = (refusal.err().meta(), refusal.raw());
                refused(Refusal {
                    code: meta.code().unwrap_or_default(),
                    message: meta.message().unwrap_or_default(),
                    ..Refusal::of(answer)
                })
            }
            // An answer that isn't S3's XML: it came from a proxy, or was truncated.
            SdkError::ResponseError(response) if response.raw().status().is_success() => Self::Broken(reasons(&error)),
            SdkError::ResponseError(response) => refused(Refusal::of(response.raw())),
            _ if is_credentials(&error) => Self::Credentials(reasons(&error)),
            // Time-outs, broken connections, and requests that the SDK could not build. No retry helps with the last
            // either.
            _ => daily_limit(&error).map_or_else(|| Self::Unreachable(reasons(&error)), Self::from),
        }
    }
}

impl<'a> Refusal<'a> {
    fn of(answer: &'a HttpResponse) -> Self {
        let headers = answer.headers();
        Self {
            status: answer.status().as_u16(),
            request_id: headers.get("x-amz-request-id").unwrap_or_default(),
            content_range: headers.get("content-range"),
            ..Self::default()
        }
    }

    /// For the log: `AccessDenied, HTTP 403, request 4442587FB7D0A2F9`.
    fn request(&self) -> String {
        let mut said = format!("HTTP {}", self.status);
        if !self.code.is_empty() {
            said = format!("{}, {said}", self.code);
        }
        if !self.request_id.is_empty() {
            said = format!("{said}, request {}", self.request_id);
        }
        said
    }

    /// The same with S3's sentence, which may name the action, and the policy or the KMS key that denied it.
    fn request_and_reason(&self) -> String {
        match self.message.trim_end_matches('.') {
            "" | "Access Denied" => self.request(),
            reason => format!("{}: {reason}", self.request()),
        }
    }
}

/// The table. Codes take precedence over statuses: CopyObject and CompleteMultipartUpload also refuse with status 200,
/// and a 404 may mean the bucket (a mistake of the set-up) as well as the object.
fn refused(refusal: Refusal<'_>) -> Error {
    let request = refusal.request();
    match (refusal.code, refusal.status) {
        ("NoSuchKey" | "NoSuchUpload" | "NoSuchVersion" | "NotFound", _) | ("", 404) => Error::NotFound,
        ("InvalidObjectState", _) => Error::Archived,
        ("InvalidRange", _) | (_, 416) => {
            Error::RangeNotSatisfiable { size: refusal.content_range.and_then(whole_size) }
        }
        (
            "InvalidAccessKeyId"
            | "SignatureDoesNotMatch"
            | "ExpiredToken"
            | "InvalidToken"
            | "TokenRefreshRequired"
            | "RequestTimeTooSkewed",
            _,
        ) => Error::Credentials(request),
        ("SlowDown" | "ServiceUnavailable" | "Throttling" | "ThrottlingException" | "RequestLimitExceeded", _)
        | (_, 429 | 503) => Error::Throttled { request },
        // Ceph sends this with 403, MinIO with 400 or 507.
        ("InsufficientStorage" | "QuotaExceeded" | "XMinioStorageFull" | "XMinioAdminBucketQuotaExceeded", _)
        | (_, 507) => Error::Full { request },
        // 501 is not here: it means that the store lacks a function, however healthy it is.
        ("RequestTimeout" | "InternalError", _) | (_, 500 | 502 | 504..=599) => Error::Unreachable(request),
        ("PreconditionFailed" | "ConditionalRequestConflict" | "OperationAborted", _) | (_, 409 | 412) => {
            Error::Conflict { request }
        }
        ("AccessDenied", _) | (_, 403) => Error::Forbidden { request: refusal.request_and_reason() },
        (code, status) => Error::Refused {
            code: if code.is_empty() { format!("HTTP {status}") } else { code.to_owned() },
            message: refusal.message.to_owned(),
            request,
        },
    }
}

/// The error for one object among many, in the body of an answer.
pub(super) fn of_one(code: &str, message: &str, request_id: &str) -> Error {
    // The status of the whole answer is 200 and says nothing about one object.
    refused(Refusal { status: 200, code, message, request_id, content_range: None })
}

/// The size in `bytes */1234`.
fn whole_size(content_range: &str) -> Option<u64> {
    content_range.strip_prefix("bytes */")?.parse().ok()
}

/// The error and its causes. Not the SDK's `DisplayErrorContext`, because it prints whole answers, such as one with
/// credentials that could not be parsed.
pub(crate) fn reasons(error: &(dyn StdError + 'static)) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        said = format!("{said}: {error}");
        cause = error.source();
    }
    said
}

/// True if the request was never sent because there were no credentials.
pub(crate) fn is_credentials(error: &(dyn StdError + 'static)) -> bool {
    error.is::<CredentialsError>() || error.source().is_some_and(is_credentials)
}

/// The refusal of a request that was never sent because its tenant has none left today.
fn daily_limit(error: &(dyn StdError + 'static)) -> Option<DailyLimitReached> {
    error.downcast_ref().copied().or_else(|| error.source().and_then(daily_limit))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, code: &str) -> Error {
        refused(Refusal { status, code, message: "why", request_id: "R1", content_range: Some("bytes */42") })
    }

    #[test]
    fn each_refusal_has_its_error() {
        use Error as E;
        assert!(matches!(said(404, ""), E::NotFound));
        assert!(matches!(said(404, "NoSuchKey"), E::NotFound));
        assert!(matches!(said(404, "NoSuchUpload"), E::NotFound));
        assert!(matches!(said(403, ""), E::Forbidden { .. }));
        assert!(matches!(said(403, "AccessDenied"), E::Forbidden { .. }));
        assert!(matches!(said(403, "InvalidObjectState"), E::Archived));
        assert!(matches!(said(403, "SignatureDoesNotMatch"), E::Credentials(_)));
        assert!(matches!(said(400, "ExpiredToken"), E::Credentials(_)));
        assert!(matches!(said(403, "RequestTimeTooSkewed"), E::Credentials(_)));
        assert!(matches!(said(412, ""), E::Conflict { .. }));
        assert!(matches!(said(409, "ConditionalRequestConflict"), E::Conflict { .. }));
        assert!(matches!(said(416, "InvalidRange"), E::RangeNotSatisfiable { size: Some(42) }));
        assert!(matches!(said(503, "SlowDown"), E::Throttled { .. }));
        assert!(matches!(said(429, ""), E::Throttled { .. }));
        assert!(matches!(said(400, "RequestTimeout"), E::Unreachable(_)));
        assert!(matches!(said(502, ""), E::Unreachable(_)));
        assert!(matches!(said(522, ""), E::Unreachable(_)));
        assert!(matches!(said(507, ""), E::Full { .. }));
        assert!(matches!(said(403, "QuotaExceeded"), E::Full { .. }));
        assert!(matches!(said(400, "XMinioAdminBucketQuotaExceeded"), E::Full { .. }));
        assert!(matches!(said(501, "NotImplemented"), E::Refused { .. }));
    }

    #[test]
    fn an_error_under_status_200_is_one() {
        assert!(matches!(said(200, "SlowDown"), Error::Throttled { .. }));
        assert!(matches!(said(200, "PreconditionFailed"), Error::Conflict { .. }));
        assert!(matches!(said(200, "InternalError"), Error::Unreachable(_)));
    }

    #[test]
    fn a_missing_bucket_is_not_a_missing_file() {
        assert!(matches!(said(404, "NoSuchBucket"), Error::Refused { code, .. } if code == "NoSuchBucket"));
    }

    #[test]
    fn the_log_gets_code_and_request_id() {
        assert_eq!(said(403, "AccessDenied").to_string(), "S3 denied access (AccessDenied, HTTP 403, request R1: why)");
        let plain =
            refused(Refusal { status: 403, code: "AccessDenied", message: "Access Denied", ..Refusal::default() });
        assert_eq!(plain.to_string(), "S3 denied access (AccessDenied, HTTP 403)");
        assert_eq!(said(403, "").to_string(), "S3 denied access (HTTP 403, request R1: why)");
        let moved = refused(Refusal { status: 301, ..Refusal::default() });
        assert_eq!(moved.to_string(), "S3 refused: HTTP 301:  (HTTP 301)");
    }

    #[test]
    fn a_size_is_read_only_from_what_is_one() {
        assert_eq!(whole_size("bytes */0"), Some(0));
        assert_eq!(whole_size("bytes 0-1/2"), None);
        assert_eq!(whole_size("bytes */-1"), None);
    }
}
