//! STS's refusals: their meaning, and the operator's remedy for each.
//!
//! AWS reveals which policy denied a request only within one account. Across accounts it doesn't. There the message
//! lists all conditions that must hold, with the names that apply.
//!
//! Sources: IAM user guide, "Troubleshoot access denied error messages"; STS API reference, AssumeRole and "Common
//! errors".

use super::{ChainLink, RoleRequest};
use crate::{
    account::RoleArn,
    store::{self, is_credentials, reasons},
};
use aws_sdk_sts::{
    config::http::HttpResponse,
    error::SdkError,
    operation::{RequestId as _, assume_role::AssumeRoleError},
};

/// The reason why a role could not be assumed. Messages are for the operator. They contain no secret and no external
/// ID.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The role's trust policy, or its side, denied the request.
    #[error(
        "the trust policy of {role} refuses us: it must name the principal that STS names here, and what its condition \
         on sts:ExternalId wants must be the `external_id` in `[{}]` ({said})",
        .link.table()
    )]
    Untrusted {
        role: RoleArn,
        link: ChainLink,
        /// STS's words.
        said: String,
    },
    /// The policies of the credentials that asked denied the request.
    #[error("{} lack a permission: their policy must allow sts:AssumeRole on {role} ({said})", .link.credentials())]
    NotPermitted {
        role: RoleArn,
        link: ChainLink,
        /// STS's words.
        said: String,
    },
    /// One of the two sides denied the request, and AWS doesn't tell which.
    #[error(
        "{role} can't be assumed, and across accounts AWS doesn't say why. Check that (1) the role exists; (2) its trust \
         policy allows sts:AssumeRole to the principal that STS names here; (3) what its condition on sts:ExternalId wants \
         is the `external_id` in `[{}]`; (4) that principal's own policy allows sts:AssumeRole on the role ({said})",
        .link.table()
    )]
    Denied {
        role: RoleArn,
        link: ChainLink,
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
    /// The session of the credentials that asked has transitive tags or a source identity, which the new session inherits,
    /// and the policies don't allow that.
    #[error(
        "{} carry {inherited} that the tenant's file doesn't ask for: their policy and the trust policy of {role} must allow \
         {action} ({said})",
        .link.credentials()
    )]
    Inherited {
        role: RoleArn,
        link: ChainLink,
        /// The name of the tags or the source identity.
        inherited: &'static str,
        /// `sts:TagSession` or `sts:SetSourceIdentity`.
        action: &'static str,
        /// STS's words.
        said: String,
    },
    /// The credentials that asked are not valid, or no longer.
    #[error("{} are not valid: the access key or the token that we ask STS with ({said})", .link.credentials())]
    Base {
        link: ChainLink,
        /// STS's words.
        said: String,
    },
    /// There are no credentials to ask with.
    #[error("we have no credentials {} to ask STS with ({said})", .link.owner())]
    NoBase {
        link: ChainLink,
        /// The answer of the default chain, or the failure of the vendor's role.
        said: String,
    },
    /// The two clocks differ by more than AWS accepts.
    #[error("this machine's clock differs from that of STS: set it right, by NTP ({said})")]
    Clock {
        /// STS's words, or what its answer shows.
        said: String,
    },
    /// STS rejects the session policy.
    #[error("STS doesn't take the session policy of {} ({said})", .link.narrowed())]
    Policy {
        link: ChainLink,
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
    /// One of two roles failed, of which the second is assumed with the credentials of the first.
    #[error("of two roles in a chain {role}, the one in `[{}]`, failed: {error}", .link.table())]
    Chained { role: RoleArn, link: ChainLink, error: Box<Self> },
}

