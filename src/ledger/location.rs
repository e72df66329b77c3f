//! The location of the ledger: a URL, parsed without connecting to anything.
//!
//! Invariant: no `Debug`, `Display` or error prints the URL's password.

use super::sqlite;
use crate::account::Secret;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use std::{
    fmt,
    path::{Path, PathBuf},
};
use url::Url;

/// The parameters that a PostgreSQL URL may have behind its `?`. For others sqlx would only print a warning, with their
/// values.
const PARAMETERS: [&str; 7] = ["sslmode", "sslrootcert", "sslcert", "sslkey", "host", "application_name", "password"];

/// The reason why a URL can't be a ledger's. It never repeats the URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// The text is no URL, or one with another scheme.
    #[error("is no URL of a ledger")]
    Scheme,
    /// The URL names no file.
    #[error("names no file, or says more than a file's name")]
    File,
    /// The URL has a parameter behind the `?` that isn't allowed.
    #[error("says something behind its `?` that isn't one of {}", PARAMETERS.join(", "))]
    Parameter,
    /// The URL names no database, or sqlx can't read the rest.
    #[error("names no user, no database, or has a part that can't be read")]
    Postgres,
}

/// The location of the ledger.
#[derive(Clone, PartialEq, Eq)]
pub enum Location {
    /// A SQLite file.
    Sqlite(PathBuf),
    /// A database on a PostgreSQL server.
    Postgres(PostgresServer),
}

/// The connection parameters of a PostgreSQL database.
#[derive(Clone)]
pub struct PostgresServer {
    pub(super) options: Box<PgConnectOptions>,
    has_password: bool,
    url: Secret,
}

/// Two servers are equal if their URLs are. sqlx's options can't be compared.
impl PartialEq for PostgresServer {
    fn eq(&self, other: &Self) -> bool {
        self.url == other.url
    }
}

impl Eq for PostgresServer {}

impl Location {
    /// Returns the write-ahead log of a SQLite file.
    pub(super) fn sqlite_log(&self) -> Option<PathBuf> {
        match self {
            Self::Sqlite(file) => Some(sqlite::log_of(file)),
            Self::Postgres(_) => None,
        }
    }

    /// Parses `sqlite:FILE` or `postgres://USER@HOST/DATABASE`.
    ///
    /// Without `sslmode` in the URL, a remote server must prove its identity with a certificate. On this machine TLS is
    /// used if the server offers it.
    ///
    /// # Errors
    /// If the URL can't be a ledger's.
    pub fn parse(url: &str) -> Result<Self, InvalidUrl> {
        if let Some(file) = url.strip_prefix("sqlite:") {
            let file = file.strip_prefix("//").unwrap_or(file);
            let is_file = !file.is_empty() && !file.ends_with('/') && !file.contains(['?', '\0']) && file != ":memory:";
            return if is_file { Ok(Self::Sqlite(file.into())) } else { Err(InvalidUrl::File) };
        }
        let url = Url::parse(url).map_err(|_| InvalidUrl::Scheme)?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(InvalidUrl::Scheme);
        }
        let says = |name: &str| url.query_pairs().any(|(key, _)| key == name);
        if url.query_pairs().any(|(key, _)| !PARAMETERS.contains(&key.as_ref())) {
            return Err(InvalidUrl::Parameter);
        }
        let options: PgConnectOptions = url.as_str().parse().map_err(|_| InvalidUrl::Postgres)?;
        if url.username().is_empty() || url.path().len() <= 1 {
            return Err(InvalidUrl::Postgres);
        }
        let is_here = options.get_socket().is_some()
            || matches!(options.get_host(), "localhost" | "127.0.0.1" | "::1" | "[::1]")
            || options.get_host().starts_with('/');
        let mode = match (says("sslmode"), is_here) {
            (true, _) => options.get_ssl_mode(),
            (false, true) => PgSslMode::Prefer,
            (false, false) => PgSslMode::VerifyFull,
        };
        let has_password = url.password().is_some() || says("password");
        let (options, url) = (Box::new(options.ssl_mode(mode)), Secret::from(url.as_str().to_owned()));
        Ok(Self::Postgres(PostgresServer { options, has_password, url }))
    }

    /// True if the URL contains a password.
    #[must_use]
    pub(crate) fn has_password(&self) -> bool {
        matches!(self, Self::Postgres(PostgresServer { has_password: true, .. }))
    }

    /// The same location, with a relative file path resolved below `directory`.
    #[must_use]
    pub(crate) fn below(self, directory: &Path) -> Self {
        match self {
            Self::Sqlite(file) => Self::Sqlite(directory.join(file)),
            server @ Self::Postgres(_) => server,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(file) => write!(f, "sqlite:{}", file.display()),
            Self::Postgres(PostgresServer { options, .. }) => {
                let database = options.get_database().unwrap_or_default();
                let host = options.get_socket().map_or_else(
                    || format!("{}:{}", options.get_host(), options.get_port()),
                    |socket| socket.display().to_string(),
                );
                write!(f, "postgres://{}@{host}/{database}", options.get_username())
            }
        }
    }
}

