//! `wharfinger check`: reports every problem that would keep the server from starting with this config on this machine.

use super::config_file::ConfigFile;
use crate::{
    app::Preflight,
    config::{self, Config, Loaded, Problem},
    control::ControlSocket,
    files::Exposure,
};
use anyhow::anyhow;
use std::{path::Path, process::ExitCode};
use tokio::runtime;

/// Check the config, and say everything that is wrong with it
///
/// Reads the server's file, the tenants' files, and the key and secret files that they name; then the host keys, the
/// ledger's file and the place of the control socket, and asks for the addresses without listening. Connects to nothing and changes nothing. Each error is
/// one line on stderr: file, line, key, what is wrong and what would be right. Exits with 0 if nothing is wrong
/// (warnings or not), and with 1 otherwise, even if `serve` would only leave a tenant out. It answers for the user that
/// runs it: run it as the server is run.
#[derive(Debug, clap::Args)]
pub(super) struct Check {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// Check the files of the config alone, and not whether the server can start on this machine: host keys, the ledger,
    /// the control socket and addresses are left out. For a config that is meant for another machine
    #[arg(long)]
    pub(super) config_only: bool,
}

impl Check {
    /// # Errors
    /// The process has no runtime.
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let path = self.config.path();
        let loaded = match config::load(path) {
            Ok(loaded) => loaded,
            Err(problems) => return Ok(failed(&problems)),
        };
        let mut preflight = Preflight::default();
        if !self.config_only {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            preflight = runtime.block_on(Preflight::of_machine(&loaded, path));
        }
        let Loaded { config, mut warnings, .. } = loaded;
        let problems = preflight.problems;
        warnings.extend(preflight.warnings);
        if !self.config_only {
            warnings.extend(socket_warning(path, &config.server.control_socket));
            let exposure = socket_exposure(&config.server.control_socket);
            let is_told = |exposure: &Exposure| warnings.iter().any(|warning| warning.file == exposure.path());
            let exposure = exposure.filter(|exposure| !is_told(exposure));
            warnings.extend(exposure.map(|exposure| exposure_warning(path, &exposure)));
        }
        for warning in &warnings {
            eprintln!("warning: {warning}");
        }
        if !problems.is_empty() {
            return Ok(failed(&problems));
        }
        println!("{}: {}", path.display(), summary(&config, warnings.len()));
        Ok(ExitCode::SUCCESS)
    }
}

/// Returns the warning of a control socket that a server of this user couldn't make. `file` is the server's file.
fn socket_warning(file: &Path, socket: &Path) -> Option<Problem> {
    let error = ControlSocket::examine(socket).err()?;
    let message = format!(
        "{:#}; the server would run, and `wharfinger reload`, `sessions` and `status` wouldn't reach it",
        anyhow!(error)
    );
    Some(Problem { file: file.to_owned(), line: None, key: "control_socket".to_owned(), message })
}

/// Returns the exposure of the directory in which other users could put a socket in the control socket's place. The
/// server's own user may own it.
fn socket_exposure(socket: &Path) -> Option<Exposure> {
    let directory = socket.parent().unwrap_or(Path::new(""));
    Exposure::of_directory(directory).filter(|exposure| !exposure.is_of_its_owner())
}

fn exposure_warning(file: &Path, exposure: &Exposure) -> Problem {
    let message = format!(
        "{}; another user could answer `wharfinger reload`, `sessions` and `status` in the server's place",
        exposure.with_path()
    );
    Problem { file: file.to_owned(), line: None, key: "control_socket".to_owned(), message }
}

fn failed(problems: &[Problem]) -> ExitCode {
    print_problems(problems);
    ExitCode::FAILURE
}

/// Prints each problem, and their number.
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
