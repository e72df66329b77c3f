//! Performs calls about a role of the caller's account.

use super::{answer, call::RoleOperation, error::Error};
use crate::{
    iam::{AuthorizationRequest, Principal, RequestContext, RoleDetail, RoleError, RoleRegister},
    sts::{self, Sts},
};
use std::collections::BTreeMap;

/// A call by an authenticated principal.
#[derive(Debug)]
pub(crate) struct RoleCall<'a> {
    pub(crate) sts: &'a Sts,
    pub(crate) caller: &'a Principal,
    pub(crate) action: &'a str,
    /// The name of the role.
    pub(crate) name: String,
}

impl RoleCall<'_> {
    /// Performs the call if the caller may. Returns the answer.
    pub(super) fn answer(self, operation: RoleOperation) -> Result<String, Error> {
        let (roles, account, name) = (&self.sts.register.roles, &self.caller.account, self.name.as_str());
        self.permit(roles, &operation)?;
        match operation {
            RoleOperation::Create { path, trust, max_session } => {
                let role = RoleDetail {
                    account: account.clone(),
                    path,
                    name: name.to_owned(),
                    created: self.sts.clock.now(),
                    trust,
                    inline: BTreeMap::new(),
                    max_session,
                };
                let role = roles.create(role)?;
                answer::role(self.action, &role)
            }
            RoleOperation::Get => {
                let role = roles.named(account, name)?;
                answer::role(self.action, &role)
            }
            RoleOperation::SetTrust(trust) => {
                roles.set_trust(account, name, trust)?;
                Ok(answer::done(self.action))
            }
            RoleOperation::PutPolicy { policy_name, policy } => {
                roles.put_policy(account, name, policy_name, policy)?;
                Ok(answer::done(self.action))
            }
            RoleOperation::ReadPolicy { policy_name } => {
                let role = roles.named(account, name)?;
                let policy = role.inline.get(&policy_name);
                let policy = policy.ok_or_else(|| RoleError::PolicyMissing(policy_name.clone()))?;
                Ok(answer::policy(self.action, &role.name, &policy_name, policy))
            }
            RoleOperation::RemovePolicy { policy_name } => {
                roles.remove_policy(account, name, &policy_name)?;
                Ok(answer::done(self.action))
            }
            RoleOperation::Remove => {
                let arn = roles.remove(account, name)?;
                // A new role of the same name doesn't bring the sessions of this one back.
                self.sts.revoke_sessions(&arn);
                Ok(answer::done(self.action))
            }
        }
    }

    /// Checks that the caller's own policy allows the action on the role, whether it exists or not.
    fn permit(&self, roles: &RoleRegister, operation: &RoleOperation) -> Result<(), sts::Error> {
        let account = &self.caller.account;
        let path = match operation {
            RoleOperation::Create { path, .. } => path.as_str(),
            _ => "/",
        };
        let new = || format!("arn:aws:iam::{account}:role{path}{}", self.name);
        let resource = match operation {
            RoleOperation::Create { .. } => new(),
            _ => roles.named(account, &self.name).map_or_else(|_| new(), |role| role.arn()),
        };
        let (action, context) = (format!("iam:{}", self.action), RequestContext::default());
        let request = AuthorizationRequest { action: &action, resource: &resource, context: &context };
        self.caller.decide(&request).map_err(|denial| sts::Error::AccessDenied(denial.to_string()))
    }
}
