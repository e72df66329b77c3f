//! The roles of all accounts. Requests read them while calls of IAM's API change them.

use super::{AccountId, IamRole, Policy, RoleDetail, TrustPolicy};
use parking_lot::RwLock;
use std::{collections::BTreeMap, sync::Arc};

/// Limit on the roles of an account.
const MAX_ROLES: usize = 1000;
/// Limit on a trust policy, in characters that aren't white space.
const MAX_TRUST: usize = 2048;
/// Limit on all inline policies of a role together, in characters that aren't white space.
const MAX_INLINE: usize = 10_240;

/// Reason why a role can't be read or changed, in IAM's words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RoleError {
    #[error("Role with name {0} already exists.")]
    Exists(String),
    #[error("The role with name {0} cannot be found.")]
    Missing(String),
    #[error("The role policy with name {0} cannot be found.")]
    PolicyMissing(String),
    #[error("Cannot delete entity, must delete policies first.")]
    HasPolicies,
    #[error("Cannot exceed quota for RolesPerAccount: {max}", max = MAX_ROLES)]
    TooManyRoles,
    #[error("Cannot exceed quota for ACLSizePerRole: {max}", max = MAX_TRUST)]
    TrustTooLong,
    #[error("Maximum policy size of {max} bytes exceeded for role {0}", max = MAX_INLINE)]
    PoliciesTooLong(String),
}

/// The roles by ARN.
#[derive(Debug, Default)]
pub(crate) struct RoleRegister(RwLock<BTreeMap<String, Arc<RoleDetail>>>);

impl RoleRegister {
    pub(crate) fn new(roles: Vec<IamRole>) -> Self {
        let roles = roles.into_iter().map(RoleDetail::from).map(|role| (role.arn(), Arc::new(role)));
        Self(RwLock::new(roles.collect()))
    }

    /// Returns the role with this ARN, which has the role's path.
    pub(crate) fn by_arn(&self, arn: &str) -> Option<Arc<RoleDetail>> {
        self.0.read().get(arn).cloned()
    }

    /// Returns the role with this name, whatever its path is. Case doesn't matter.
    pub(crate) fn named(&self, account: &AccountId, name: &str) -> Result<Arc<RoleDetail>, RoleError> {
        let roles = self.0.read();
        let role = roles.values().find(|role| role.is_named(account, name));
        role.cloned().ok_or_else(|| RoleError::Missing(name.to_owned()))
    }

    /// Adds a role. Its name must be new in its account.
    pub(crate) fn create(&self, role: RoleDetail) -> Result<Arc<RoleDetail>, RoleError> {
        check_trust(&role.trust)?;
        let mut roles = self.0.write();
        if roles.values().any(|there| there.is_named(&role.account, &role.name)) {
            return Err(RoleError::Exists(role.name));
        }
        if roles.values().filter(|there| there.account == role.account).count() >= MAX_ROLES {
            return Err(RoleError::TooManyRoles);
        }
        let role = Arc::new(role);
        roles.insert(role.arn(), Arc::clone(&role));
        Ok(role)
    }

    /// Replaces the trust policy of a role.
    pub(crate) fn set_trust(&self, account: &AccountId, name: &str, trust: TrustPolicy) -> Result<(), RoleError> {
        check_trust(&trust)?;
        self.change(account, name, |role| {
            role.trust = trust;
            Ok(())
        })
    }

    /// Adds an inline policy to a role, or replaces the one with its name.
    pub(crate) fn put_policy(
        &self,
        account: &AccountId,
        name: &str,
        policy_name: String,
        policy: Policy,
    ) -> Result<(), RoleError> {
        self.change(account, name, |role| {
            role.inline.insert(policy_name, Arc::new(policy));
            let characters: usize = role.inline.values().map(|policy| length(policy.document())).sum();
            if characters > MAX_INLINE { Err(RoleError::PoliciesTooLong(role.name.clone())) } else { Ok(()) }
        })
    }

    /// Removes an inline policy of a role.
    pub(crate) fn remove_policy(&self, account: &AccountId, name: &str, policy_name: &str) -> Result<(), RoleError> {
        self.change(account, name, |role| match role.inline.remove(policy_name) {
            Some(_) => Ok(()),
            None => Err(RoleError::PolicyMissing(policy_name.to_owned())),
        })
    }

    /// Removes a role that has no policies. Returns its ARN.
    pub(crate) fn remove(&self, account: &AccountId, name: &str) -> Result<String, RoleError> {
        let mut roles = self.0.write();
        let found = roles.iter().find(|(_, role)| role.is_named(account, name));
        let (arn, role) = found.ok_or_else(|| RoleError::Missing(name.to_owned()))?;
        if !role.inline.is_empty() {
            return Err(RoleError::HasPolicies);
        }
        let arn = arn.clone();
        roles.remove(&arn);
        Ok(arn)
    }

    /// Changes a role, or leaves it as it is if `change` fails.
    fn change(
        &self,
        account: &AccountId,
        name: &str,
        change: impl FnOnce(&mut RoleDetail) -> Result<(), RoleError>,
    ) -> Result<(), RoleError> {
        let mut roles = self.0.write();
        let role = roles.values_mut().find(|role| role.is_named(account, name));
        let role = role.ok_or_else(|| RoleError::Missing(name.to_owned()))?;
        let mut changed = RoleDetail::clone(role);
        change(&mut changed)?;
        *role = Arc::new(changed);
        Ok(())
    }
}

fn check_trust(trust: &TrustPolicy) -> Result<(), RoleError> {
    if length(trust.document()) > MAX_TRUST { Err(RoleError::TrustTooLong) } else { Ok(()) }
}

/// Counts the characters that IAM's quotas count.
fn length(document: &str) -> usize {
    document.chars().filter(|character| !character.is_whitespace()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(account: &AccountId, name: String) -> IamRole {
        let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Principal": {"AWS": "*"},
            "Action": "sts:AssumeRole"}}"#;
        IamRole {
            account: account.clone(),
            name,
            trust: trust.parse().unwrap(),
            policy: Policy::everything(),
            max_session: IamRole::DEFAULT_MAX_SESSION,
        }
    }

    #[test]
    fn an_account_has_a_thousand_roles_at_most() {
        let [full, other] = ["444455556666", "555566667777"].map(|id| id.parse::<AccountId>().unwrap());
        let roles = RoleRegister::new((0..MAX_ROLES).map(|number| role(&full, format!("r{number}"))).collect());
        let create = |account| roles.create(role(account, "one-more".to_owned()).into()).map(|role| role.arn());
        assert_eq!(create(&full), Err(RoleError::TooManyRoles));
        assert_eq!(create(&other).unwrap(), "arn:aws:iam::555566667777:role/one-more");
        roles.remove_policy(&full, "r7", "settings").unwrap();
        roles.remove(&full, "r7").unwrap();
        assert_eq!(create(&full).unwrap(), "arn:aws:iam::444455556666:role/one-more");
    }
}
