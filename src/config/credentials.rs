//! The `[storage.credentials]` table: an access key, or the SDK's default chain.

use super::{document::ConfigTable, secret};
use crate::account::{BaseCredentials, Secret};

const EITHER: &str =
    "`access_key_id` with `secret_access_key_file` or `secret_access_key_env`, or `default_chain = true`";

/// Reads exactly one kind of credentials. The file never contains the secret itself. `has_role` is true if the
/// credentials only serve to assume a role; the default chain then needs no key of its own.
pub(super) fn read(table: &mut ConfigTable<'_>, has_role: bool) -> Option<BaseCredentials> {
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
    Some(credentials)
}

/// Warns that no session policy narrows these credentials, so that only this server's own checks keep tenants apart.
fn warn_of_the_single_jail(table: &ConfigTable<'_>) {
    let message = "these credentials are not narrowed for each session: the tenant is jailed by this server alone, so \
                   their policy should allow no more than its prefix; `[storage.assume_role]` jails it twice";
    table.report().warning(&table.here(), message);
}
