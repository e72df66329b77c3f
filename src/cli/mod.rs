//! The `wharfinger` command: one file a subcommand. What they print is for operators; errors are printed once, by
//! `run` or by the log.

mod check;
mod demo;
mod hash_password;
mod log;
mod serve;

use clap::{Args, Parser, Subcommand};
use std::{path::PathBuf, process::ExitCode};

/// A managed, multi-tenant SFTP server whose storage is Amazon S3.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::Serve),
    Check(check::Check),
    HashPassword(hash_password::HashPassword),
}

/// Where the config is.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The server's config file. The tenants' files are found through it
    #[arg(long = "config", value_name = "FILE", default_value = "config/wharfinger.toml")]
    path: PathBuf,
}

impl Cli {
    /// Runs the command that was asked for. An error is printed to stderr, by the log once that has started, and is the
    /// exit code 1.
    #[must_use]
    pub fn run(self) -> ExitCode {
        let done = match self.command {
            Command::Demo(demo) => demo.run(),
            Command::Serve(serve) => serve.run(),
            Command::Check(check) => Ok(check.run()),
            Command::HashPassword(_) => hash_password::run(),
        };
        done.unwrap_or_else(|error| {
            eprintln!("wharfinger: {error:#}");
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
    fn the_config_has_a_place_unless_it_is_said() {
        let config = |line: &[&str]| match Cli::try_parse_from(line).unwrap().command {
            Command::Check(check::Check { config }) | Command::Serve(serve::Serve { config }) => config.path,
            Command::HashPassword(_) | Command::Demo(_) => panic!("{line:?}"),
        };
        assert_eq!(config(&["wharfinger", "check"]), PathBuf::from("config/wharfinger.toml"));
        assert_eq!(config(&["wharfinger", "serve"]), PathBuf::from("config/wharfinger.toml"));
        assert_eq!(config(&["wharfinger", "check", "--config", "x.toml"]), PathBuf::from("x.toml"));
    }
}
