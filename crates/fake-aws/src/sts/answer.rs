//! STS's answers: XML of the query protocol.

use super::{
    Error,
    assume_role::Granted,
    xml::{self, element},
};
use crate::iam::Principal;
use hyper::{HeaderMap, header};
use s3s::{Body, S3Response};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// The answer to AssumeRole.
pub(crate) fn assumed(granted: &Granted) -> Result<String, Error> {
    let keys = &granted.credentials;
    let expiration = OffsetDateTime::from(keys.expiration).format(&Rfc3339).map_err(|_| Error::InternalFailure)?;
    let credentials = [
        element("AccessKeyId", &keys.access_key_id),
        element("SecretAccessKey", &keys.secret_access_key),
        element("SessionToken", &keys.session_token),
        element("Expiration", &expiration),
    ];
    let user = [element("AssumedRoleId", &granted.id), element("Arn", &granted.arn)];
    let packed = granted.packed_percent.map(|percent| element("PackedPolicySize", &percent.to_string()));
    let source = granted.source_identity.as_ref().map(|identity| element("SourceIdentity", identity));
    let parts = [
        format!("<Credentials>{}</Credentials>", credentials.concat()),
        format!("<AssumedRoleUser>{}</AssumedRoleUser>", user.concat()),
        packed.unwrap_or_default(),
        source.unwrap_or_default(),
    ];
    Ok(result("AssumeRole", &parts.concat()))
}

/// The answer to GetCallerIdentity.
pub(crate) fn identity(principal: &Principal) -> String {
    let parts = [
        element("Arn", &principal.arn),
        element("UserId", &principal.id),
        element("Account", principal.account.as_str()),
    ];
    result("GetCallerIdentity", &parts.concat())
}

/// The answer to a refused request.
pub(crate) fn refusal(error: &Error) -> String {
    xml::refusal(NAMESPACE, error.code(), &error.to_string())
}

/// Wraps an answer in s3s's response.
pub(crate) fn response(answer: Result<String, Error>) -> S3Response<Body> {
    let (text, status) = match answer {
        Ok(text) => (text, None),
        Err(error) => (refusal(&error), Some(error.code().1)),
    };
    let mut response = S3Response::new(Body::from(text));
    response.status = status;
    response.headers = headers();
    response
}

/// Headers of every answer.
pub(crate) fn headers() -> HeaderMap {
    let xml = header::HeaderValue::from_static("text/xml");
    HeaderMap::from_iter([(header::CONTENT_TYPE, xml)])
}

fn result(operation: &str, content: &str) -> String {
    xml::success(NAMESPACE, operation, Some(content))
}
