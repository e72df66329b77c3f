//! The tenants to import: plain data, which the config's editor makes files of.

use crate::{
    account::{Permissions, RoleArn},
    name::{Prefix, TenantName, UserName, VirtualPath},
};
use std::collections::{BTreeMap, BTreeSet};

/// The tenants to import.
#[derive(Debug, Default)]
pub(crate) struct ImportPlan {
    pub(crate) tenants: Vec<ImportedTenant>,
    /// Sentences about all that has no counterpart.
    pub(crate) notes: Vec<String>,
    /// The number of users who could be imported, but whose tenant gets no name. A note names them.
    pub(crate) left_out: usize,
}

/// A tenant to import: one role or other identity in one bucket.
#[derive(Debug)]
pub(crate) struct ImportedTenant {
    pub(crate) name: TenantName,
    pub(crate) site: TenantSite,
    /// The longest prefix that contains those of all mounts.
    pub(crate) prefix: Prefix,
    pub(crate) users: Vec<ImportedUser>,
}

/// The bucket of a tenant, and the identity that reaches it. Users of one tenant have all of it in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TenantSite {
    pub(crate) bucket: String,
    pub(crate) region: String,
    /// The endpoint of a store other than AWS.
    pub(crate) endpoint: Option<String>,
    pub(crate) path_style: bool,
    pub(crate) role: Option<RoleArn>,
    /// The id of an access key. Without one, the identity is that of the server.
    pub(crate) access_key: Option<String>,
}

impl ImportedTenant {
    /// Returns the id of the tenant's access key, and the file in the tenants' directory that must have its secret.
    pub(crate) fn access_key(&self) -> Option<(&str, String)> {
        self.site.access_key.as_deref().map(|id| (id, format!("{}.secret", self.name)))
    }
}

/// A user to import.
#[derive(Clone, Debug)]
pub(crate) struct ImportedUser {
    pub(crate) name: UserName,
    /// Lines as in `authorized_keys`. Each is a key that a login can use.
    pub(crate) keys: Vec<String>,
    /// A hash that logins can be checked against.
    pub(crate) password_hash: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) landing: VirtualPath,
    pub(crate) mounts: Vec<ImportedMount>,
}

/// A mount of a user. In a plan its prefix is relative to the tenant's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImportedMount {
    pub(crate) entry: VirtualPath,
    pub(crate) prefix: Prefix,
    pub(crate) permissions: Permissions,
}

/// A text of the source in a note: printable, on one line, and short.
pub(super) fn quoted(text: &str) -> String {
    const MAX_CHARS: usize = 100;
    let mut short: String = text.chars().take(MAX_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    format!("`{short}`")
}

/// The users, by the site that they have.
#[derive(Debug, Default)]
pub(super) struct UsersBySite(BTreeMap<TenantSite, Vec<ImportedUser>>);

impl UsersBySite {
    /// Adds a user, whose mounts have the prefixes that they have in the bucket.
    pub(super) fn push(&mut self, site: TenantSite, user: ImportedUser) {
        self.0.entry(site).or_default().push(user);
    }

    /// Returns a plan with these notes, and a tenant for each site. Users of a tenant that can get no name of its own are left
    /// out, with a note.
    pub(super) fn into_plan(self, notes: Vec<String>) -> ImportPlan {
        let mut plan = ImportPlan { notes, ..ImportPlan::default() };
        let mut sites_of_bucket = BTreeMap::<String, usize>::new();
        for site in self.0.keys() {
            let sites = sites_of_bucket.entry(site.bucket.clone()).or_default();
            *sites = sites.saturating_add(1);
        }
        let mut names = BTreeSet::new();
        for (site, mut users) in self.0 {
            let is_alone = sites_of_bucket.get(&site.bucket) == Some(&1);
            let wanted = match (&site.role, &site.access_key) {
                _ if is_alone => site.bucket.clone(),
                (Some(role), _) => role.path_and_name().1.to_owned(),
                (None, Some(key)) => format!("{}-{key}", site.bucket),
                (None, None) => site.bucket.clone(),
            };
            let name = wanted.replace(|c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c), "-");
            let Ok(name) = name.parse::<TenantName>() else {
                plan.leave_out(&users, &format!("{} gives no name of a tenant", quoted(&wanted)));
                continue;
            };
            if !names.insert(name.clone()) {
                let bucket = quoted(&site.bucket);
                plan.leave_out(
                    &users,
                    &format!("a second tenant would have the name `{name}`, with the bucket {bucket}"),
                );
                continue;
            }
            // A beginning of normal prefixes is normal.
            let Some(prefix) = shared_prefix(&users) else { continue };
            for mount in users.iter_mut().flat_map(|user| &mut user.mounts) {
                let below = mount.prefix.as_str().strip_prefix(prefix.as_str()).unwrap_or_default();
                // The rest of a normal prefix is normal.
                if let Ok(below) = Prefix::parse(below) {
                    mount.prefix = below;
                }
            }
            users.sort_by(|a, b| a.name.cmp(&b.name));
            plan.tenants.push(ImportedTenant { name, site, prefix, users });
        }
        plan
    }
}

impl ImportPlan {
    /// Notes the users of a tenant that gets no name, and counts them.
    fn leave_out(&mut self, users: &[ImportedUser], reason: &str) {
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        self.left_out = self.left_out.saturating_add(names.len());
        let names = names.join(", ");
        self.notes.push(format!(
            "{reason}: its users are left out: {names}; write its file by hand, or add it with `wharfinger tenant add`"
        ));
    }
}

/// Returns the longest prefix that contains those of all mounts.
fn shared_prefix(users: &[ImportedUser]) -> Option<Prefix> {
    let mut prefixes = users.iter().flat_map(|user| &user.mounts).map(|mount| mount.prefix.as_str());
    let mut shared = prefixes.next().unwrap_or_default();
    for prefix in prefixes {
        while !prefix.starts_with(shared) {
            let parent = shared.strip_suffix('/').and_then(|shared| shared.rfind('/'));
            shared = parent.and_then(|slash| shared.get(..=slash)).unwrap_or_default();
        }
    }
    Prefix::parse(shared).ok()
}
