//! STS's refusals: their meaning, and the operator's remedy for each.
//!
//! AWS reveals which policy denied a request only within one account. Across accounts it doesn't. There the message
//! lists all conditions that must hold, with the names that apply.
//!
//! Sources: IAM user guide, "Troubleshoot access denied error messages"; STS API reference, AssumeRole and "Common
//! errors".

use crate::{
    account::RoleArn,
    clock::{Clock as _, SystemClock},
    store::{self, is_credentials, reasons},
};
use aws_sdk_sts::{
    config::http::HttpResponse,
    error::SdkError,
    operation::{RequestId as _, assume_role::AssumeRoleError},
};
use std::time::SystemTime;

/// The reason why a role could not be assumed. Messages are for the operator. They contain no secret and no external
/// ID.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The role's trust policy, or its side, denied the request.
    #[error(
        "the trust policy of {role} refuses us: it must name the principal that STS names here, and what its condition \
         on sts:ExternalId wants must be the `external_id` of the tenant's file ({said})"
    )]
    Untrusted {
        role: RoleArn,
        /// STS's words.
        said: String,
    },
    /// The policies of our own credentials denied the request.
    #[error("our own credentials lack a permission: their policy must allow sts:AssumeRole on {role} ({said})")]
    NotPermitted {
        role: RoleArn,
        /// STS's words.
        said: String,
    },
    /// One of the two sides denied the request, and AWS doesn't tell which.
    #[error(
        "{role} can't be assumed, and across accounts AWS doesn't say why. Check that (1) the role exists; (2) its trust \
         policy allows sts:AssumeRole to the principal that STS names here; (3) what its condition on sts:ExternalId wants \
         is the `external_id` of the tenant's file; (4) that principal's own policy allows sts:AssumeRole on the role \
         ({said})"
    )]
    Denied {
        role: RoleArn,
        /// STS's words.
        said: String,
    },
    /// The trust policy doesn't allow an option that the tenant's file enables.
    #[error(
        "the trust policy of {role} must allow {action}, because the tenant's file says `{key} = true`: allow it, or take \
         the key out ({said})"
    )]
    OptIn {
        role: RoleArn,
        /// `sts:TagSession` or `sts:SetSourceIdentity`.
        action: &'static str,
        /// The key of the tenant's file.
        key: &'static str,
        /// STS's words.
        said: String,
    },
    /// The base credentials are not valid, or no longer.
    #[error("our own credentials are not valid: the access key or the token that we ask STS with ({said})")]
    Base {
        /// STS's words.
        said: String,
    },
    /// There are no base credentials.
    #[error("we have no credentials of our own to ask STS with ({said})")]
    NoBase {
        /// The answer of the default chain.
        said: String,
    },
    /// The two clocks differ by more than AWS accepts.
    #[error("this machine's clock differs from that of STS: set it right, by NTP ({said})")]
    Clock {
        /// STS's words, or what its answer shows.
        said: String,
    },
    /// STS rejects the session policy.
    #[error("STS doesn't take the session policy of this mount; a shorter prefix may make it fit ({said})")]
    Policy {
        /// STS's words.
        said: String,
    },
    /// STS isn't activated in the region.
    #[error("STS is not active for us in this region: activate it in the account's settings of IAM ({said})")]
    Region {
        /// STS's words.
        said: String,
    },
    /// Too many requests, after retries.
    #[error("STS asks to slow down ({said})")]
    Throttled {
        /// STS's words.
        said: String,
    },
    /// No answer, after retries.
    #[error("no answer from STS: {said}")]
    Unreachable {
        /// The error of the connection.
        said: String,
    },
    /// Any other refusal.
    #[error("STS refused {role} ({said})")]
    Refused {
        role: RoleArn,
        /// STS's words.
        said: String,
    },
    /// STS answered without credentials.
    #[error("STS answered for {role} without credentials")]
    Broken { role: RoleArn },
}

impl Error {
    pub(super) fn of(role: &RoleArn, error: &SdkError<AssumeRoleError, HttpResponse>) -> Self {
        match error {
            SdkError::ServiceError(refusal) => {
                let (meta, status) = (refusal.err().meta(), refusal.raw().status().as_u16());
                StsRefusal {
                    code: meta.code().unwrap_or_default(),
                    message: meta.message().unwrap_or_default(),
                    status,
                    request: error.request_id().unwrap_or_default(),
                }
                .meaning(role)
            }
            SdkError::ResponseError(answer) if answer.raw().status().is_server_error() => {
                Self::Unreachable { said: reasons(error) }
            }
            SdkError::ResponseError(_) => Self::Refused { role: role.clone(), said: reasons(error) },
            _ if is_credentials(error) => Self::NoBase { said: reasons(error) },
            _ => Self::Unreachable { said: reasons(error) },
        }
    }

    pub(super) fn expired_already(role: &RoleArn, expires: SystemTime) -> Self {
        let ago = SystemClock.now().duration_since(expires).unwrap_or_default().as_secs();
        Self::Clock { said: format!("its new credentials for {role} expired {ago} s ago by ours") }
    }
}

impl From<Error> for store::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Throttled { said } => Self::Throttled { request: said },
            Error::Unreachable { said } => Self::Unreachable(format!("STS: {said}")),
            other => Self::Credentials(other.to_string()),
        }
    }
}

/// STS's answer.
#[derive(Clone, Copy, Debug)]
struct StsRefusal<'a> {
    code: &'a str,
    message: &'a str,
    status: u16,
    request: &'a str,
}

