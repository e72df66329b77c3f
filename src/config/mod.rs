//! Reads the files into a typed, validated [`Config`]: `wharfinger.toml` for the server, `tiers.toml` for limits
//! that tenants share, `tenants/<tenant>.toml` for each tenant.
//!
//! Every field has a type that can't hold a wrong value, so no later code validates it. All problems are reported at
//! once, each [`Problem`] with file, line and key. [`load`] does IO (it also reads secret and key files); the
//! [`Config`] does none.
//!
//! Reading order: `server`, `tenant`, `user`, then `document`, which they use.

mod assume_role;
mod bucket_address;
mod control;
mod credentials;
mod document;
pub(crate) mod edit;
mod exposure;
mod interface_endpoint;
mod ledger;
mod limits;
mod login;
mod memory;
mod object_settings;
pub(crate) mod overview;
mod problem;
mod reading;
mod replaced_texts;
mod secret;
mod served;
mod server;
mod ssh;
mod storage;
mod tenant;
mod tenant_claims;
mod tiers;
mod user;
mod user_mounts;
mod value;
mod watched;

pub(crate) use control::ControlPath;
pub use problem::Problem;
pub(crate) use reading::ConfigReading;
pub(crate) use served::{RefusedTenant, ServedTenants};
pub(crate) use server::{Log, LogFormat, ServerSettings};
pub(crate) use storage::{AccessPointArn, AccountId, BucketName, Endpoint, Region};
pub(crate) use watched::{ConfigContents, WatchedFiles};

use crate::{files, tenants::TenantSetup};
use std::{io, path::Path};

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
    /// The tenants of the config, to be compared with the next reading.
    pub(crate) served: ServedTenants,
    /// The tenants that the config leaves out because of their files.
    pub(crate) refused: Vec<RefusedTenant>,
    /// The files whose changes may change the config.
    pub(crate) watched: WatchedFiles,
}

/// Loads the server's file, the files of all tenants, and the files that these name.
///
/// # Errors
/// All problems, in the order of files and lines.
pub fn load(file: &Path) -> Result<Loaded, Vec<Problem>> {
    let reading = ConfigReading::of(file);
    let problems = reading.problems();
    if problems.is_empty() { loaded(reading) } else { Err(problems) }
}

/// Loads the config of a server that starts. Unless the server's file says `strict = true`, it leaves out tenants whose
/// files have a problem.
///
/// # Errors
/// All problems, in the order of files and lines.
pub(crate) fn load_to_serve(file: &Path) -> Result<Loaded, Vec<Problem>> {
    let reading = ConfigReading::of(file);
    match reading.server() {
        Ok(server) if !server.strict => loaded(reading),
        _ => load(file),
    }
}

fn loaded(reading: ConfigReading) -> Result<Loaded, Vec<Problem>> {
    let (settings, mut warnings, watched) = (reading.server()?.clone(), reading.warnings(), reading.watched().clone());
    let (served, refused) = reading.served_after(&ServedTenants::default());
    let config = Config { server: settings, tenants: served.setups() };
    warnings.extend(memory::check_warning(&config, &watched.file));
    Ok(Loaded { config, warnings, served, refused, watched })
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

#[cfg(test)]
mod tests;
