//! A tenant of the plan that exists already. Its file is left alone: an operator may have changed it.

use super::left_out::LeftOut;
use crate::{
    account::{BaseCredentials, PublicKey, Storage},
    config::edit::{NewMount, NewStorage, NewTenant, NewUser},
    name::{Prefix, UserName},
    tenants::{TenantSetup, UserSetup},
};
use std::collections::HashSet;

/// The difference between a tenant of the plan and the one of its name that exists.
pub(super) enum Present {
    /// The one that exists is another tenant: the words name what differs.
    Other(Vec<&'static str>),
    Same {
        /// The users that the file lacks. The prefixes of their mounts are relative to the file's prefix.
        missing: Vec<NewUser>,
        /// Users that the file lacks too, with files outside its prefix.
        outside: Vec<UserName>,
        /// Sentences about users that the file has in another way.
        changes: Vec<String>,
    },
}

impl Present {
    pub(super) fn of(new: &NewTenant, present: &TenantSetup) -> Self {
        let differences = differences(&new.storage, &present.storage);
        if !differences.is_empty() {
            return Self::Other(differences);
        }
        let (mut missing, mut outside, mut changes) = (Vec::new(), Vec::new(), Vec::new());
        for user in &new.users {
            match present.users.iter().find(|other| other.user.name == user.name) {
                Some(other) => changes.extend(change(user, other)),
                None => match moved(user, &new.storage.prefix, &present.storage.prefix) {
                    Some(user) => missing.push(user),
                    None => outside.push(user.name.clone()),
                },
            }
        }
        Self::Same { missing, outside, changes }
    }

    /// Names the users that the file lacks, because it may have been written from an export of other users. Returns those
    /// whose tables can be added to it. They are not added here: an operator may have removed them.
    pub(super) fn tell(self, new: &NewTenant, left_out: &mut LeftOut, is_dry_run: bool) -> Vec<NewUser> {
        let name = &new.name;
        let (missing, outside, changes) = match self {
            Self::Other(differences) => {
                let reason = format!(
                    "a tenant `{name}` exists with another {}; write a tenant of another name by hand",
                    differences.join(" and another ")
                );
                left_out.tell(name, &reason, new.users.iter().map(|user| &user.name));
                return Vec::new();
            }
            Self::Same { missing, outside, changes } => (missing, outside, changes),
        };
        let comment = if is_dry_run { "# " } else { "" };
        println!("{comment}{name}: there is such a tenant already; its file is left alone");
        for change in changes {
            eprintln!("note: {name}: {change}");
        }
        if !missing.is_empty() {
            let users = left_out.count(missing.iter().map(|user| &user.name));
            eprintln!(
                "{name}: its file lacks these users, who are left out: {users}; add them to it by hand: `--dry-run` prints \
                 their tables"
            );
        }
        if !outside.is_empty() {
            let users = left_out.count(outside.iter());
            eprintln!(
                "{name}: its file lacks these users, who are left out: {users}; they have files outside the `prefix` of the \
                 file: make it shorter by hand, and the prefixes of its mounts longer, then import again"
            );
        }
        missing
    }
}

/// Returns what is another bucket or identity.
fn differences(new: &NewStorage, present: &Storage) -> Vec<&'static str> {
    let role = present.credentials.role.as_ref().map(|role| &role.arn);
    let key = match &present.credentials.base {
        BaseCredentials::Static { access_key_id, .. } => Some(access_key_id.as_str()),
        BaseCredentials::DefaultChain => None,
    };
    let new_role = new.role.as_ref().map(|role| &role.arn);
    let all = [
        ("bucket or endpoint", new.bucket_id() != present.id),
        ("role", new_role != role),
        // The key that assumes a role is no matter of the tenant.
        ("access key", new_role.is_none() && new.access_key.as_ref().map(|key| key.id.as_str()) != key),
    ];
    all.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

/// Returns the user with mounts relative to the prefix `to` instead of `from`, or `None` if one isn't below it.
fn moved(user: &NewUser, from: &Prefix, to: &Prefix) -> Option<NewUser> {
    let below = |mount: &NewMount| {
        let whole = format!("{}{}", from.as_str(), mount.prefix.as_str());
        let prefix = Prefix::parse(whole.strip_prefix(to.as_str())?).ok()?;
        Some(NewMount { prefix, ..mount.clone() })
    };
    let mounts = user.mounts.iter().map(below).collect::<Option<_>>()?;
    Some(NewUser { mounts, ..user.clone() })
}

/// Returns a sentence about a user whose credentials differ.
fn change(new: &NewUser, present: &UserSetup) -> Option<String> {
    let name = &new.name;
    let keys: HashSet<PublicKey> = new.keys.iter().filter_map(|key| key.line.parse().ok()).collect();
    let of_file: HashSet<PublicKey> = present.credentials.public_keys.iter().cloned().collect();
    let word = |is_enabled: bool| if is_enabled { "enabled" } else { "disabled" };
    let mut changes = Vec::new();
    if keys != of_file {
        changes.push("other public keys".to_owned());
    }
    if new.enabled != present.user.enabled {
        changes.push(format!("{} where the file has {}", word(new.enabled), word(present.user.enabled)));
    }
    (!changes.is_empty())
        .then(|| format!("an import would give `{name}` {}; the file stays as it is", changes.join(", and ")))
}
