//! The path of the control socket, for the server and for the commands that ask it.

use super::document::ConfigTable;
use crate::files;
use std::{
    io,
    path::{self, Path, PathBuf},
};

const KEY: &str = "control_socket";
/// The default, beside the server's file.
pub(super) const DEFAULT: &str = "wharfinger.sock";
/// The directory of an installed config, in which the server's user makes no file.
const INSTALLED: &str = "/etc/wharfinger";
/// The default of an installed config.
const DEFAULT_OF_INSTALLED: &str = "/run/wharfinger/control.sock";

/// The control socket of a config.
#[derive(Debug)]
pub(crate) struct ControlPath {
    pub(crate) path: PathBuf,
    /// The reason why the server's file can't be read. The path is then the default one.
    pub(crate) problem: Option<String>,
}

impl ControlPath {
    /// Reads the path from the server's file. Other mistakes in the file don't matter: its server may run.
    #[must_use]
    pub(crate) fn of(file: &Path) -> Self {
        let text = files::open(file).and_then(io::read_to_string).map_err(|error| error.to_string());
        let table = text.and_then(|text| text.parse::<toml::Table>().map_err(|error| error.message().to_owned()));
        let beside = |name: &str| file.parent().unwrap_or(Path::new("")).join(name);
        match table.as_ref().map(|table| table.get(KEY).and_then(toml::Value::as_str)) {
            Ok(Some(path)) => Self { path: beside(path), problem: None },
            Ok(None) => Self { path: default(&beside(DEFAULT)), problem: None },
            Err(error) => {
                let problem = format!("{}: can't be read: {error}", file.display());
                Self { path: default(&beside(DEFAULT)), problem: Some(problem) }
            }
        }
    }
}

pub(super) fn read(root: &mut ConfigTable<'_>) -> PathBuf {
    let path = root.optional::<PathBuf>(KEY).map(|path| root.resolve(&path));
    path.unwrap_or_else(|| default(&root.resolve(Path::new(DEFAULT))))
}

/// Returns the default, given the path beside the server's file.
fn default(beside: &Path) -> PathBuf {
    let is_installed = path::absolute(beside).is_ok_and(|path| path.starts_with(INSTALLED));
    if is_installed { DEFAULT_OF_INSTALLED.into() } else { beside.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_of_an_installed_config_is_in_run() {
        let of = |file: &str| ControlPath::of(Path::new(file)).path;
        assert_eq!(of("/etc/wharfinger/wharfinger.toml"), Path::new("/run/wharfinger/control.sock"));
        assert_eq!(of("/etc/wharfinger/other.toml"), Path::new("/run/wharfinger/control.sock"));
        assert_eq!(of("/etc/wharfinger-2/wharfinger.toml"), Path::new("/etc/wharfinger-2/wharfinger.sock"));
        assert_eq!(of("wharfinger.toml"), Path::new("wharfinger.sock"));
    }

    #[test]
    fn a_file_with_other_mistakes_names_its_socket() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("wharfinger.toml");
        std::fs::write(&file, "control_socket = 'run/a.sock'\nno_such_key = 1\n").unwrap();
        let ControlPath { path, problem } = ControlPath::of(&file);
        assert_eq!((path, problem), (directory.path().join("run/a.sock"), None));
        std::fs::write(&file, "control_socket = \n").unwrap();
        let ControlPath { path, problem } = ControlPath::of(&file);
        assert_eq!(path, directory.path().join("wharfinger.sock"));
        assert!(problem.unwrap().contains("wharfinger.toml: can't be read: "));
    }
}
