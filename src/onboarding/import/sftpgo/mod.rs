//! SFTPGo: users whose files are on S3.

mod dump;
mod lost;
mod permissions;
mod tree;

use super::{
    export_file::{ExportFile, ImportError},
    keys::usable_keys,
    plan::{ImportPlan, ImportedUser, TenantSite, UsersBySite, quoted},
};
use crate::account::PasswordHash;
use dump::{SftpgoDump, SftpgoUser};
use lost::LostSettings;
use std::collections::BTreeSet;
use tree::SftpgoTree;

/// The type of a group whose members inherit nothing.
const MEMBER: i64 = 3;

/// The name of SFTP in lists of protocols.
const SSH: &str = "SSH";

/// The beginnings of hashes that only SFTPGo can check.
const OTHER_HASHES: [(&str, &str); 10] = [
    ("$2", "bcrypt"),
    ("$pbkdf2-", "pbkdf2"),
    ("$1$", "md5crypt"),
    ("$apr1$", "md5crypt"),
    ("$5$", "sha256crypt"),
    ("$6$", "sha512crypt"),
    ("$y$", "yescrypt"),
    ("{MD5}", "MD5"),
    ("{SHA256}", "SHA-256"),
    ("{SHA512}", "SHA-512"),
];

pub(super) fn plan(file: &ExportFile, region: Option<&str>) -> Result<ImportPlan, ImportError> {
    let wanted =
        "it takes a dump of SFTPGo, as `/api/v2/dumpdata` and the page Maintenance give it: {\"users\": […], …}";
    let nothing = || ImportError::Nothing { file: file.name.clone(), wanted };
    let [mut dump] = <[SftpgoDump; 1]>::try_from(file.documents()?).map_err(|_| nothing())?;
    let users = dump.users.take().ok_or_else(nothing)?;
    let mut names = BTreeSet::new();
    if let Some(twice) = users.iter().find(|user| !names.insert(&user.username)) {
        return Err(ImportError::UserTwice { file: file.name.clone(), user: twice.username.clone() });
    }
    let mut notes = Vec::new();
    let (mut sites, mut all_lost) = (UsersBySite::default(), LostSettings::default());
    for user in &users {
        let mut lost = LostSettings::default();
        match imported(user, &dump, region, &mut lost, &mut notes) {
            Ok((site, imported)) => {
                sites.push(site, imported);
                all_lost.extend(&user.username, lost);
            }
            Err(reason) => notes.push(format!("{} is left out: {reason}", quoted(&user.username))),
        }
    }
    notes.extend(all_lost.notes());
    note_server(&dump, &mut notes);
    let mut plan = sites.into_plan(notes);
    for tenant in &plan.tenants {
        if tenant.access_key().is_none() && tenant.site.role.is_none() {
            plan.notes.push(format!(
                "the tenant `{}` has neither a role nor an access key: SFTPGo's host reached the bucket with an identity of \
                 its own, and here this server's identity must be allowed to",
                tenant.name
            ));
        }
        if let Some((key, file)) = tenant.access_key() {
            plan.notes.push(format!(
                "the dump has the secret of the access key {} only encrypted: write it to `{file}` in the tenants' directory, \
                 with mode 0600, before the import",
                quoted(key)
            ));
        }
    }
    Ok(plan)
}

/// Returns the user and its site, or the end of the sentence about a user that can't be imported.
fn imported(
    user: &SftpgoUser,
    dump: &SftpgoDump,
    region: Option<&str>,
    lost: &mut LostSettings,
    notes: &mut Vec<String>,
) -> Result<(TenantSite, ImportedUser), String> {
    let name = user.username.parse().map_err(|error| format!("{error}"))?;
    if let Some(group) = user.groups.iter().find(|group| group.kind != MEMBER) {
        return Err(format!(
            "it has settings of the group {}, which are not imported: give it its own, or add it by hand",
            quoted(&group.name)
        ));
    }
    if user.filters.is_anonymous {
        return Err("it is anonymous, and needs no credential".into());
    }
    let SftpgoTree { site, mounts, landing } = SftpgoTree::of(user, &dump.folders, region, lost)?;
    let is_allowed = |method: &str| !user.filters.denied_login_methods.iter().any(|denied| denied == method);
    let mut keys = Vec::new();
    if is_allowed("publickey") {
        keys = usable_keys(&user.username, user.public_keys.iter(), notes);
    }
    let has_password = !user.password.is_empty() && is_allowed("password") && is_allowed("password-over-SSH");
    let password = if has_password { hash(&user.password).map(Some) } else { Ok(None) };
    match (&password, keys.is_empty()) {
        (Ok(None), true) => {
            return Err("it has no key and no password that it may log in with alone: a user here needs one".into());
        }
        (Err(reason), true) => {
            return Err(format!("{reason}, and it has no key: it needs a new password or a key"));
        }
        (Err(reason), false) => notes.push(format!(
            "{} is imported with its keys alone: {reason}; `wharfinger user password {name}` sets a new one",
            quoted(&user.username)
        )),
        (Ok(_), _) => {}
    }
    let password_hash = password.unwrap_or_default();
    let restrictions = restrictions(user, password_hash.is_some());
    if !restrictions.is_empty() {
        notes.push(format!(
            "{} is disabled: there is no counterpart of {}; if it may log in without: `wharfinger user enable {name}`",
            quoted(&user.username),
            restrictions.join(", ")
        ));
    }
    let is_enabled = user.status == 1;
    if !is_enabled {
        notes.push(format!("{} is disabled, as it was", quoted(&user.username)));
    }
    limits(user).for_each(|limit| lost.push(&format!("the limit `{limit}`")));
    let enabled = is_enabled && restrictions.is_empty();
    Ok((site, ImportedUser { name, keys, password_hash, enabled, landing, mounts }))
}

