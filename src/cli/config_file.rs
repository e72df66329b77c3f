//! The option `--config` of most commands.

use clap::Args;
use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
};

/// The place of the config.
#[derive(Debug, Args)]
pub(super) struct ConfigFile {
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
    pub(super) fn path(&self) -> &Path {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
