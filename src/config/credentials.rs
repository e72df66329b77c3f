//! The `[storage.credentials]` table: an access key, or the SDK's default chain, and the vendor's role.

use super::{document::ConfigTable, secret};
use crate::account::{BaseCredentials, ExternalId, Role, RoleArn, Secret, VendorRole};

const EITHER: &str =
    "`access_key_id` with `secret_access_key_file` or `secret_access_key_env`, or `default_chain = true`";

/// Reads exactly one kind of credentials, and the vendor's role if there is one. The file never contains the secret itself.
/// `has_role` is true if the credentials only serve to assume a role; the default chain then needs no key of its own. `role` is
/// that role, unless it has a problem.
pub(super) fn read(
    table: &mut ConfigTable<'_>,
    has_role: bool,
    role: Option<&Role>,
) -> Option<(BaseCredentials, Option<VendorRole>)> {
    let before = table.report().count();
    table.refuse(
        "secret_access_key",
        "a secret doesn't belong here; put it into a file of mode 0600 that `secret_access_key_file` names, or into \
         an environment variable that `secret_access_key_env` names",
    );
    let access_key_id = table.optional::<String>("access_key_id");
    let from_file = secret::secret_file(table, "secret_access_key_file");
    let from_variable = secret::variable(table, "secret_access_key_env");
    let default_chain = table.or("default_chain", false);
    let vendor_role = vendor_role(table, has_role, role);
    if table.report().count() > before {
        return None;
    }
    let credentials = match (access_key_id, from_file, from_variable, default_chain) {
        (Some(access_key_id), Some(secret), None, false) | (Some(access_key_id), None, Some(secret), false) => {
            BaseCredentials::Static { access_key_id, secret_access_key: Secret::from(secret) }
        }
        (None, None, None, true) => BaseCredentials::DefaultChain,
        (None, None, None, false) if has_role => BaseCredentials::DefaultChain,
        (None, None, None, false) => return table.problem_here(format!("there are none; it takes {EITHER}")),
        _ => return table.problem_here(format!("they are of no single kind; it takes {EITHER}")),
    };
    if !has_role {
        warn_of_the_single_jail(table);
    }
    Some((credentials, vendor_role))
}

/// Reads `role_arn` and `external_id`. Problems are reported.
fn vendor_role(table: &mut ConfigTable<'_>, has_role: bool, role: Option<&Role>) -> Option<VendorRole> {
    let arn = table.optional::<RoleArn>("role_arn");
    let external_id = table.optional::<ExternalId>("external_id");
    if table.has("role_arn") && !has_role {
        let message = "is the vendor's role, which asks for the role in `[storage.assume_role]`, and that table is missing; the \
                       role that sessions work as belongs there";
        table.problem("role_arn", message);
    }
    if table.has("external_id") && !table.has("role_arn") {
        let message = "is that of a `role_arn` in this table, which is missing; the external ID of the tenant's role belongs into \
                       `[storage.assume_role]`";
        table.problem("external_id", message);
    }
    if role.is_some_and(|role| arn.as_ref() == Some(&role.arn)) {
        let message = "is the role in `[storage.assume_role]` too; it takes the vendor's role, which asks for that one";
        table.problem("role_arn", message);
    }
    if role.is_some_and(|role| external_id.as_ref() == Some(&role.external_id)) {
        let message = "is the external ID in `[storage.assume_role]` too; it takes one that the tenant doesn't know";
        table.problem("external_id", message);
    }
    let vendor_role = VendorRole::new(arn?, external_id);
    if vendor_role.is_err() {
        let message = "is nothing that a trust policy can admit; it takes the ARN of one role, with its account, such as \
                       \"arn:aws:iam::111122223333:role/wharfinger-tenants\"";
        table.problem("role_arn", message);
    }
    vendor_role.ok()
}

/// Warns that no session policy narrows these credentials, so that only this server's own checks keep tenants apart.
fn warn_of_the_single_jail(table: &ConfigTable<'_>) {
    let message = "these credentials are not narrowed for each session: the tenant is jailed by this server alone, so \
                   their policy should allow no more than its prefix; `[storage.assume_role]` jails it twice";
    table.report().warning(&table.here(), message);
}
