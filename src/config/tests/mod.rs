//! Whole configs on disk: the problems of wrong configs, and the results of valid ones.

mod addresses;
mod crossing;
mod exposure;
mod loading;
mod object_settings;
mod reference;
mod roles;
mod secrets;
mod served;
mod tiers;
mod wrong;

use super::{Loaded, Problem, load};
use std::{fs, os::unix::fs::PermissionsExt as _, path::PathBuf};
use tempfile::TempDir;

/// A valid storage of a tenant.
const STORAGE: &str = "[storage]\nbucket = 'files'\nprefix = 'acme/'\nregion = 'eu-central-1'\n\
                       [storage.credentials]\ndefault_chain = true\n";

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX";

/// A config directory.
pub(super) struct Files(TempDir);

impl Files {
    /// Creates a server's file and no tenants.
    pub(super) fn new(server: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        fs::create_dir(files.path("tenants")).unwrap();
        files.chmod("tenants", 0o755);
        files.with("wharfinger.toml", server)
    }

    /// Adds the file `name`.
    pub(super) fn with(self, name: &str, text: &str) -> Self {
        fs::write(self.path(name), text).unwrap();
        self.chmod(name, 0o600);
        self
    }

    pub(super) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Adds the file of the tenant `acme`.
    pub(super) fn with_acme(self, text: &str) -> Self {
        self.with("tenants/acme.toml", text)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, Vec<Problem>> {
        load(&self.path("wharfinger.toml"))
    }

    /// Returns the problems as they are printed, without the directory.
    fn problems(&self) -> Vec<String> {
        self.load().map_or_else(|problems| self.printed(&problems), |loaded| panic!("no problem: {loaded:?}"))
    }

    /// Returns the warnings of a config without problems.
    fn warnings(&self) -> Vec<String> {
        self.printed(&self.load().unwrap().warnings)
    }

    fn printed(&self, problems: &[Problem]) -> Vec<String> {
        let directory = format!("{}/", self.0.path().display());
        problems.iter().map(|problem| problem.to_string().replace(&directory, "")).collect()
    }
}
