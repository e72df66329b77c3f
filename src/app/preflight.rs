//! Checks this machine before the server starts with a config: host keys, the ledger's file and the addresses. `serve`
//! refuses to start if the files have problems. `check` also prints the problems that `serve` would meet later.
//!
//! Invariant: the checks change nothing. Their results hold for the user and the rights of this process.

use crate::{
    config::{Loaded, Problem},
    files::Exposure,
    ledger::{History, Ledger},
    ssh::{self, HostKeys},
};
use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

const HOST_KEYS: &str = "ssh.host_keys.directory";
const LEDGER: &str = "ledger.url";
const SPOOL: &str = "ledger.spool_directory";
const LISTEN: &str = "ssh.listen";

/// Problems and warnings, in the form of the config's.
#[derive(Debug, Default)]
pub(crate) struct Preflight {
    /// The problems that keep the server from starting.
    pub(crate) problems: Vec<Problem>,
    /// The warnings for an operator.
    pub(crate) warnings: Vec<Problem>,
    has_no_host_keys: bool,
    /// The files and directories that a warning already names. The config, the ledger and the host keys may share a
    /// directory.
    told: BTreeSet<PathBuf>,
}

impl Preflight {
    /// Checks the host keys, the ledger's file, its spool and their directories. The problems name `file`, the server's config
    /// file. Doesn't warn again of a directory that the config's warnings name.
    #[must_use]
    pub(crate) fn of_files(Loaded { config, warnings, .. }: &Loaded, file: &Path) -> Self {
        let of_files = warnings.iter().filter(|warning| warning.key.is_empty() && warning.line.is_none());
        let told = of_files.map(|warning| canonical(&warning.file)).collect();
        let mut preflight = Self { told, ..Self::default() };
        let ssh = &config.server.ssh;
        let host_keys = HostKeys::examine(&ssh.host_key_directory, &ssh.host_key_kinds);
        preflight.has_no_host_keys = host_keys.are_missing;
        let errors = host_keys.errors.into_iter().map(|error| problem(file, HOST_KEYS, error.to_string()));
        preflight.problems.extend(errors);
        for exposure in &host_keys.exposures {
            let way_out = exposure.is_tolerated() && exposure.path() == ssh.host_key_directory;
            let way_out = if way_out { ", or name a subdirectory, which the server makes" } else { "" };
            preflight.warn_of(file, HOST_KEYS, exposure, way_out);
        }
        match Ledger::examine(&config.server.ledger) {
            Ok(exposures) => exposures.iter().for_each(|exposure| preflight.warn_of(file, LEDGER, exposure, "")),
            Err(error) => preflight.problems.push(problem(file, LEDGER, sentence(error))),
        }
        match Ledger::examine_spool(&config.server.spool) {
            Ok(exposures) => exposures.iter().for_each(|exposure| preflight.warn_of(file, SPOOL, exposure, "")),
            Err(error) => preflight.problems.push(problem(file, SPOOL, sentence(error))),
        }
        preflight
    }

    /// Like [`Self::of_files`], and also checks the content of the ledger's file and whether the server can listen on
    /// the addresses. An address of a running server is no problem: an operator runs `check` beside it before a
    /// restart. Call it in a tokio runtime.
    pub(crate) async fn of_machine(loaded: &Loaded, file: &Path) -> Self {
        let mut preflight = Self::of_files(loaded, file);
        let config = &loaded.config;
        if Ledger::examine(&config.server.ledger).is_ok() {
            match Ledger::inspect(&config.server.ledger).await {
                Ok(History::Used) if preflight.has_no_host_keys => {
                    let message = format!(
                        "`{}` holds no host key, and the ledger is one that a server ran on: new keys will be made, and \
                         clients that know the old ones refuse to connect; put the files of the old keys back",
                        config.server.ssh.host_key_directory.display()
                    );
                    preflight.warnings.push(problem(file, HOST_KEYS, message));
                }
                Ok(_) => {}
                Err(error) => preflight.problems.push(problem(file, LEDGER, sentence(error))),
            }
        }
        for error in ssh::find_bind_errors(&config.server.ssh.listen) {
            if error.is_used_by_another_server() {
                let message = format!("{error}; another server can start when that one has stopped");
                preflight.warnings.push(problem(file, LISTEN, message));
            } else if error.error.kind() == io::ErrorKind::PermissionDenied {
                let message = format!("{error}; if the server has it, run `check` as the server is run");
                preflight.problems.push(problem(file, LISTEN, message));
            } else {
                preflight.problems.push(problem(file, LISTEN, error.to_string()));
            }
        }
        preflight
    }

    fn warn_of(&mut self, file: &Path, key: &str, exposure: &Exposure, way_out: &str) {
        if self.told.insert(canonical(exposure.path())) {
            self.warnings.push(problem(file, key, exposure.with_path() + way_out));
        }
    }
}

fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

fn problem(file: &Path, key: &str, message: String) -> Problem {
    Problem { file: file.to_owned(), line: None, key: key.to_owned(), message }
}

/// Formats an error with its causes.
fn sentence(error: impl std::error::Error + Send + Sync + 'static) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
