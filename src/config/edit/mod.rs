//! Edits of the tenants' files by command, under a lock, checked with the whole config before they change a file.
//!
//! Order: [`Editor::lock`] reads the config. [`Editor::edit_tenant`] or [`Editor::edit_user`] yields a [`TenantEdit`],
//! whose methods change it in memory, and which becomes [`EditedFiles`]; [`Editor::add_tenant`] and
//! [`Editor::remove_tenant`] yield these at once. [`Editor::save`] checks them and changes the files. Invariant: unless
//! `save` succeeds, each file is as before, or the error says otherwise.

mod addition;
mod array;
mod aside;
mod document;
mod error;
mod file_change;
mod key_line;
mod lock;
mod new_tenant;
mod replace;
mod tenant_edit;

pub(crate) use document::{NewMount, NewUser};
pub(crate) use error::EditError;
pub(crate) use file_change::EditedFiles;
pub(crate) use key_line::KeyLine;
pub(crate) use new_tenant::{NewAccessKey, NewRole, NewStorage, NewTenant};
pub(crate) use tenant_edit::TenantEdit;

use super::{
    ConfigReading, Problem,
    reading::{TenantFile, directory_of_tenants},
    replaced_texts::ReplacedTexts,
};
use crate::{
    cloud,
    name::{TenantName, UserName},
    tenants::TenantSetup,
};
use addition::require_apart;
use file_change::FileChange;
use lock::EditLock;
use replace::sync_directory;
use std::{
    io,
    path::{Path, PathBuf},
};

/// The answer of the running server to a request to take over an edited file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EditAnswer {
    /// No server runs with this config.
    NotRunning,
    /// The server has the new config.
    Accepted,
    /// The server doesn't take the change, for these reasons.
    Refused(Vec<String>),
}

/// The result of an edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Saved {
    /// The files said so already.
    Unchanged,
    /// The files are changed, and no server runs.
    NotRunning,
    /// The files are changed, and the server has taken the change.
    Accepted,
}

/// The config, locked for an edit.
#[derive(Debug)]
pub(crate) struct Editor {
    config: PathBuf,
    reading: ConfigReading,
    /// The texts of edits that [`Self::check_together`] counts as made. `reading` is with them.
    assumed: ReplacedTexts,
    _lock: EditLock,
}

impl Editor {
    /// Waits until other edits are done, and reads the config of the server's file `config`.
    ///
    /// # Errors
    /// The server's file isn't TOML, or the directory of the tenants can't be locked.
    pub(crate) fn lock(config: &Path) -> Result<Self, EditError> {
        let broken = || EditError::Config { problems: ConfigReading::of(config).problems() };
        let directory = directory_of_tenants(config).ok_or_else(broken)?;
        let lock = EditLock::acquire(&directory).map_err(|error| EditError::Lock { directory, error })?;
        let (reading, assumed) = (ConfigReading::of(config), ReplacedTexts::default());
        Ok(Self { config: config.to_owned(), reading, assumed, _lock: lock })
    }

    /// Begins an edit of a tenant's file.
    ///
    /// # Errors
    /// There is no such tenant, or its file has a problem.
    pub(crate) fn edit_tenant(&self, name: &TenantName) -> Result<TenantEdit, EditError> {
        let mut files = self.reading.tenant_files().iter();
        let file = files.find(|file| file.name.as_ref() == Some(name));
        self.edit(file.ok_or_else(|| EditError::UnknownTenant(name.clone()))?)
    }

    /// Begins an edit of the file of the tenant that has this user.
    ///
    /// # Errors
    /// Not exactly one tenant has the user, or its file has a problem.
    pub(crate) fn edit_user(&self, user: &UserName) -> Result<TenantEdit, EditError> {
        match self.files_of(user)[..] {
            [file] => self.edit(file),
            [] => {
                let unknown = self.reading.tenant_files().iter().filter(|file| file.setup.is_none());
                let problems = unknown.flat_map(|file| file.report.problems()).collect();
                Err(EditError::UnknownUser { user: user.clone(), problems })
            }
            ref files => {
                let tenants = files.iter().filter_map(|file| file.name.as_ref()).map(ToString::to_string).collect();
                Err(EditError::UserOfSeveral { user: user.clone(), tenants })
            }
        }
    }

    /// # Errors
    /// A tenant has a user of this name.
    pub(crate) fn require_new(&self, user: &UserName) -> Result<(), EditError> {
        match self.files_of(user).into_iter().find_map(|file| file.name.clone()) {
            Some(tenant) => Err(EditError::UserExists { user: user.clone(), tenant }),
            None => Ok(()),
        }
    }

