//! AWS's sentence that tells a principal why its request was denied.

use super::{AuthorizationRequest, policy::Evaluation};

/// A denial that the principal itself may read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("User: {arn} is not authorized to perform: {action} on resource: {resource}{reason}")]
pub(crate) struct AccessDenial {
    arn: String,
    action: String,
    resource: String,
    reason: String,
}

impl AccessDenial {
    /// A denial of the principal with this ARN, without a reason, as AWS answers across accounts.
    pub(crate) fn unexplained(arn: &str, request: &AuthorizationRequest<'_>) -> Self {
        Self {
            arn: arn.to_owned(),
            action: request.action.to_owned(),
            resource: request.resource.to_owned(),
            reason: String::new(),
        }
    }

    /// Returns a denial by a kind of policy (`session policy`), or `None` if that policy allows the request.
    pub(crate) fn by(kind: &str, verdict: Evaluation, arn: &str, request: &AuthorizationRequest<'_>) -> Option<Self> {
        let reason = match verdict {
            Evaluation::Allowed => return None,
            Evaluation::Unmentioned => format!(" because no {kind} allows the {} action", request.action),
            Evaluation::Denied => format!(" with an explicit deny in a {kind}"),
        };
        Some(Self { reason, ..Self::unexplained(arn, request) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::{IamRole, IamUser, Policy, Principal, RequestContext, RoleDetail, TrustPolicy};

    const P_ONLY: &str = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject"], "Resource": "arn:aws:s3:::b/p/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::b",
         "Condition": {"StringLike": {"s3:prefix": ["p/*"]}}}
    ]}"#;

    fn user(policy: &str) -> Principal {
        let user = IamUser {
            account: "111122223333".parse().unwrap(),
            name: "u".to_owned(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            policy: policy.parse().unwrap(),
        };
        user.principal()
    }

    fn session(policy: &str) -> Principal {
        let role = IamRole {
            account: "111122223333".parse().unwrap(),
            name: "r".to_owned(),
            trust: r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"},
                "Action": "sts:AssumeRole"}}"#
                .parse::<TrustPolicy>()
                .unwrap(),
            policy: Policy::everything(),
            max_session: IamRole::DEFAULT_MAX_SESSION,
        };
        RoleDetail::from(role).session("s", Some(policy.parse().unwrap()), None)
    }

    fn may(principal: &Principal, action: &str, resource: &str, prefix: Option<&str>) -> bool {
        let context = RequestContext::default().with("s3:prefix", prefix);
        principal.decide(&AuthorizationRequest { action, resource, context: &context }).is_ok()
    }

    #[test]
    fn a_policy_reaches_what_it_names_and_nothing_else() {
        for principal in [user(P_ONLY), session(P_ONLY)] {
            let may = |action, key: &str| may(&principal, action, &format!("arn:aws:s3:::{key}"), None);
            assert!(may("s3:GetObject", "b/p/a") && may("s3:PutObject", "b/p/") && may("s3:getobject", "b/p/a"));
            for key in ["b/p", "b/p-x/a", "b/a", "b", "c/p/a", "b/P/a"] {
                assert!(!may("s3:GetObject", key), "{key}");
            }
            assert!(!may("s3:DeleteObject", "b/p/a"));
        }
    }

    #[test]
    fn a_list_without_a_prefix_or_with_another_is_denied() {
        let list = |policy: &str, prefix| may(&session(policy), "s3:ListBucket", "arn:aws:s3:::b", prefix);
        assert!(list(P_ONLY, Some("p/")) && list(P_ONLY, Some("p/q")));
        for prefix in [None, Some(""), Some("p"), Some("p-x/"), Some("P/")] {
            assert!(!list(P_ONLY, prefix), "{prefix:?}");
        }
        let unconditional = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:ListBucket",
            "Resource": "arn:aws:s3:::b"}}"#;
        assert!(list(unconditional, None) && list(unconditional, Some("p-x/")), "without a condition, all is listed");
        let equal = P_ONLY.replace("StringLike", "StringEquals");
        assert!(list(&equal, Some("p/*")) && !list(&equal, Some("p/")));
        let absent = P_ONLY.replace(r#""StringLike": {"s3:prefix": ["p/*"]}"#, r#""Null": {"s3:prefix": "true"}"#);
        assert!(list(&absent, None) && !list(&absent, Some("p/")));
        let present = absent.replace("\"true\"", "\"false\"");
        assert!(!list(&present, None) && list(&present, Some("p-x/")));
    }

    #[test]
    fn a_key_that_must_differ_may_be_absent() {
        let policy = P_ONLY
            .replace(r#""StringLike": {"s3:prefix": ["p/*"]}"#, r#""StringNotEquals": {"s3:prefix": ["p/*", "q"]}"#);
        let list = |prefix| may(&user(&policy), "s3:ListBucket", "arn:aws:s3:::b", prefix);
        assert!(list(None) && list(Some("p/")) && list(Some("")));
        assert!(!list(Some("q")) && !list(Some("p/*")));
    }

    #[test]
    fn all_conditions_of_a_statement_must_hold() {
        let both = P_ONLY.replace(
            r#"{"StringLike": {"s3:prefix": ["p/*"]}}"#,
            r#"{"StringLike": {"s3:prefix": "p/*"}, "StringEquals": {"S3:Delimiter": "/"}}"#,
        );
        let list = |delimiter: Option<&str>| {
            let context = RequestContext::default().with("s3:prefix", Some("p/")).with("s3:delimiter", delimiter);
            let request =
                AuthorizationRequest { action: "s3:ListBucket", resource: "arn:aws:s3:::b", context: &context };
            session(&both).decide(&request).is_ok()
        };
        assert!(list(Some("/")) && !list(Some("-")) && !list(None));
    }

    #[test]
    fn an_explicit_deny_wins_wherever_it_stands() {
        let deny = r#"{"Effect": "Deny", "Action": "s3:Put*", "Resource": "arn:aws:s3:::b/p/*"}"#;
        let allow = r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#;
        for statements in [format!("{deny}, {allow}"), format!("{allow}, {deny}")] {
            let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{statements}]}}"#);
            for principal in [user(&policy), session(&policy)] {
                assert!(may(&principal, "s3:GetObject", "arn:aws:s3:::b/p/a", None));
                assert!(!may(&principal, "s3:PutObject", "arn:aws:s3:::b/p/a", None));
            }
        }
    }

    #[test]
    fn a_denial_says_which_policy_was_missing() {
        let request = AuthorizationRequest {
            action: "s3:GetObject",
            resource: "arn:aws:s3:::b/x",
            context: &RequestContext::default(),
        };
        let sentence = |principal: Principal| principal.decide(&request).unwrap_err().to_string();
        assert_eq!(
            sentence(user(P_ONLY)),
            "User: arn:aws:iam::111122223333:user/u is not authorized to perform: s3:GetObject on resource: \
             arn:aws:s3:::b/x because no identity-based policy allows the s3:GetObject action"
        );
        assert_eq!(
            sentence(session(P_ONLY)),
            "User: arn:aws:sts::111122223333:assumed-role/r/s is not authorized to perform: s3:GetObject on resource: \
             arn:aws:s3:::b/x because no session policy allows the s3:GetObject action"
        );
        let deny = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Deny", "Action": "*", "Resource": "*"}}"#;
        assert!(sentence(session(deny)).ends_with(" with an explicit deny in a session policy"));
    }
}