impl fmt::Debug for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Location({self})")
    }
}

impl fmt::Debug for PostgresServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresServer").field("host", &self.options.get_host()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        match Location::parse(url).unwrap() {
            Location::Postgres(server) => server.options.get_ssl_mode(),
            Location::Sqlite(file) => panic!("{}", file.display()),
        }
    }

    #[test]
    fn a_file_lies_beside_whoever_names_it() {
        for (url, file) in [
            ("sqlite:ledger.db", "/etc/w/ledger.db"),
            ("sqlite:../a b/l.db", "/etc/w/../a b/l.db"),
            ("sqlite:/var/l.db", "/var/l.db"),
            ("sqlite:///var/l.db", "/var/l.db"),
        ] {
            let location = Location::parse(url).unwrap().below(Path::new("/etc/w"));
            assert_eq!(location.to_string(), format!("sqlite:{file}"));
        }
    }

    #[test]
    fn what_leads_to_no_ledger_is_refused() {
        for (url, error) in [
            ("ledger.db", InvalidUrl::Scheme),
            ("mysql://u@h/d", InvalidUrl::Scheme),
            ("", InvalidUrl::Scheme),
            ("sqlite:", InvalidUrl::File),
            ("sqlite::memory:", InvalidUrl::File),
            ("sqlite:ledger.db?mode=ro", InvalidUrl::File),
            ("sqlite:/var/lib/", InvalidUrl::File),
            ("postgres://u@h", InvalidUrl::Postgres),
            ("postgres://h/d", InvalidUrl::Postgres),
            ("postgres://u@h/d?sslmode=perhaps", InvalidUrl::Postgres),
            ("postgres://u@h/d?passwort=x", InvalidUrl::Parameter),
            ("postgres://u@h/d?options=-cfsync=off", InvalidUrl::Parameter),
        ] {
            assert_eq!(Location::parse(url).unwrap_err(), error, "{url}");
        }
    }

    #[test]
    fn a_server_elsewhere_must_prove_who_it_is() {
        assert!(matches!(mode("postgres://u@db.example.com/d"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@db.example.com/d?sslmode=require"), PgSslMode::Require));
        assert!(matches!(mode("postgres://u@127.0.0.1:5433/d"), PgSslMode::Prefer));
        assert!(matches!(mode("postgres://u@localhost/d?host=/run/postgresql"), PgSslMode::Prefer));
    }

    #[test]
    fn a_password_is_known_of_and_never_printed() {
        for url in ["postgres://u:hunter2@h/d", "postgres://u@h/d?password=hunter2"] {
            let location = Location::parse(url).unwrap();
            assert!(location.has_password(), "{url}");
            let printed = format!("{location} {location:?} {location:#?}");
            assert!(printed.contains("postgres://u@h:5432/d") && !printed.contains("hunter2"), "{printed}");
        }
        assert!(!Location::parse("postgres://u@h/d").unwrap().has_password());
    }
}
