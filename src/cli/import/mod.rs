//! `wharfinger import`: writes the files of tenants that another service has served.

mod left_out;
mod present;
mod tenants;

use super::{config_file::ConfigFile, keys::is_stdin, table::escaped};
use crate::onboarding::{ExportFile, ImportPlan, MAX_EXPORT_BYTES, sftpgo, transfer_family};
use anyhow::{Context as _, Result, ensure};
use clap::Subcommand;
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Write the files of tenants that another service has served
///
/// It says what has no counterpart here. All files are checked together with the config before the first is written, and
/// each is written as a whole or not at all. A tenant that exists is left alone, and users that its file lacks are named.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct ImportCommand {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    source: ImportSource,
}

#[derive(Debug, Subcommand)]
enum ImportSource {
    /// Import AWS Transfer Family's users from the JSON of `aws transfer describe-server`, `list-users` and
    /// `describe-user`
    ///
    /// A file may have several of these one after the other. Users with one role and one bucket become a tenant.
    TransferFamily {
        /// The files; `-` is stdin
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
        /// The region of the buckets [default: that of the Transfer Family server]
        #[arg(long)]
        region: Option<String>,
        /// Check and report, and print the files instead of writing them
        #[arg(long)]
        dry_run: bool,
    },
    /// Import SFTPGo's users whose files are on S3, from a dump as `/api/v2/dumpdata` gives it
    ///
    /// Users with one bucket and one identity become a tenant. Hashes of argon2id go on; users with another one need a new
    /// password.
    Sftpgo {
        /// The dump; `-` is stdin
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The region of the buckets whose region the dump doesn't state
        #[arg(long)]
        region: Option<String>,
        /// Check and report, and print the files instead of writing them
        #[arg(long)]
        dry_run: bool,
    },
}

impl ImportCommand {
    /// Exits with 1 if a tenant could not be imported, or if the file of one that exists lacks a user. Notes are no
    /// failures.
    ///
    /// # Errors
    /// The input is malformed, or the config can't be read or locked: nothing was written.
    pub(super) fn run(self) -> Result<ExitCode> {
        let (plan, dry_run) = match self.source {
            ImportSource::TransferFamily { files, region, dry_run } => {
                let files = files.iter().map(|file| read(file)).collect::<Result<Vec<_>>>()?;
                (transfer_family(&files, region.as_deref())?, dry_run)
            }
            ImportSource::Sftpgo { file, region, dry_run } => (sftpgo(&read(&file)?, region.as_deref())?, dry_run),
        };
        // The notes hold whatever becomes of the files.
        tell(&plan);
        tenants::import(self.config.path(), &plan, dry_run)
    }
}

/// Prints the notes of the plan.
fn tell(plan: &ImportPlan) {
    for note in &plan.notes {
        eprintln!("note: {}", escaped(note));
    }
    if plan.tenants.is_empty() {
        eprintln!("no user could be imported");
    }
}

/// Reads a file, or stdin.
fn read(file: &Path) -> Result<ExportFile> {
    let name = if is_stdin(file) { "stdin".to_owned() } else { file.display().to_string() };
    let input: Box<dyn Read> = if is_stdin(file) {
        Box::new(io::stdin().lock())
    } else {
        Box::new(File::open(file).with_context(|| format!("{name} can't be read"))?)
    };
    let mut text = String::new();
    let bytes = input.take(MAX_EXPORT_BYTES.saturating_add(1)).read_to_string(&mut text);
    let bytes = bytes.with_context(|| format!("{name} can't be read"))?;
    ensure!(bytes as u64 <= MAX_EXPORT_BYTES, "{name} is larger than {} MiB", MAX_EXPORT_BYTES >> 20);
    Ok(ExportFile { name, text })
}
