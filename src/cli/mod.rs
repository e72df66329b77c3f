//! The `wharfinger` command, one file for each subcommand. The output is for operators. `run` or the log prints an
//! error once.

mod ask_reload;
mod check;
mod config_file;
mod demo;
mod descriptors;
mod edit;
mod hash_password;
mod import;
mod keys;
mod log;
mod questions;
mod reload;
mod serve;
mod sessions;
mod status;
mod table;
mod tenant;
mod units;
mod user;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// A managed, multi-tenant SFTP server whose storage is Amazon S3.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[cfg_attr(not(feature = "demo"), command(hide = true))]
    Demo(demo::DemoArgs),
    Serve(serve::Serve),
    Check(check::Check),
    HashPassword(hash_password::HashPassword),
    Import(import::ImportCommand),
    Reload(reload::ReloadArgs),
    Sessions(sessions::SessionsArgs),
    Status(status::StatusArgs),
    Tenant(tenant::TenantCommand),
    User(user::UserCommand),
}

impl Cli {
    /// Runs the command. Prints an error to stderr, or to the log once the log has started, and returns exit code 1.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Demo(demo) => demo.run(),
            Command::Serve(serve) => serve.run(),
            Command::Check(check) => check.run(),
            Command::HashPassword(_) => hash_password::run(),
            Command::Import(import) => import.run(),
            Command::Reload(reload) => reload.run(),
            Command::Sessions(sessions) => sessions.run(),
            Command::Status(status) => status.run(),
            Command::Tenant(tenant) => tenant.run(),
            Command::User(user) => user.run(),
        };
        done.unwrap_or_else(|error| {
            // A server's answer, or a name in the config, may be part of it.
            eprintln!("wharfinger: {}", table::escaped(&format!("{error:#}")));
            ExitCode::FAILURE
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_a_command_too() {
        let help = Cli::try_parse_from(["wharfinger", "help", "serve"]).unwrap_err();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
    }
}