    /// Begins the addition of a tenant, whose file must not exist. Also returns warnings about the file, and about those that
    /// could not be compared with it.
    ///
    /// # Errors
    /// There is such a tenant, another tenant has its user, role, external ID or prefix, or its file would have a problem.
    pub(crate) fn add_tenant(&self, new: &NewTenant) -> Result<(EditedFiles, Vec<Problem>), EditError> {
        let directory = self.reading.watched().directory.clone().unwrap_or_default();
        let path = directory.join(format!("{}.toml", new.name));
        if self.reading.names().any(|name| *name == new.name) {
            return Err(EditError::TenantExists { tenant: new.name.clone(), path });
        }
        for user in &new.users {
            self.require_new(&user.name)?;
        }
        let mut warnings = require_apart(new, self.reading.tenant_files())?;
        let problem = |key: &str, message| {
            let problem = Problem { file: path.clone(), line: None, key: key.to_owned(), message };
            EditError::NewProblems { problems: vec![problem] }
        };
        let text = new.text().map_err(|error| problem("", format!("isn't TOML: {}", error.message())))?;
        let change = FileChange::New { path: path.clone(), text, like: self.config.clone() };
        let edit = EditedFiles::new(&path, vec![change]);
        let reading = self.read_with(&edit)?;
        if let Some(file) = reading.tenant_files().iter().find(|file| file.path == path) {
            if let Some(setup) = &file.setup {
                // For the file of a tenant that is served already this is a warning.
                cloud::check_bucket(&setup.storage).map_err(|error| problem("storage.bucket", error.to_string()))?;
            }
            warnings.extend(file.report.warnings());
        }
        Ok((edit, warnings))
    }

    /// Checks the additions of several tenants: each as [`Self::add_tenant`] does, but as if those before it that have
    /// passed were there. Returns a result for each. The editor could not save any of them alone, and is consumed.
    pub(crate) fn check_together(
        mut self,
        tenants: &[NewTenant],
    ) -> Vec<Result<(EditedFiles, Vec<Problem>), EditError>> {
        let mut results = Vec::new();
        for new in tenants {
            let result = self.add_tenant(new);
            if let Ok((edit, _)) = &result {
                self.assumed = edit.add_to(self.assumed);
                self.reading = ConfigReading::with(&self.config, &self.assumed);
            }
            results.push(result);
        }
        results
    }

    /// Returns a tenant as its file states it, or `None` if there is no such tenant.
    ///
    /// # Errors
    /// Its file has a problem.
    pub(crate) fn tenant(&self, name: &TenantName) -> Result<Option<&TenantSetup>, EditError> {
        let mut files = self.reading.tenant_files().iter();
        let Some(file) = files.find(|file| file.name.as_ref() == Some(name)) else { return Ok(None) };
        let broken = || EditError::BrokenFile { path: file.path.clone(), problems: file.report.problems() };
        file.setup.as_ref().ok_or_else(broken).map(Some)
    }

    /// Begins the removal of a tenant's file, whatever is in it. Of a link, the link is removed.
    ///
    /// # Errors
    /// There is no such tenant, or its file can't be read.
    pub(crate) fn remove_tenant(&self, name: &TenantName) -> Result<EditedFiles, EditError> {
        let mut files = self.reading.tenant_files().iter();
        let file = files.find(|file| file.name.as_ref() == Some(name));
        let path = file.map(|file| file.path.clone()).ok_or_else(|| EditError::UnknownTenant(name.clone()))?;
        let change = FileChange::removal(&path)?;
        Ok(EditedFiles::new(&path, vec![change]))
    }

    fn files_of(&self, user: &UserName) -> Vec<&TenantFile> {
        self.reading.tenant_files().iter().filter(|file| file.claims.users().any(|name| name == user)).collect()
    }

    fn edit(&self, file: &TenantFile) -> Result<TenantEdit, EditError> {
        let problems = file.report.problems();
        if !problems.is_empty() {
            return Err(EditError::BrokenFile { path: file.path.clone(), problems });
        }
        TenantEdit::of(&file.path, self.reading.watched().named.clone())
    }

    /// Checks the edit with the whole config, changes the files, and has the server reload them with `ask_reload`, which
    /// gets the server's file and the tenant's.
    /// Puts back the former files if the server refuses the edit.
    ///
    /// # Errors
    /// The edit would bring a problem, a file can't be changed, or the server refuses the edit.
    pub(crate) fn save(
        &self,
        edit: &EditedFiles,
        ask_reload: &dyn Fn(&Path, &Path) -> EditAnswer,
    ) -> Result<Saved, EditError> {
        self.save_with(edit, ask_reload, &sync_directory)
    }

    /// Like [`Self::save`]. `sync` makes the change of a file outlast a power cut.
    fn save_with(
        &self,
        edit: &EditedFiles,
        ask_reload: &dyn Fn(&Path, &Path) -> EditAnswer,
        sync: &dyn Fn(&Path) -> io::Result<()>,
    ) -> Result<Saved, EditError> {
        if edit.is_empty() {
            return Ok(Saved::Unchanged);
        }
        self.read_with(edit)?;
        edit.make(sync)?;
        let saved = match ask_reload(&self.config, edit.tenant()) {
            EditAnswer::NotRunning => Saved::NotRunning,
            EditAnswer::Accepted => Saved::Accepted,
            EditAnswer::Refused(reasons) => {
                if let Err((path, error)) = edit.undo(sync) {
                    return Err(EditError::NotPutBack { reasons, path, error });
                }
                // The server then has no file that it refuses. Its config is the same again, whatever it answers.
                ask_reload(&self.config, edit.tenant());
                return Err(edit.refused(reasons));
            }
        };
        edit.finish()?;
        Ok(saved)
    }

    /// Returns the config as it would be with the edit.
    ///
    /// # Errors
    /// The edit would bring a problem.
    fn read_with(&self, edit: &EditedFiles) -> Result<ConfigReading, EditError> {
        let reading = ConfigReading::with(&self.config, &edit.add_to(self.assumed.clone()));
        let problems = reading.problems_since(&self.reading);
        if problems.is_empty() { Ok(reading) } else { Err(EditError::NewProblems { problems }) }
    }
}

#[cfg(test)]
mod tests;
