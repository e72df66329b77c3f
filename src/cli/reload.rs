//! `wharfinger reload`: makes the running server take over its config.

use super::{config_file::ConfigFile, table::escaped};
use crate::{
    control::{RefusedFile, ReloadAnswer, ReloadCounts, client},
    events::{ConfigChanges, NameChanges},
};
use std::process::ExitCode;

/// Make the running server take over its config
///
/// Prints what changed. A tenant whose file has a problem stays as it was, and each problem is one line on stderr. Exits
/// with 0 if every file is in force, and with 1 otherwise. Run it as root or as the server's user.
#[derive(Debug, clap::Args)]
pub(super) struct ReloadArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Accept a config that has lost more than half of the tenants, and make new host keys in place of those whose files
    /// are gone
    #[arg(long)]
    force: bool,
}

impl ReloadArgs {
    /// # Errors
    /// The server doesn't run, or doesn't answer.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        match client::reload(self.config.path(), self.force)? {
            ReloadAnswer::Reloaded { counts, refused } => {
                let ReloadCounts { changes, needs_restart, ended_sessions } = *counts;
                let ConfigChanges { tenants, users, listeners, host_keys, settings } = changes;
                println!("the config was reloaded");
                print_changes("tenants", &tenants);
                print_changes("users", &users);
                if tenants == NameChanges::default() && users == NameChanges::default() {
                    println!("no tenant and no user changed");
                }
                print_changes("listeners", &listeners);
                print_changes("host keys", &host_keys);
                if !settings.is_empty() {
                    println!("settings changed: {}", settings.join(", "));
                }
                if !needs_restart.is_empty() {
                    println!("settings that need a restart: {}", escaped(&needs_restart.join(", ")));
                }
                if ended_sessions > 0 {
                    println!("sessions that end: {ended_sessions}");
                }
                refused.iter().for_each(print_refused);
                Ok(if refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            ReloadAnswer::Refused(problems) => {
                print_problems(&problems.problems, problems.count);
                eprintln!("the reload was refused: nothing was changed");
                Ok(ExitCode::FAILURE)
            }
        }
    }
}

fn print_changes(noun: &str, changes: &NameChanges) {
    for (verb, list) in [("added", &changes.added), ("changed", &changes.changed), ("removed", &changes.removed)] {
        if let Some(names) = list.text() {
            println!("{noun} {verb} ({}): {}", list.count, escaped(&names));
        }
    }
}

fn print_refused(RefusedFile { file, is_served, problems, .. }: &RefusedFile) {
    print_problems(&problems.problems, problems.count);
    let file = file.escape_debug();
    if *is_served {
        eprintln!("{file} was refused: the tenant stays as it was");
    } else {
        eprintln!("{file} was refused: the tenant is not served");
    }
}

/// Prints problems. `count` is the number of all of them.
fn print_problems(problems: &[String], count: usize) {
    for problem in problems {
        eprintln!("{}", escaped(problem));
    }
    let more = count.saturating_sub(problems.len());
    if more > 0 {
        eprintln!("and {more} more");
    }
}
