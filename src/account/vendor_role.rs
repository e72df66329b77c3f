//! The vendor's role of a tenant with role chaining.

use super::{ExternalId, InvalidPrincipal, PrincipalArn, RoleArn};

/// The vendor's role: a role in the vendor's account that the server assumes first, and asks for the tenant's role with its
/// credentials. The tenant's role admits it instead of the server's own identity.
///
/// Source: IAM user guide, "Methods to assume a role", "Role chaining".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VendorRole {
    arn: RoleArn,
    /// The same ARN, as trust policies name it.
    principal: PrincipalArn,
    external_id: Option<ExternalId>,
}

impl VendorRole {
    /// A vendor's role, with the external ID that its own trust policy asks for, if it does.
    ///
    /// # Errors
    /// The ARN names no account or has a wildcard, so that no trust policy can admit the role.
    pub fn new(arn: RoleArn, external_id: Option<ExternalId>) -> Result<Self, InvalidPrincipal> {
        let principal = arn.as_str().parse()?;
        Ok(Self { arn, principal, external_id })
    }

    /// The ARN of the role.
    #[must_use]
    pub const fn arn(&self) -> &RoleArn {
        &self.arn
    }

    /// The role as the tenant's trust policy names it.
    #[must_use]
    pub const fn principal(&self) -> &PrincipalArn {
        &self.principal
    }

    /// The external ID that the role's own trust policy asks for, if it does.
    #[must_use]
    pub const fn external_id(&self) -> Option<&ExternalId> {
        self.external_id.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_role_is_a_principal() {
        let new = |arn: &str| VendorRole::new(arn.parse().unwrap(), None);
        let good = new("arn:aws:iam::111122223333:role/path/wharfinger-tenants").unwrap();
        assert_eq!(good.principal().to_string(), good.arn().as_str());
        for bad in ["arn:aws:iam:::role/wharfinger-tenants", "arn:aws:iam::111122223333:role/wharfinger-*"] {
            assert_eq!(new(bad), Err(InvalidPrincipal::Arn), "{bad}");
        }
    }
}