impl Error {
    /// The failure of `request`, without its place in a chain.
    pub(super) fn of(request: RoleRequest<'_>, error: &SdkError<AssumeRoleError, HttpResponse>) -> Self {
        let RoleRequest { role, link, .. } = request;
        match error {
            SdkError::ServiceError(refusal) => {
                let (meta, status) = (refusal.err().meta(), refusal.raw().status().as_u16());
                StsRefusal {
                    code: meta.code().unwrap_or_default(),
                    message: meta.message().unwrap_or_default(),
                    status,
                    request: error.request_id().unwrap_or_default(),
                }
                .meaning(request)
            }
            SdkError::ResponseError(answer) if answer.raw().status().is_server_error() => {
                Self::Unreachable { said: reasons(error) }
            }
            SdkError::ResponseError(_) => Self::Refused { role: role.clone(), said: reasons(error) },
            _ if is_credentials(error) => Self::NoBase { link, said: reasons(error) },
            _ => Self::Unreachable { said: reasons(error) },
        }
    }

    /// The failure without the role of two that failed.
    pub(in crate::cloud) fn cause(&self) -> &Self {
        match self {
            Self::Chained { error, .. } => error,
            error => error,
        }
    }
}

impl From<Error> for store::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Throttled { said } => Self::Throttled { request: said },
            Error::Unreachable { said } => Self::Unreachable(format!("STS: {said}")),
            Error::Chained { role, link, error } => {
                let which = format!("{role}, the one in `[{}]`", link.table());
                match *error {
                    Error::Throttled { said } => Self::Throttled { request: format!("STS, for {which}: {said}") },
                    Error::Unreachable { said } => Self::Unreachable(format!("STS, for {which}: {said}")),
                    _ => Self::Credentials(Error::Chained { role, link, error }.to_string()),
                }
            }
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
    fn meaning(self, request: RoleRequest<'_>) -> Error {
        let (link, said) = (request.link, self.said());
        match self.code {
            "AccessDenied" | "AccessDeniedException" => self.denial(request, said),
            "SignatureDoesNotMatch" | "RequestExpired" if self.is_about_time() => Error::Clock { said },
            "InvalidClientTokenId"
            | "UnrecognizedClientException"
            | "SignatureDoesNotMatch"
            | "IncompleteSignature"
            | "ExpiredToken"
            | "ExpiredTokenException"
            | "InvalidAccessKeyId"
            | "MissingAuthenticationToken"
            | "OptInRequired" => Error::Base { link, said },
            "PackedPolicyTooLarge"
            | "PackedPolicyTooLargeException"
            | "MalformedPolicyDocument"
            | "MalformedPolicyDocumentException" => Error::Policy { link, said },
            "RegionDisabledException" => Error::Region { said },
            "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "SlowDown" | "TooManyRequestsException" => {
                Error::Throttled { said }
            }
            _ if self.status == 429 => Error::Throttled { said },
            _ if self.status >= 500 => Error::Unreachable { said },
            _ => Error::Refused { role: request.role.clone(), said },
        }
    }

    fn denial(self, request: RoleRequest<'_>, said: String) -> Error {
        let says = |words: &[&str]| words.iter().any(|words| self.message.contains(words));
        let (role, link) = (request.role.clone(), request.link);
        let options = [
            (request.has_tags, "sts:TagSession", "session_tags", "tags"),
            (request.has_source_identity, "sts:SetSourceIdentity", "source_identity", "a source identity"),
        ];
        match options.into_iter().find(|(_, action, ..)| says(&[action])) {
            Some((true, action, key, _)) => Error::OptIn { role, action, key, said },
            Some((false, action, _, inherited)) => Error::Inherited { role, link, inherited, action, said },
            None if says(&[
                "identity-based policy",
                "permissions boundary",
                "service control policy",
                "session policy",
            ]) =>
            {
                Error::NotPermitted { role, link, said }
            }
            None if says(&["trust policy", "resource-based policy", "resource control policy"]) => {
                Error::Untrusted { role, link, said }
            }
            None => Error::Denied { role, link, said },
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

    const ROLE: &str = "arn:aws:iam::111122223333:role/wharfinger";

    fn meaning(code: &str, message: &str) -> Error {
        let refusal = StsRefusal { code, message, status: 403, request: "R1" };
        refused(refusal, ChainLink::Direct, true)
    }

    /// The error of a request for a role, with tags and a source identity if `has_options`.
    fn refused(refusal: StsRefusal<'_>, link: ChainLink, has_options: bool) -> Error {
        let role = &ROLE.parse().unwrap();
        let request = RoleRequest { role, link, has_tags: has_options, has_source_identity: has_options };
        request.in_chain(refusal.meaning(request))
    }

    fn chained(link: ChainLink, code: &str, message: &str) -> Error {
        refused(StsRefusal { code, message, status: 403, request: "R1" }, link, false)
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
        assert_eq!(said, format!("STS refused {ROLE} (ValidationError: 1 validation error detected, request R1)"));
    }

    #[test]
    fn what_passes_by_itself_is_no_matter_of_credentials() {
        assert!(matches!(meaning("Throttling", "…").into(), store::Error::Throttled { .. }));
        assert!(matches!(Error::Unreachable { said: "…".into() }.into(), store::Error::Unreachable(_)));
        assert!(matches!(meaning("AccessDenied", "…").into(), store::Error::Credentials(_)));
    }

    #[test]
    fn tags_that_the_file_does_not_ask_for_are_those_of_the_session_that_asks() {
        let said = |link, action| chained(link, "AccessDenied", &format!("{US} {action} on resource: R")).to_string();
        let tags = said(ChainLink::Direct, "sts:TagSession");
        let wanted = format!(
            "our own credentials carry tags that the tenant's file doesn't ask for: their policy and the trust policy of {ROLE} \
             must allow sts:TagSession"
        );
        assert!(tags.starts_with(&wanted), "{tags}");
        let identity = said(ChainLink::Tenant, "sts:SetSourceIdentity");
        assert!(identity.contains("the credentials of the vendor's role carry a source identity that"), "{identity}");
        assert!(!identity.contains("source_identity = true"), "{identity}");
    }

    #[test]
    fn an_error_in_a_chain_says_which_credentials_asked_and_which_table_names_the_role() {
        let (vendor, tenant) = (ChainLink::Vendor, ChainLink::Tenant);
        let lacking = format!("{US} sts:AssumeRole on resource: R because no identity-based policy allows it");
        for (link, code, message, table, words) in [
            (vendor, "AccessDenied", &*lacking, "storage.credentials", "our own credentials lack a permission"),
            (
                tenant,
                "AccessDenied",
                &lacking,
                "storage.assume_role",
                "the credentials of the vendor's role lack a permission",
            ),
            (vendor, "AccessDenied", "", "storage.credentials", "is the `external_id` in `[storage.credentials]`"),
            (tenant, "AccessDenied", "", "storage.assume_role", "is the `external_id` in `[storage.assume_role]`"),
            (vendor, "ExpiredToken", "", "storage.credentials", "our own credentials are not valid"),
            (tenant, "ExpiredToken", "", "storage.assume_role", "the credentials of the vendor's role are not valid"),
            (
                vendor,
                "PackedPolicyTooLarge",
                "",
                "storage.credentials",
                "the session policy of the vendor's role; fewer tags",
            ),
            (
                tenant,
                "PackedPolicyTooLarge",
                "",
                "storage.assume_role",
                "the session policy of this mount; a shorter prefix",
            ),
        ] {
            let error = chained(link, code, message);
            let begin = format!("of two roles in a chain {ROLE}, the one in `[{table}]`, failed: ");
            let said = error.to_string();
            assert!(said.starts_with(&begin) && said.contains(words), "{said}");
            assert!(matches!(error.into(), store::Error::Credentials(text) if text == said));
        }
    }

    #[test]
    fn a_chain_that_may_be_tried_again_keeps_the_role_and_the_table() {
        let in_table = format!("{ROLE}, the one in `[storage.credentials]`");
        let throttled = chained(ChainLink::Vendor, "Throttling", "Rate exceeded").into();
        assert!(
            matches!(&throttled, store::Error::Throttled { request } if request.contains(&in_table)),
            "{throttled:?}"
        );
        let down = StsRefusal { code: "", message: "", status: 503, request: "" };
        let unreachable = refused(down, ChainLink::Vendor, false).into();
        assert!(matches!(&unreachable, store::Error::Unreachable(said) if said.contains(&in_table)), "{unreachable:?}");
    }
}
