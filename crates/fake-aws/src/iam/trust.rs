//! A role's trust policy: the principals that may assume it, and under which conditions.

use super::{
    AuthorizationRequest, MalformedPolicy, Principal, pattern::Pattern, policy::Evaluation,
    principal_statements::PrincipalStatements,
};
use std::str::FromStr;

/// A trust policy parsed from its JSON text.
#[derive(Clone, Debug)]
pub struct TrustPolicy {
    document: String,
    statements: PrincipalStatements,
}

impl TrustPolicy {
    /// The text of the policy.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// Returns the policy's verdict on a principal's request.
    pub(crate) fn judge(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> Evaluation {
        self.statements.judge(principal, request)
    }

    /// True if the policy allows the request to everyone or to this principal by name, rather than to its account. Then the
    /// principal's own policy need not allow it within the role's account.
    pub(crate) fn names(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> bool {
        self.statements.names(principal, request)
    }
}

impl FromStr for TrustPolicy {
    type Err = MalformedPolicy;

    fn from_str(text: &str) -> Result<Self, MalformedPolicy> {
        let statements = PrincipalStatements::parse(text, |resource| match resource {
            // The resource of a trust policy is implicitly its own role.
            None => Ok(vec![Pattern::everything()]),
            Some(_) => Err(MalformedPolicy::Prohibited("Resource")),
        })?;
        Ok(Self { document: text.to_owned(), statements })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iam::{IamRole, IamUser, Policy, RequestContext, RoleDetail};

    fn trust(principal: &str) -> String {
        format!(
            r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Principal": {{"AWS": {principal}}},
                "Action": "sts:AssumeRole", "Condition": {{"StringEquals": {{"sts:ExternalId": "x-1"}}}}}}}}"#
        )
    }

    fn user(account: &str) -> Principal {
        IamUser {
            account: account.parse().unwrap(),
            name: "u".to_owned(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            policy: Policy::everything(),
        }
        .principal()
    }

    fn trusts(policy: &str, principal: &Principal, external_id: Option<&str>) -> bool {
        let context = RequestContext::default().with("sts:ExternalId", external_id);
        let request =
            AuthorizationRequest { action: "sts:AssumeRole", resource: "arn:aws:iam::1:role/r", context: &context };
        policy.parse::<TrustPolicy>().unwrap().judge(principal, &request) == Evaluation::Allowed
    }

    #[test]
    fn who_is_meant_is_trusted_and_no_other() {
        let [ours, theirs] = ["111122223333", "444455556666"].map(user);
        let id = Some("x-1");
        for principal in
            [r#""111122223333""#, r#""arn:aws:iam::111122223333:root""#, r#"["arn:aws:iam::111122223333:user/u"]"#]
        {
            assert!(trusts(&trust(principal), &ours, id) && !trusts(&trust(principal), &theirs, id), "{principal}");
        }
        assert!(trusts(&trust(r#""*""#), &theirs, id));
        assert!(!trusts(&trust(r#""arn:aws:iam::111122223333:user/other""#), &ours, id));

        let role = IamRole {
            account: "111122223333".parse().unwrap(),
            name: "r".to_owned(),
            trust: trust(r#""*""#).parse().unwrap(),
            policy: Policy::everything(),
            max_session: IamRole::DEFAULT_MAX_SESSION,
        };
        let session = RoleDetail::from(role).session("s", None, None);
        for principal in ["arn:aws:iam::111122223333:role/r", "arn:aws:sts::111122223333:assumed-role/r/s"] {
            let policy = trust(&format!("{principal:?}"));
            assert!(trusts(&policy, &session, id) && !trusts(&policy, &ours, id), "{principal}");
        }
        assert!(!trusts(&trust(r#""arn:aws:sts::111122223333:assumed-role/r/other""#), &session, id));
    }

    #[test]
    fn the_external_id_must_be_there_and_right() {
        let ours = user("111122223333");
        for wrong in [None, Some(""), Some("x-2"), Some("X-1"), Some("x-1 ")] {
            assert!(!trusts(&trust(r#""111122223333""#), &ours, wrong), "{wrong:?}");
        }
    }

    #[test]
    fn an_external_id_that_must_be_right_if_it_is_there_may_be_missing() {
        let (ours, policy) = (user("111122223333"), trust(r#""111122223333""#).replace("Equals", "EqualsIfExists"));
        for (external_id, is_trusted) in [(None, true), (Some("x-1"), true), (Some("x-2"), false), (Some(""), false)] {
            assert_eq!(trusts(&policy, &ours, external_id), is_trusted, "{external_id:?}");
        }
    }

    #[test]
    fn everyone_may_be_written_without_a_kind() {
        let policy = trust("\"*\"").replace(r#"{"AWS": "*"}"#, "\"*\"");
        assert!(trusts(&policy, &user("444455556666"), Some("x-1")) && !trusts(&policy, &user("444455556666"), None));
        let account = policy.replace("\"Principal\": \"*\"", "\"Principal\": \"444455556666\"");
        let refused = account.parse::<TrustPolicy>().unwrap_err().to_string();
        assert!(refused.contains("expected \"*\" or a map of principals"), "{refused}");
    }

    #[test]
    fn odd_principals_are_refused() {
        for odd in
            ["", "arn:aws:iam::1:root", "arn:aws:iam::111122223333:user/*", "arn:aws:iam::111122223333:user/", "me"]
        {
            let refused = trust(&format!("{odd:?}")).parse::<TrustPolicy>();
            assert_eq!(refused.unwrap_err(), MalformedPolicy::Principal(odd.to_owned()));
        }
        let refused = |text: String| text.parse::<TrustPolicy>().unwrap_err().to_string();
        assert!(refused(trust("\"*\"").replace("AWS", "Service")).contains("unknown field `Service`"));
        let with_resource = trust("\"*\"").replace("\"Effect\"", "\"Resource\": \"*\", \"Effect\"");
        assert_eq!(refused(with_resource), "Has prohibited field Resource");
        let nobody = trust("\"*\"").replace(r#""Principal": {"AWS": "*"},"#, "");
        assert_eq!(refused(nobody), "Missing required field Principal");
    }
}