impl StsRefusal<'_> {
    /// The table of codes.
    fn meaning(self, role: &RoleArn) -> Error {
        let (role, said) = (role.clone(), self.said());
        match self.code {
            "AccessDenied" | "AccessDeniedException" => self.denial(role, said),
            "SignatureDoesNotMatch" | "RequestExpired" if self.is_about_time() => Error::Clock { said },
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Error::Base { said },
            "PackedPolicyTooLarge"
            | "PackedPolicyTooLargeException"
            | "MalformedPolicyDocument"
            | "MalformedPolicyDocumentException" => Error::Policy { said },
            "RegionDisabledException" => Error::Region { said },
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "SlowDown" | "TooManyRequestsException" => {
                Error::Throttled { said }
            }
            _ if self.status == 429 => Error::Throttled { said },
            _ if self.status >= 500 => Error::Unreachable { said },
            _ => Error::Refused { role, said },
        }
    }

    fn denial(self, role: RoleArn, said: String) -> Error {
        let says = |words: &[&str]| words.iter().any(|words| self.message.contains(words));
        if says(&["sts:TagSession"]) {
            Error::OptIn { role, action: "sts:TagSession", key: "session_tags", said }
        } else if says(&["sts:SetSourceIdentity"]) {
            Error::OptIn { role, action: "sts:SetSourceIdentity", key: "source_identity", said }
        } else if says(&["identity-based policy", "permissions boundary", "service control policy", "session policy"]) {
            Error::NotPermitted { role, said }
        } else if says(&["trust policy", "resource-based policy", "resource control policy"]) {
            Error::Untrusted { role, said }
        } else {
            Error::Denied { role, said }
        }
    }

    /// `Signature expired: … is now earlier than …`, `Signature not yet current: …`.
    fn is_about_time(self) -> bool {
        self.code == "RequestExpired" || ["expired", "not yet current"].iter().any(|word| self.message.contains(word))
    }

    fn said(self) -> String {
        let Self { code, message, status, request } = self;
        let code = if code.is_empty() { format!("HTTP {status}") } else { code.to_owned() };
        let request = if request.is_empty() { String::new() } else { format!(", request {request}") };
        format!("{code}: {message}{request}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meaning(code: &str, message: &str) -> Error {
        let role = "arn:aws:iam::111122223333:role/wharfinger".parse().unwrap();
        StsRefusal { code, message, status: 403, request: "R1" }.meaning(&role)
    }

    const US: &str = "User: arn:aws:iam::444455556666:user/server is not authorized to perform:";

    #[test]
    fn a_denial_says_whose_policy_it_was_where_aws_does() {
        let because = |why: &str| meaning("AccessDenied", &format!("{US} sts:AssumeRole on resource: R{why}"));
        assert!(matches!(because(""), Error::Denied { .. }));
        assert!(matches!(
            because(" because no identity-based policy allows the sts:AssumeRole action"),
            Error::NotPermitted { .. }
        ));
        assert!(matches!(because(" with an explicit deny in a service control policy"), Error::NotPermitted { .. }));
        assert!(matches!(
            because(" because no resource-based policy allows the sts:AssumeRole action"),
            Error::Untrusted { .. }
        ));
        assert!(matches!(because(" because no role trust policy allows it"), Error::Untrusted { .. }));
    }

    #[test]
    fn an_option_that_the_trust_policy_does_not_allow_is_named() {
        let tags = meaning("AccessDenied", &format!("{US} sts:TagSession on resource: R")).to_string();
        assert!(tags.contains("must allow sts:TagSession") && tags.contains("`session_tags = true`"), "{tags}");
        let source = meaning("AccessDenied", &format!("{US} sts:SetSourceIdentity on resource: R")).to_string();
        assert!(source.contains("`source_identity = true`"), "{source}");
    }

    #[test]
    fn a_signature_may_be_wrong_by_the_key_or_by_the_clock() {
        let clock = "Signature expired: 20261125T000000Z is now earlier than 20261125T001500Z";
        assert!(matches!(meaning("SignatureDoesNotMatch", clock), Error::Clock { .. }));
        assert!(matches!(meaning("SignatureDoesNotMatch", "Signature not yet current: …"), Error::Clock { .. }));
        assert!(matches!(meaning("SignatureDoesNotMatch", "The request signature we calculated"), Error::Base { .. }));
        assert!(matches!(meaning("InvalidClientTokenId", "The security token is invalid"), Error::Base { .. }));
        assert!(matches!(meaning("ExpiredToken", "The security token … is expired"), Error::Base { .. }));
    }

    #[test]
    fn each_other_refusal_has_its_error() {
        assert!(matches!(meaning("Throttling", "Rate exceeded"), Error::Throttled { .. }));
        assert!(matches!(meaning("PackedPolicyTooLarge", "108%"), Error::Policy { .. }));
        assert!(matches!(meaning("MalformedPolicyDocument", "…"), Error::Policy { .. }));
        assert!(matches!(meaning("RegionDisabledException", "…"), Error::Region { .. }));
        assert!(matches!(meaning("ValidationError", "…"), Error::Refused { .. }));
    }

    #[test]
    fn the_log_gets_words_code_and_request_id() {
        let said = meaning("ValidationError", "1 validation error detected").to_string();
        let role = "arn:aws:iam::111122223333:role/wharfinger";
        assert_eq!(said, format!("STS refused {role} (ValidationError: 1 validation error detected, request R1)"));
    }

    #[test]
    fn what_passes_by_itself_is_no_matter_of_credentials() {
        assert!(matches!(meaning("Throttling", "…").into(), store::Error::Throttled { .. }));
        assert!(matches!(Error::Unreachable { said: "…".into() }.into(), store::Error::Unreachable(_)));
        assert!(matches!(meaning("AccessDenied", "…").into(), store::Error::Credentials(_)));
    }
}
