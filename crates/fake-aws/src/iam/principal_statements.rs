//! The statements of a policy that belongs to a role or to another resource: each names its principals.

use super::{
    AccountId, AuthorizationRequest, MalformedPolicy, Principal,
    document::{OneOrMore, PolicyDocument, StatementDocument},
    pattern::Pattern,
    policy::{Evaluation, Statement},
};
use std::str::FromStr;

/// Statements with their principals.
#[derive(Clone, Debug)]
pub(super) struct PrincipalStatements(Vec<(Vec<NamedPrincipal>, Statement)>);

/// A principal that a statement names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NamedPrincipal {
    Everyone,
    /// Every principal of an account that the account itself permits.
    Account(AccountId),
    /// A user, a role, or one session of a role, by its ARN.
    One(String),
}

impl PrincipalStatements {
    /// Parses a document. `resources` parses or supplies the resources of a statement.
    pub(super) fn parse(
        text: &str,
        resources: impl Fn(Option<OneOrMore<String>>) -> Result<Vec<Pattern>, MalformedPolicy>,
    ) -> Result<Self, MalformedPolicy> {
        let statement = |raw: StatementDocument| {
            let resources = resources(raw.resource)?;
            let principals = raw.principal.ok_or(MalformedPolicy::Missing("Principal"))?.aws.filled("Principal")?;
            let principals = principals.iter().map(|name| name.parse()).collect::<Result<_, _>>()?;
            Ok((principals, Statement::parse(raw.effect, raw.action, resources, raw.condition)?))
        };
        let statements = PolicyDocument::parse(text)?.into_iter().map(statement);
        Ok(Self(statements.collect::<Result<_, MalformedPolicy>>()?))
    }

    /// Returns the verdict on a principal's request.
    pub(super) fn judge(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> Evaluation {
        self.judge_if(request, |named| named.is(principal))
    }

    /// True if the policy allows the request to everyone or to this principal by name, rather than to its account. Then the
    /// principal's own policy need not allow it within the account of the resource.
    ///
    /// Source: IAM user guide, "Policy evaluation for requests within a single account".
    pub(super) fn names(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> bool {
        let by_name = |named: &NamedPrincipal| !matches!(named, NamedPrincipal::Account(_)) && named.is(principal);
        self.judge_if(request, by_name) == Evaluation::Allowed
    }

    fn judge_if(&self, request: &AuthorizationRequest<'_>, is_meant: impl Fn(&NamedPrincipal) -> bool) -> Evaluation {
        let meant = self.0.iter().filter(|(principals, _)| principals.iter().any(&is_meant));
        Evaluation::of(meant.map(|(_, statement)| statement).filter(|statement| statement.matches(request)))
    }
}

impl NamedPrincipal {
    fn is(&self, principal: &Principal) -> bool {
        match self {
            Self::Everyone => true,
            Self::Account(account) => principal.account == *account,
            Self::One(arn) => {
                principal.arn == *arn || principal.session.as_ref().is_some_and(|session| session.role == *arn)
            }
        }
    }
}

impl FromStr for NamedPrincipal {
    type Err = MalformedPolicy;

    fn from_str(text: &str) -> Result<Self, MalformedPolicy> {
        let invalid = || MalformedPolicy::Principal(text.to_owned());
        if text == "*" {
            return Ok(Self::Everyone);
        }
        if let Ok(account) = text.parse() {
            return Ok(Self::Account(account));
        }
        let ["arn", "aws", service, "", account, name] = text.split(':').collect::<Vec<_>>()[..] else {
            return Err(invalid());
        };
        let account: AccountId = account.parse().map_err(|_| invalid())?;
        let whole = !name.contains(['*', '?']) && name.split('/').all(|part| !part.is_empty());
        match (service, name.split_once('/')) {
            ("iam", None) if name == "root" => Ok(Self::Account(account)),
            ("iam", Some(("user" | "role", _))) | ("sts", Some(("assumed-role", _))) if whole => {
                Ok(Self::One(text.to_owned()))
            }
            _ => Err(invalid()),
        }
    }
}
