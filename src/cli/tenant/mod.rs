//! `wharfinger tenant`: shows, adds and removes tenants, enables and disables them in their files, prints the policies of
//! their roles, and verifies their accounts.

mod add;
mod policy;
mod remove;
mod verify;

use super::{
    config_file::ConfigFile,
    edit::{edit, told},
    table::{json, table},
};
use crate::{
    config::overview::{self, TenantOverview, TenantRow},
    name::TenantName,
};
use add::AddArgs;
use clap::Subcommand;
use policy::PolicyArgs;
use remove::RemoveArgs;
use std::{path::Path, process::ExitCode};
use verify::VerifyArgs;

/// List, show, add, disable, enable, verify and remove tenants, and print the policies of their roles
///
/// The files are edited in place: comments, order, owner, mode and ACL stay. The whole config is checked before a file
/// is replaced.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct TenantCommand {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: TenantAction,
}

#[derive(Debug, Subcommand)]
enum TenantAction {
    /// List the tenants of the config
    List {
        /// Print JSON: an array with an object for each tenant
        #[arg(long)]
        json: bool,
    },
    /// Show a tenant with its users, their mounts and the fingerprints of their keys
    Show {
        tenant: TenantName,
        /// Print JSON: an object
        #[arg(long)]
        json: bool,
    },
    /// Write the file of a new tenant, with an external ID for its role
    ///
    /// On a terminal the command asks for what is missing. It refuses a role, an external ID or a prefix that another
    /// tenant has. It connects to nothing but the running server, which takes over the file.
    Add(Box<AddArgs>),
    /// Write `enabled = false` into the tenant's file: none of its users can log in, and open sessions end at once
    ///
    /// Unfinished uploads can be resumed when the tenant is enabled again.
    Disable { tenant: TenantName },
    /// Let the tenant's users log in again
    Enable { tenant: TenantName },
    /// Delete the tenant's file, and say what stays in S3 and elsewhere
    ///
    /// On a terminal the command asks for the tenant's name again. Open sessions end. Their open transfers may finish for
    /// `reload_grace`.
    Remove(RemoveArgs),
    /// Print what the owner of the tenant's bucket installs: the role with its trust policy and its permissions, and
    /// settings of the bucket
    ///
    /// The role allows what the tenant's users may do below the tenant's prefix, and nothing else. The command reads the
    /// config, and connects to nothing.
    Policy(PolicyArgs),
    /// Prove what the tenant's sessions may do in its account, and what they may not
    ///
    /// The command asks STS and S3 as the server does, with the server's credentials: run it on the server's machine, as the
    /// server's user. It works below the tenant's prefix in a directory that no client sees, and deletes it. The exit status
    /// is 1 if a step fails.
    Verify(VerifyArgs),
}

impl TenantCommand {
    /// # Errors
    /// The config can't be read, has no such tenant, or can't be edited.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.path();
        match self.action {
            TenantAction::List { json: as_json } => {
                let tenants = overview::tenants(config).map_err(|error| told(&error))?;
                if as_json {
                    println!("{}", json(&tenants)?);
                    return Ok(ExitCode::SUCCESS);
                }
                print!("{}", list(&tenants));
                let broken = tenants.iter().filter(|tenant| !tenant.problems.is_empty()).count();
                if broken > 0 {
                    eprintln!("problems in the files of {broken}: `wharfinger check` prints them");
                }
                Ok(ExitCode::SUCCESS)
            }
            TenantAction::Show { tenant, json: as_json } => {
                let tenant = overview::tenant(config, &tenant).map_err(|error| told(&error))?;
                if as_json {
                    println!("{}", json(&tenant)?);
                } else {
                    print!("{}", details(&tenant));
                }
                Ok(ExitCode::SUCCESS)
            }
            TenantAction::Add(add) => add.run(config),
            TenantAction::Disable { tenant } => set_enabled(config, &tenant, false),
            TenantAction::Enable { tenant } => set_enabled(config, &tenant, true),
            TenantAction::Remove(remove) => remove.run(config),
            TenantAction::Policy(policy) => policy.run(config),
            TenantAction::Verify(verify) => verify.run(config),
        }
    }
}

fn set_enabled(config: &Path, tenant: &TenantName, enabled: bool) -> anyhow::Result<ExitCode> {
    edit(config, |editor| {
        let mut edit = editor.edit_tenant(tenant)?;
        edit.set_enabled(enabled);
        Ok((edit, format!("the tenant {tenant} is {}", state(Some(enabled)))))
    })
}

/// Returns the word for a tenant or a user. A file with a problem doesn't say.
const fn state(enabled: Option<bool>) -> &'static str {
    match enabled {
        Some(true) => "enabled",
        Some(false) => "disabled",
        None => "broken",
    }
}

fn list(tenants: &[TenantRow]) -> String {
    let mut rows = vec![["TENANT", "STATE", "USERS", "BUCKET", "PREFIX"].map(str::to_owned)];
    rows.extend(tenants.iter().map(|tenant| {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let users = tenant.users.to_string();
        [tenant.name.clone(), state(tenant.enabled).to_owned(), users, text(&tenant.bucket), text(&tenant.prefix)]
    }));
    table(&rows)
}

fn details(tenant: &TenantOverview) -> String {
    let facts = [
        ["tenant", tenant.name.as_str()],
        ["file", &tenant.file],
        ["state", state(Some(tenant.enabled))],
        ["bucket", &tenant.bucket],
        ["prefix", &tenant.prefix],
        ["region", &tenant.region],
        ["role", tenant.role_arn.as_deref().unwrap_or("-")],
    ];
    let facts: Vec<_> = facts.iter().map(|row| row.map(str::to_owned)).collect();
    let mut rows = vec![["USER", "STATE", "", ""].map(str::to_owned)];
    for user in &tenant.users {
        rows.push([
            user.name.to_string(),
            state(Some(user.enabled)).to_owned(),
            "landing".into(),
            user.landing.clone(),
        ]);
        let indented = |what: &str, text: String| [String::new(), String::new(), what.to_owned(), text];
        rows.extend(user.mounts.iter().map(|mount| {
            indented("mount", format!("{} -> {} ({})", mount.entry, mount.prefix, mount.permissions.join(" ")))
        }));
        rows.extend(user.has_password.then(|| indented("password", "set".to_owned())));
        rows.extend(user.keys.iter().map(|key| {
            indented("key", format!("{} {} {}", key.algorithm, key.fingerprint, key.comment).trim_end().to_owned())
        }));
    }
    format!("{}\n{}", table(&facts), table(&rows))
}
