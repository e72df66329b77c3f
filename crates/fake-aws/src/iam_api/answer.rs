//! IAM's answers: XML of the query protocol.

use super::error::Error;
use crate::{
    iam::{Policy, RoleDetail},
    sts::{self, element, success},
};
use hyper::{Response, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::Body;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

const NAMESPACE: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
/// Characters that IAM encodes in the policies of its answers (RFC 3986).
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The answer with a role.
pub(super) fn role(action: &str, role: &RoleDetail) -> Result<String, Error> {
    let created = OffsetDateTime::from(role.created).truncate_to_second();
    let created = created.format(&Rfc3339).map_err(|_| sts::Error::InternalFailure)?;
    let parts = [
        element("Path", &role.path),
        element("RoleName", &role.name),
        element("RoleId", &role.id()),
        element("Arn", &role.arn()),
        element("CreateDate", &created),
        element("AssumeRolePolicyDocument", &encoded(role.trust.document())),
        element("MaxSessionDuration", &role.max_session.as_secs().to_string()),
    ];
    Ok(success(NAMESPACE, action, Some(&format!("<Role>{}</Role>", parts.concat()))))
}

/// The answer with an inline policy of a role.
pub(super) fn policy(action: &str, role_name: &str, policy_name: &str, policy: &Policy) -> String {
    let parts = [
        element("RoleName", role_name),
        element("PolicyName", policy_name),
        element("PolicyDocument", &encoded(policy.document())),
    ];
    success(NAMESPACE, action, Some(&parts.concat()))
}

/// The answer of an action without a result.
pub(super) fn done(action: &str) -> String {
    success(NAMESPACE, action, None)
}

/// Wraps an answer in a response.
pub(super) fn response(answer: Result<String, Error>) -> Response<Body> {
    let (text, status) = match answer {
        Ok(text) => (text, StatusCode::OK),
        Err(error) => (sts::refusal(NAMESPACE, error.code(), &error.to_string()), error.code().1),
    };
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    *response.headers_mut() = sts::headers();
    response
}

fn encoded(document: &str) -> String {
    utf8_percent_encode(document, ENCODED).to_string()
}
