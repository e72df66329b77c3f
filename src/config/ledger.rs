//! The `[ledger]` table: the URL of the SQL database, or the place of the URL if it holds a password, the spool, and the
//! time for which records stay.

use super::{
    document::ConfigTable,
    secret,
    value::{ByteSize, Value},
};
use crate::ledger::{Location, RecordRetention, RetentionPeriod, SpoolSettings};
use std::{
    fs,
    num::NonZeroU32,
    path::{Path, PathBuf},
};
use toml::de::DeValue;

const TAKES: &str = "`sqlite:FILE` or `postgres://USER@HOST/DATABASE`";

/// The least that `spool_bytes` takes: the lines of some ten thousand records.
const LEAST_SPOOL_BYTES: u64 = 16 << 20;

/// Reads the table, and connects to nothing.
pub(super) fn read(
    ledger: &mut ConfigTable<'_>,
    default: Location,
) -> Option<(Location, SpoolSettings, RecordRetention)> {
    let location = read_location(ledger, default);
    let spool = read_spool(ledger, &location);
    let retention = ledger.table("retention", |retention| Some(read_retention(retention)))?;
    Some((location, spool, retention))
}

fn read_retention(retention: &mut ConfigTable<'_>) -> RecordRetention {
    let default = RecordRetention::default();
    RecordRetention {
        transfers: retention.or("transfers_days", default.transfers),
        sessions: retention.or("sessions_days", default.sessions),
        changes: retention.or("changes_days", default.changes),
        refusals: retention.or("refusals_days", default.refusals),
        operations: retention.or("operations_days", default.operations),
    }
}

impl Value for RetentionPeriod {
    const TAKES: &'static str = "a number of days from 1 on, or \"unlimited\"";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        match raw.as_str() {
            Some("unlimited") => Ok(Self::Unlimited),
            Some(text) => Err(format!("`{text}` is no number; it takes {}", Self::TAKES)),
            None if raw.as_integer().is_some() => {
                NonZeroU32::read(raw).map(Self::Days).map_err(|error| format!("{error}, or \"unlimited\""))
            }
            None => Err(Self::refuse(raw)),
        }
    }
}

/// Returns the directory of the spool if the config names none. For a SQLite file it is beside the file itself, where
/// SQLite makes its other files too: the directory of a link to it needn't be writable.
fn default_spool(location: &Location) -> PathBuf {
    match location {
        Location::Sqlite(file) => {
            let target = Some(file).filter(|file| file.is_symlink()).and_then(|link| fs::canonicalize(link).ok());
            SpoolSettings::beside(target.as_ref().unwrap_or(file)).directory
        }
        Location::Postgres(_) => "spool".into(),
    }
}

fn read_spool(ledger: &mut ConfigTable<'_>, location: &Location) -> SpoolSettings {
    let directory = ledger.or("spool_directory", default_spool(location));
    let directory = ledger.resolve(&directory);
    let ByteSize(max_bytes) = ledger.or("spool_bytes", ByteSize(SpoolSettings::DEFAULT_MAX_BYTES));
    if max_bytes < LEAST_SPOOL_BYTES {
        ledger.problem("spool_bytes", format!("is too small; it takes {} or more", ByteSize(LEAST_SPOOL_BYTES)));
    }
    SpoolSettings { directory, max_bytes }
}

/// Reads at most one URL. Returns `default` if there is none. No message repeats a URL.
fn read_location(ledger: &mut ConfigTable<'_>, default: Location) -> Location {
    let inline = ledger.optional::<String>("url").map(|url| ("url", url));
    let from_file = secret::secret_file(ledger, "url_file").map(|url| ("url_file", url));
    let from_variable = secret::variable(ledger, "url_env").map(|url| ("url_env", url));
    let keys = ["url", "url_file", "url_env"].into_iter().filter(|key| ledger.has(key)).count();
    if keys > 1 {
        ledger.problem_here::<()>("it has more than one URL; it takes one of `url`, `url_file` and `url_env`");
    }
    let url = inline.or(from_file).or(from_variable);
    let location = url.and_then(|(key, url)| parse(ledger, key, &url)).unwrap_or(default);
    location.below(&ledger.resolve(Path::new("")))
}

fn parse(ledger: &ConfigTable<'_>, key: &str, url: &str) -> Option<Location> {
    match Location::parse(url) {
        Ok(location) if key == "url" && location.has_password() => {
            let message = "holds a password, which doesn't belong here; put the URL into a file of mode 0600 that \
                           `url_file` names, or into an environment variable that `url_env` names";
            ledger.problem(key, message);
            None
        }
        Ok(location) => Some(location),
        Err(error) => {
            ledger.problem(key, format!("{error}; it takes {TAKES}"));
            None
        }
    }
}
