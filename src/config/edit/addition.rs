//! The comparison of a tenant to add with all others. It is stricter than the check of the config, which accepts tenants
//! that share a role, and prefixes of tenants that have no users yet.

use super::{error::EditError, new_tenant::NewTenant};
use crate::{
    config::{Problem, reading::TenantFile},
    name::{BucketId, Prefix},
};

/// Requires that no other tenant has the role, the external ID or a part of the prefix. Returns a warning for each file that
/// has a problem: it may have more than could be read.
///
/// # Errors
/// Another tenant has one of them.
pub(super) fn require_apart(new: &NewTenant, files: &[TenantFile]) -> Result<Vec<Problem>, EditError> {
    let mut warnings = Vec::new();
    for file in files {
        // No tenant can have such a name, so that none is served from the file.
        let Some(tenant) = &file.name else { continue };
        if let (Some(role), Some((arn, external_id))) = (&new.storage.role, file.claims.role()) {
            if role.arn == *arn {
                return Err(EditError::RoleOfAnother { role: arn.clone(), tenant: tenant.clone() });
            }
            if role.external_id == *external_id {
                return Err(EditError::ExternalIdOfAnother { tenant: tenant.clone() });
            }
        }
        let (bucket, prefix) = (new.storage.bucket_id(), &new.storage.prefix);
        let own = file.setup.as_ref().map(|setup| (&setup.storage.id, &setup.storage.prefix));
        let overlaps =
            |(id, other): &(&BucketId, &Prefix)| **id == bucket && (prefix.contains(other) || other.contains(prefix));
        if let Some((_, other)) = own.into_iter().chain(file.claims.prefixes()).find(overlaps) {
            let (prefix, other, tenant) = (prefix.clone(), other.clone(), tenant.clone());
            return Err(EditError::PrefixOfAnother { prefix, other, tenant });
        }
        if file.setup.is_none() {
            let message = "has a problem, so that its role, external ID and prefix may be those of the new tenant: \
                           `wharfinger check` prints the problem"
                .to_owned();
            warnings.push(Problem { file: file.path.clone(), line: None, key: String::new(), message });
        }
    }
    Ok(warnings)
}
