//! The `wharfinger` command, one file for each subcommand. The output is for operators. `run` or the log prints an
//! error once.

mod ask_reload;
mod check;
mod demo;
mod edit;
mod hash_password;
mod log;
mod reload;
mod serve;
mod sessions;
mod status;
mod table;
mod tenant;
mod units;
mod user;

use clap::{Args, Parser, Subcommand};
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// A managed, multi-tenant SFTP server whose storage is Amazon S3.
#[derive(Debug, Parser)]
#[command(name = "wharfinger", version, arg_required_else_help = true)]
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
    Reload(reload::ReloadArgs),
    Sessions(sessions::SessionsArgs),
    Status(status::StatusArgs),
    Tenant(tenant::TenantCommand),
    User(user::UserCommand),
}

/// The place of the config.
#[derive(Debug, Args)]
struct ConfigFile {
    /// The server's config file [default: /etc/wharfinger/wharfinger.toml]. The tenants' files are found through it
    #[arg(long = "config", value_name = "FILE", global = true)]
    path: Option<PathBuf>,
}

/// The config file, if the command line names none.
const DEFAULT_CONFIG: &str = "/etc/wharfinger/wharfinger.toml";
/// The default of earlier versions.
const EARLIER_DEFAULT_CONFIG: &str = "config/wharfinger.toml";

impl ConfigFile {
    /// Returns the file from the command line, or the default. If the default is missing and the earlier default
    /// exists, returns that one and prints a warning on stderr.
    fn path(&self) -> &Path {
        match &self.path {
            Some(path) => path,
            None => default_config(Path::new(DEFAULT_CONFIG), Path::new(EARLIER_DEFAULT_CONFIG)),
        }
    }
}

fn default_config<'a>(default: &'a Path, earlier: &'a Path) -> &'a Path {
    // A file that this user can't look at may exist.
    let is_missing = default.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
    if !is_missing || !earlier.exists() {
        return default;
    }
    let (missing, read) = (default.display(), earlier.display());
    eprintln!("warning: {missing} is missing, {read} is read as in earlier versions: say --config {read}");
    earlier
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
            Command::Reload(reload) => reload.run(),
            Command::Sessions(sessions) => sessions.run(),
            Command::Status(status) => status.run(),
            Command::Tenant(tenant) => tenant.run(),
            Command::User(user) => user.run(),
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
    fn the_earlier_default_counts_where_the_default_is_missing() {
        let directory = tempfile::tempdir().unwrap();
        let [default, earlier] = ["default.toml", "earlier.toml"].map(|name| directory.path().join(name));
        assert_eq!(default_config(&default, &earlier), default);
        std::fs::write(&earlier, "").unwrap();
        assert_eq!(default_config(&default, &earlier), earlier);
        std::fs::write(&default, "").unwrap();
        assert_eq!(default_config(&default, &earlier), default);
    }

    #[test]
    fn help_is_a_command_too() {
        let help = Cli::try_parse_from(["wharfinger", "help", "serve"]).unwrap_err();
        assert_eq!(help.kind(), clap::error::ErrorKind::DisplayHelp);
    }
}
