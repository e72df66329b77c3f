//! The `[ledger]` table: the URL of the SQL database, or the place of the URL if it holds a password.

use super::{document::ConfigTable, secret};
use crate::ledger::Location;
use std::path::Path;

const TAKES: &str = "`sqlite:FILE` or `postgres://USER@HOST/DATABASE`";

/// Reads at most one URL, and connects to nothing. Returns `default` if there is none. No message repeats a URL.
pub(super) fn read(ledger: &mut ConfigTable<'_>, default: Location) -> Location {
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
