//! Reads the files into a typed, validated [`Config`]: `wharfinger.toml` for the server, `tenants/<tenant>.toml` for
//! each tenant.
//!
//! Every field has a type that can't hold a wrong value, so no later code validates it. All problems are reported at
//! once, each [`Problem`] with file, line and key. [`load`] does IO (it also reads secret and key files); the
//! [`Config`] does none.
//!
//! Reading order: `server`, `tenant`, `user`, then `document`, which they use.

mod assume_role;
mod credentials;
mod document;
mod exposure;
mod ledger;
mod login;
mod problem;
mod secret;
mod server;
mod ssh;
mod storage;
mod tenant;
mod tenant_claims;
mod user;
mod user_mounts;
mod value;

pub(crate) use problem::Problem;
pub(crate) use server::{Log, LogFormat, ServerSettings};

use crate::{files, tenants::TenantSetup};
use document::{ConfigDocument, ConfigTable};
use problem::{Report, Spot};
use std::{
    fs, io,
    path::{Path, PathBuf},
};
use tenant_claims::TenantClaims;

/// The whole config.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) server: ServerSettings,
    /// The tenants, in the order of their names.
    pub tenants: Vec<TenantSetup>,
}

/// A usable config and its warnings.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The config.
    pub config: Config,
    /// Settings that look wrong, or are weaker than possible.
    pub warnings: Vec<Problem>,
}

/// Loads the server's file, the files of all tenants, and the files that these name.
///
/// # Errors
/// All problems, in the order of files and lines.
pub fn load(file: &Path) -> Result<Loaded, Vec<Problem>> {
    let report = Report::default();
    let config = read(file, &report);
    let (problems, warnings) = report.into_parts();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
        _ => Err(problems),
    }
}

/// Returns the log format that `file` selects, even if the rest of the file is wrong.
#[must_use]
pub(crate) fn log_format(file: &Path) -> LogFormat {
    let root: toml::Table =
        files::open(file).and_then(io::read_to_string).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    match root.get("log").and_then(|log| log.get("format")).and_then(toml::Value::as_str) {
        Some("json") => LogFormat::Json,
        _ => LogFormat::Human,
    }
}

fn read(file: &Path, report: &Report) -> Option<Config> {
    let (server, tenant_files) =
        read_file(file, report, |root| Some((ServerSettings::read(root), tenant_files(root))))?;
    let mut shared = TenantClaims::default();
    let read_tenant = |file| read_file(file, report, |root| tenant::read(root, file, &mut shared));
    let tenants = tenant_files.iter().map(PathBuf::as_path).filter_map(read_tenant).collect();
    shared.report_overlaps(report);
    Some(Config { server: server?, tenants })
}

fn read_file<T>(file: &Path, report: &Report, read: impl FnOnce(&mut ConfigTable<'_>) -> Option<T>) -> Option<T> {
    match files::open(file).and_then(io::read_to_string) {
        Ok(text) => {
            exposure::check_file(file, report);
            ConfigDocument::read(file, &text, report, read)
        }
        Err(error) => {
            report.problem(&Spot::of(file), format!("can't be read: {error}"));
            None
        }
    }
}

/// Returns the tenants' files: the `*.toml` files in their directory, except hidden ones, which editors leave as
/// copies.
fn tenant_files(root: &mut ConfigTable<'_>) -> Vec<PathBuf> {
    const KEY: &str = "tenants_directory";
    let directory = root.or(KEY, PathBuf::from("tenants"));
    let directory = root.resolve(&directory);
    exposure::check_tenants_directory(&directory, root.report());
    let entries = fs::read_dir(&directory).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    let mut files: Vec<PathBuf> = match entries {
        Ok(entries) => entries.into_iter().map(|entry| entry.path()).filter(|file| is_tenant_file(file)).collect(),
        Err(error) => {
            let message = format!(
                "`{}` can't be read ({error}); it takes a directory, relative to this file's",
                directory.display()
            );
            root.problem(KEY, message);
            return Vec::new();
        }
    };
    if files.is_empty() {
        let message = format!("`{}` holds no tenant, `*.toml`: no user can log in", directory.display());
        root.report().warning(&root.spot(KEY), message);
    }
    files.sort();
    files
}

fn is_tenant_file(file: &Path) -> bool {
    let hidden = file.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && file.extension().is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests;