/// Returns a hash that logins can be checked against, or a phrase with the reason why it is none.
fn hash(hash: &str) -> Result<String, String> {
    if let Some((_, kind)) = OTHER_HASHES.into_iter().find(|(beginning, _)| hash.starts_with(beginning)) {
        return Err(format!("the hash of its password is one of {kind}, which logins here can't be checked against"));
    }
    match hash.parse::<PasswordHash>() {
        Ok(_) => Ok(hash.to_owned()),
        Err(error) => Err(format!("its password can't be used ({error})")),
    }
}

/// Returns what keeps the user from logging in, or from some files, and has no counterpart.
fn restrictions(user: &SftpgoUser, has_password: bool) -> Vec<&'static str> {
    let filters = &user.filters;
    let is_of_ssh = |protocols: &[String]| protocols.iter().any(|protocol| protocol == SSH);
    let has_second_factor = filters.totp_config.enabled && is_of_ssh(&filters.totp_config.protocols)
        || is_of_ssh(&filters.two_factor_protocols);
    let all = [
        ("its expiration date", user.expiration_date != 0),
        ("its lists of addresses", !(filters.allowed_ip.is_empty() && filters.denied_ip.is_empty())),
        ("its denied protocol SSH", is_of_ssh(&filters.denied_protocols)),
        ("its patterns of files", !filters.file_patterns.is_empty()),
        ("its times of access", !filters.access_time.is_empty()),
        ("its second factor", has_second_factor),
        ("the expiration of its password", has_password && filters.password_expiration != 0),
        ("the required change of its password", has_password && filters.require_password_change),
    ];
    all.into_iter().filter(|(_, is_set)| *is_set).map(|(restriction, _)| restriction).collect()
}

/// Returns the limits of sizes, counts and speed that the user has. A tenant's limits are those of all its users together.
fn limits(user: &SftpgoUser) -> impl Iterator<Item = &'static str> {
    let all = [
        ("max_sessions", user.max_sessions),
        ("quota_size", user.quota_size),
        ("quota_files", user.quota_files),
        ("upload_bandwidth", user.upload_bandwidth),
        ("download_bandwidth", user.download_bandwidth),
        ("upload_data_transfer", user.upload_data_transfer),
        ("download_data_transfer", user.download_data_transfer),
        ("total_data_transfer", user.total_data_transfer),
        ("max_upload_file_size", user.filters.max_upload_file_size),
        ("bandwidth_limits", i64::from(!user.filters.bandwidth_limits.is_empty())),
    ];
    all.into_iter().filter(|(_, limit)| *limit != 0).map(|(name, _)| name)
}

/// Adds notes about what the server has that this one lacks.
fn note_server(dump: &SftpgoDump, notes: &mut Vec<String>) {
    for (list, is_empty) in [
        ("shares", dump.shares.is_empty()),
        ("event rules", dump.event_rules.is_empty()),
        ("lists of addresses (allow list, defender, rate limiters)", dump.ip_lists.is_empty()),
    ] {
        if !is_empty {
            notes.push(format!("the server's {list} have no counterpart"));
        }
    }
    notes.push(
        "a dump has no host keys. To keep clients from saying that the host key has changed, bring SFTPGo's key files here: \
         docs/migrating.md says how"
            .into(),
    );
    notes.push(
        "a dump lacks the restrictions of SFTPGo's config file, such as hooks, a password login that is off, and lists of \
         addresses: compare it with this server's"
            .into(),
    );
}

#[cfg(test)]
mod tests;
