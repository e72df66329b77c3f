//! Adds the tenants of a plan, one after the other. Invariant: a user of the plan is in a file, or is named with the
//! reason.

use crate::{
    account::{ExternalId, Permission, Permissions},
    cli::{
        ask_reload::ask_reload,
        edit::{edit_and_reload, told},
        table::escaped,
    },
    config::edit::{EditError, Editor, KeyLine, NewAccessKey, NewMount, NewRole, NewStorage, NewTenant, NewUser},
    name::{TenantName, UserName},
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
/// The config can't be read or locked.
pub(super) fn import(config: &Path, plan: &ImportPlan, dry_run: bool) -> Result<ExitCode> {
    let mut left_out = LeftOut(0);
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
        match editor.users_of(&tenant.name) {
            None => new.push(wanted),
            Some(present) => left_out.tell_of_present(tenant, &wanted, &present, dry_run)?,
        }
    }
    let checked = editor.check_together(&new);
    let mut accepted = Vec::new();
    for (new, checked) in new.into_iter().zip(checked) {
        match checked {
            Ok((files, warnings)) => accepted.push((new, files, warnings)),
            Err(error) => left_out.tell_refused(&new, &error),
        }
    }
    for (new, files, warnings) in accepted {
        for warning in warnings {
            eprintln!("warning: {}", escaped(&warning.to_string()));
        }
        if dry_run {
            println!("# {}", escaped(&files.tenant().display().to_string()));
            print_text(&new.text()?);
            continue;
        }
        match write(config, &new) {
            Ok(lines) => lines.iter().for_each(|line| println!("{}", escaped(line))),
            Err(error @ (EditError::Config { .. } | EditError::Lock { .. })) => return Err(told(&error)),
            Err(error) => left_out.tell_refused(&new, &error),
        }
    }
    if dry_run {
        println!("# Nothing was written: this was a dry run. The import makes other external IDs.");
    }
    Ok(if left_out.0 == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The key of the config that names the file of an access key's secret.
const SECRET_FILE: &str = "secret_access_key_file";

/// The number of users that are told to be in no file.
struct LeftOut(usize);

impl LeftOut {
    /// Names the users of a tenant that isn't imported.
    fn tell<'a>(&mut self, tenant: &TenantName, reason: &str, users: impl Iterator<Item = &'a UserName>) {
        let users = self.count(users);
        eprintln!("{tenant} is not imported: {}; its users are left out: {users}", escaped(reason));
    }

    fn tell_refused(&mut self, new: &NewTenant, error: &EditError) {
        let cure = match error {
            EditError::RoleOfAnother { .. } => {
                "; users of one role in two buckets are two tenants: let the users here have a role of their own, then \
                 export and import again"
            }
            EditError::UserExists { .. } => "; rename one of the two",
            EditError::NewProblems { problems } if problems.iter().any(|it| it.key.ends_with(SECRET_FILE)) => {
                "; write the secret of the access key into this file first"
            }
            _ => "",
        };
        self.tell(&new.name, &format!("{}{cure}", told(error)), new.users.iter().map(|user| &user.name));
    }

    /// Names the users whose tenant has a file without them, because the file may have been written from an export of
    /// other users. Prints their tables too if nothing is written. They are not added: an operator may have removed them.
    fn tell_of_present(
        &mut self,
        tenant: &ImportedTenant,
        wanted: &NewTenant,
        present: &[&UserName],
        dry_run: bool,
    ) -> Result<()> {
        let name = &wanted.name;
        println!("{}{name}: there is such a tenant already; its file is left alone", if dry_run { "# " } else { "" });
        let mut missing = wanted.users.clone();
        missing.retain(|user| !present.contains(&&user.name));
        if missing.is_empty() {
            return Ok(());
        }
        let users = self.count(missing.iter().map(|user| &user.name));
        eprintln!(
            "{name}: its file lacks these users, who are left out: {users}; add them to it by hand: `--dry-run` prints \
             their tables"
        );
        if dry_run {
            let (bucket, prefix) = (&tenant.site.bucket, tenant.prefix.as_str());
            println!("# Tables that {name} lacks. Their prefixes are below {prefix:?} in the bucket {bucket:?}.");
            print_text(&NewTenant::users_text(&missing)?);
        }
        Ok(())
    }

    /// Counts the users, and returns their names for a sentence.
    fn count<'a>(&mut self, users: impl Iterator<Item = &'a UserName>) -> String {
        let names: Vec<_> = users.map(UserName::as_str).collect();
        self.0 = self.0.saturating_add(names.len());
        names.join(", ")
    }
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
mod tests {
    use super::*;
    use crate::onboarding::{ExportFile, transfer_family};
    use std::fs;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX bob";

    /// Returns a plan for users: name, role, and the target of the mapping of `/`.
    fn plan(users: &[[&str; 3]]) -> ImportPlan {
        let documents = users.iter().map(|[name, role, target]| {
            format!(
                r#"{{"User": {{"UserName": "{name}", "Role": "arn:aws:iam::444455556666:role/{role}",
                    "Arn": "arn:aws:transfer:eu-west-1:444455556666:user/s-01234567890abcdef/{name}",
                    "HomeDirectoryType": "LOGICAL",
                    "HomeDirectoryMappings": [{{"Entry": "/", "Target": "{target}"}}],
                    "SshPublicKeys": [{{"SshPublicKeyBody": "{KEY}"}}]}}}}"#
            )
        });
        let file = ExportFile { name: "export.json".to_owned(), text: documents.collect() };
        transfer_family(&[file], None).unwrap()
    }

    /// The directory of a config without tenants.
    struct EmptyConfig(tempfile::TempDir);

    impl EmptyConfig {
        fn new() -> Self {
            let directory = tempfile::tempdir().unwrap();
            fs::create_dir(directory.path().join("tenants")).unwrap();
            let socket = directory.path().join("control.sock");
            let text = format!("control_socket = {:?}\n", socket.to_str().unwrap());
            fs::write(directory.path().join("wharfinger.toml"), text).unwrap();
            Self(directory)
        }

        /// True if all users are in files afterwards, or would be.
        fn import(&self, plan: &ImportPlan, dry_run: bool) -> bool {
            import(&self.0.path().join("wharfinger.toml"), plan, dry_run).unwrap() == ExitCode::SUCCESS
        }

        /// Returns the text of a tenant's file, or an empty one.
        fn text(&self, tenant: &str) -> String {
            fs::read_to_string(self.0.path().join(format!("tenants/{tenant}.toml"))).unwrap_or_default()
        }
    }

    #[test]
    fn tenants_are_added_once_and_one_that_is_refused_leaves_the_others() {
        let config = EmptyConfig::new();
        let first = plan(&[["bob", "sftp", "/acme/in/bob"], ["ann", "sftp", "/acme/in/ann"]]);
        assert!(config.import(&first, true));
        assert_eq!(config.text("acme"), "");
        assert!(config.import(&first, false));
        let text = config.text("acme");
        assert!(text.contains("prefix = \"in/\"") && text.contains("{ entry = \"/\", prefix = \"ann/\" }"), "{text}");
        // Again, with a change that must not reach the file.
        assert!(config.import(&plan(&[["bob", "sftp", "/acme/in/elsewhere"]]), false));
        assert_eq!(config.text("acme"), text);
        // The first of these overlaps with the tenant, the second has its user, and the third has nothing of it.
        let others = plan(&[
            ["eve", "eve", "/acme/in/bob/deep"],
            ["cat", "cat", "/acme/cat"],
            ["bob", "other", "/globex/bob"],
            ["dan", "dan", "/initech/dan"],
        ]);
        assert!(!config.import(&others, false));
        assert_eq!(
            ["eve", "cat", "globex", "initech"].map(|name| config.text(name).is_empty()),
            [true, false, true, false]
        );
    }

    #[test]
    fn a_user_that_the_file_of_its_tenant_lacks_is_a_failure() {
        let config = EmptyConfig::new();
        assert!(config.import(&plan(&[["bob", "sftp", "/acme/in/bob"]]), false));
        let text = config.text("acme");
        let whole = plan(&[["bob", "sftp", "/acme/in/bob"], ["ann", "sftp", "/acme/in/ann"]]);
        for dry_run in [true, false] {
            assert!(!config.import(&whole, dry_run));
            assert_eq!(config.text("acme"), text);
        }
    }

    #[test]
    fn of_new_tenants_in_conflict_the_first_is_imported() {
        let users = [
            ["ann", "sftp", "/acme/ann"],
            // The role of the former in another bucket.
            ["bob", "sftp", "/globex/bob"],
            ["cat", "cat", "/initech/in/cat"],
            // Below the prefix of the former.
            ["dan", "dan", "/initech/in/cat/dan"],
        ];
        let config = EmptyConfig::new();
        for dry_run in [true, false] {
            assert!(!config.import(&plan(&users), dry_run));
            let exist = ["acme", "globex", "cat", "dan"].map(|name| !config.text(name).is_empty());
            assert_eq!(exist, [!dry_run, false, !dry_run, false]);
        }
    }
}
