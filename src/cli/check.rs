//! `wharfinger check`: is the config right, and if not, everything that is wrong.

use super::ConfigFile;
use crate::config::{self, Config, Problem};
use std::process::ExitCode;

/// Check the config, and say everything that is wrong with it
///
/// Reads the server's file, the tenants' files, and the key and secret files that they name; connects to nothing and
/// changes nothing. Each error is one line on stderr: file, line, key, what is wrong and what would be right.
/// Exits with 0 if the server would start with this config (warnings or not), and with 1 otherwise.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) config: ConfigFile,
}

impl Check {
    pub(super) fn run(&self) -> ExitCode {
        let path = self.config.path();
        match config::load(path) {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    eprintln!("warning: {warning}");
                }
                println!("{}: {}", path.display(), summary(&loaded.config, loaded.warnings.len()));
                ExitCode::SUCCESS
            }
            Err(problems) => {
                print_problems(&problems);
                ExitCode::FAILURE
            }
        }
    }
}

/// Prints each problem, and how many there are.
pub(super) fn print_problems(problems: &[Problem]) {
    for problem in problems {
        eprintln!("{problem}");
    }
    eprintln!("{}", counted(problems.len(), "error"));
}

fn summary(config: &Config, warnings: usize) -> String {
    let users = config.tenants.iter().map(|tenant| tenant.users.len()).sum();
    let listeners: Vec<String> = config.server.ssh.listen.iter().map(ToString::to_string).collect();
    format!(
        "OK, {} with {}, listening on {}, {}",
        counted(config.tenants.len(), "tenant"),
        counted(users, "user"),
        listeners.join(", "),
        counted(warnings, "warning")
    )
}

fn counted(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
