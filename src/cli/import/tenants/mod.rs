//! Adds the tenants of a plan, one after the other. Invariant: a user of the plan is in a file, or is named with the
//! reason.

use super::{left_out::LeftOut, present::Present};
use crate::{
    account::{ExternalId, Permission, Permissions},
    cli::{
        ask_reload::ask_reload,
        edit::{edit_and_reload, told},
        table::escaped,
    },
    config::edit::{EditError, Editor, KeyLine, NewAccessKey, NewMount, NewRole, NewStorage, NewTenant, NewUser},
    onboarding::{ImportPlan, ImportedTenant, ImportedUser},
};
use anyhow::{Context as _, Result, anyhow};
use std::{path::Path, process::ExitCode};

/// Adds each tenant of the plan that doesn't exist, or only prints their files. All are checked together first, so that
/// conflicts are told before a file is written. One that is refused leaves the others as they are.
///
/// Returns 1 if a user of the plan is in no file afterwards, other than by a dry run.
///
/// # Errors
/// The config can't be read or locked: nothing was written.
pub(super) fn import(config: &Path, plan: &ImportPlan, dry_run: bool) -> Result<ExitCode> {
    let mut left_out = LeftOut(plan.left_out);
    let editor = Editor::lock(config).map_err(|error| told(&error))?;
    let mut new = Vec::new();
    for tenant in &plan.tenants {
        let wanted = match new_tenant(tenant) {
            Ok(wanted) => wanted,
            Err(error) => {
                left_out.tell(&tenant.name, &format!("{error:#}"), tenant.users.iter().map(|user| &user.name));
                continue;
            }
        };
        match editor.tenant(&wanted.name) {
            Ok(None) => new.push(wanted),
            Ok(Some(present)) => {
                let missing = Present::of(&wanted, present).tell(&wanted, &mut left_out, dry_run);
                if dry_run && !missing.is_empty() {
                    let (name, prefix) = (&wanted.name, present.storage.prefix.as_str());
                    println!("# Tables that {name} lacks. Their prefixes are below its prefix {prefix:?}.");
                    print_text(&NewTenant::users_text(&masked(&missing))?);
                }
            }
            Err(error) => left_out.tell_refused(&wanted, &error),
        }
    }
    let checked = editor.check_together(&new);
    let mut accepted = Vec::new();
    for (new, checked) in new.into_iter().zip(checked) {
        match checked {
            Ok((files, warnings)) => {
                for warning in warnings {
                    eprintln!("warning: {}", escaped(&warning.to_string()));
                }
                if dry_run {
                    println!("# {}", escaped(&files.tenant().display().to_string()));
                    print_text(&NewTenant { users: masked(&new.users), ..new.clone() }.text()?);
                }
                accepted.push(new);
            }
            Err(error) => left_out.tell_refused(&new, &error),
        }
    }
    if dry_run {
        println!("# Nothing was written: this was a dry run. The import makes other external IDs.");
    } else {
        write_all(&accepted, &mut left_out, &|new| write(config, new));
    }
    Ok(if left_out.0 == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the files one after the other. If the config can't be edited any more, the users of this tenant and of all that
/// follow are named.
fn write_all(
    tenants: &[NewTenant],
    left_out: &mut LeftOut,
    write: &dyn Fn(&NewTenant) -> Result<Vec<String>, EditError>,
) {
    let mut rest = tenants.iter();
    while let Some(new) = rest.next() {
        match write(new) {
            Ok(lines) => lines.iter().for_each(|line| println!("{}", escaped(line))),
            Err(error) => {
                left_out.tell_refused(new, &error);
                if matches!(error, EditError::Config { .. } | EditError::Lock { .. }) {
                    for new in rest.by_ref() {
                        left_out.tell(
                            &new.name,
                            "the import has ended before",
                            new.users.iter().map(|user| &user.name),
                        );
                    }
                }
            }
        }
    }
}

/// A dry run prints it in place of a hash.
const HIDDEN: &str = "hidden: the export has it";

/// Returns the users with their password hashes hidden: the output of a dry run is read on screens and kept in logs.
fn masked(users: &[NewUser]) -> Vec<NewUser> {
    let hide = |user: &NewUser| NewUser {
        password_hash: user.password_hash.as_ref().map(|_| HIDDEN.to_owned()),
        ..user.clone()
    };
    users.iter().map(hide).collect()
}

/// Prints the text of a file.
fn print_text(text: &str) {
    text.lines().for_each(|line| println!("{}", escaped(line)));
    println!();
}

/// Writes the file of a tenant, and returns the lines to print.
fn write(config: &Path, new: &NewTenant) -> Result<Vec<String>, EditError> {
    let name = &new.name;
    let users = match new.users.len() {
        1 => "1 user".to_owned(),
        count => format!("{count} users"),
    };
    let added = edit_and_reload(
        config,
        |editor| {
            let (files, _) = editor.add_tenant(new)?;
            let sentence = format!("the tenant {name} is added, with {users}: {}", files.tenant().display());
            Ok((files, sentence))
        },
        &ask_reload,
    )?;
    let next = new.storage.role.as_ref().map(|_| {
        format!(
            "next: `wharfinger tenant policy {name}` prints the trust policy that its role needs, beside the one it has"
        )
    });
    Ok(added.into_iter().chain(next).collect())
}

fn new_tenant(tenant: &ImportedTenant) -> Result<NewTenant> {
    let site = &tenant.site;
    let role = site.role.clone().map(|arn| -> Result<_> {
        let external_id = ExternalId::random().context("the system has no random numbers for an external ID")?;
        Ok(NewRole { arn, external_id, sts_endpoint: None })
    });
    let endpoint =
        site.endpoint.as_ref().map(|url| url.parse().map_err(|error| anyhow!("the endpoint {url:?} {error}")));
    let mut storage = NewStorage {
        bucket: site.bucket.parse().map_err(|error| anyhow!("the bucket {:?} {error}", site.bucket))?,
        access_point_arn: None,
        prefix: tenant.prefix.clone(),
        region: site.region.parse().map_err(|error| anyhow!("the region {:?} {error}", site.region))?,
        endpoint: endpoint.transpose()?,
        path_style: site.path_style,
        kms_key: None,
        expected_bucket_owner: None,
        role: role.transpose()?,
        access_key: tenant.access_key().map(|(id, secret_file)| NewAccessKey { id: id.to_owned(), secret_file }),
    };
    storage.expect_the_owner_of_the_role();
    let users = tenant.users.iter().map(new_user).collect::<Result<_>>()?;
    Ok(NewTenant { name: tenant.name.clone(), tier: None, storage, users })
}

fn new_user(user: &ImportedUser) -> Result<NewUser> {
    let keys = KeyLine::read_all(&user.keys.join("\n")).map_err(|error| anyhow!("{}: {error}", user.name))?;
    let mounts = user.mounts.iter().map(|mount| NewMount {
        entry: mount.entry.clone(),
        prefix: mount.prefix.clone(),
        permissions: (mount.permissions != Permissions::ALL).then(|| words(mount.permissions)),
    });
    Ok(NewUser {
        name: user.name.clone(),
        keys,
        password_hash: user.password_hash.clone(),
        permissions: None,
        landing: (!user.landing.is_root()).then(|| user.landing.to_string()),
        enabled: user.enabled,
        mounts: mounts.collect(),
    })
}

fn words(permissions: Permissions) -> Vec<Permission> {
    Permission::ALL.into_iter().filter(|permission| permissions.contains(*permission)).collect()
}

#[cfg(test)]
mod tests;
