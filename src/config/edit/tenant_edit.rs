//! An edit of one tenant's file, and of the files with keys and password hashes that it names, in memory.

use super::{
    document::{EditedTable, NewUser, TenantDocument},
    error::EditError,
    file_change::{EditedFile, EditedFiles, FileChange},
    key_line::KeyLine,
};
use crate::{config::Problem, name::UserName};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// An edit of a tenant's file.
#[derive(Debug)]
pub(crate) struct TenantEdit {
    file: EditedFile,
    document: TenantDocument,
    /// Changes of files that the tenant's file names.
    named: Vec<EditedFile>,
    /// The files that keys of the config name, once for each key.
    all_named: Vec<PathBuf>,
}

impl TenantEdit {
    pub(in crate::config) fn of(path: &Path, all_named: Vec<PathBuf>) -> Result<Self, EditError> {
        let file = EditedFile::read(path)?;
        let document = TenantDocument::parse(&file.former).map_err(|error| {
            let message = format!("isn't TOML: {}", error.message());
            let problem = Problem { file: path.to_owned(), line: None, key: String::new(), message };
            EditError::BrokenFile { path: path.to_owned(), problems: vec![problem] }
        })?;
        Ok(Self { file, document, named: Vec::new(), all_named })
    }

    /// Returns the tenant's file.
    pub(crate) fn path(&self) -> &Path {
        &self.file.path
    }

    /// Enables or disables the tenant.
    pub(crate) fn set_enabled(&mut self, enabled: bool) {
        self.document.set_enabled(enabled);
    }

    pub(crate) fn add_user(&mut self, user: &NewUser) {
        self.document.add_user(user);
    }

    /// # Errors
    /// There is no such user.
    pub(crate) fn remove_user(&mut self, user: &UserName) -> Result<(), EditError> {
        if self.document.remove_user(user) { Ok(()) } else { Err(unknown(user)) }
    }

    /// # Errors
    /// There is no such user.
    pub(crate) fn set_user_enabled(&mut self, user: &UserName, enabled: bool) -> Result<(), EditError> {
        self.table(user)?.set_enabled(enabled);
        Ok(())
    }

    /// Sets the hash of the user's password, in the file that `password_hash_file` names if there is one.
    ///
    /// # Errors
    /// There is no such user, or the file can't be read or is that of several users.
    pub(crate) fn set_password_hash(&mut self, user: &UserName, hash: &str) -> Result<(), EditError> {
        let mut table = self.table(user)?;
        let Some(file) = table.string("password_hash_file").map(PathBuf::from) else {
            table.set_password_hash(hash);
            return Ok(());
        };
        let mut change = self.named_file(&file)?;
        change.text = format!("{hash}\n");
        self.named.push(change);
        Ok(())
    }

    /// Adds a key to the user's `public_keys`, or to the file that `public_keys_file` names if the user has that alone.
    ///
    /// # Errors
    /// The user has the key, or the file can't be read or is that of several users.
    pub(crate) fn add_key(&mut self, user: &UserName, key: &KeyLine) -> Result<(), EditError> {
        let (own, in_file) = (self.table(user)?.keys(), self.keys_file(user)?);
        let known = in_file.as_ref().map_or_else(Vec::new, |file| keys_in(&file.text));
        if own.iter().chain(&known).any(|other| other.fingerprint == key.fingerprint) {
            return Err(EditError::KeyExists { user: user.clone(), fingerprint: key.fingerprint.clone() });
        }
        match in_file {
            Some(mut file) if !self.table(user)?.has_keys() => {
                self.require_own(&file)?;
                if !file.text.is_empty() && !file.text.ends_with('\n') {
                    file.text.push('\n');
                }
                file.text.push_str(&key.line);
                file.text.push('\n');
                self.named.push(file);
            }
            _ => self.table(user)?.add_key(key),
        }
        Ok(())
    }

    /// Removes the key with this fingerprint or comment, wherever it is stated. Returns the key.
    ///
    /// # Errors
    /// Not exactly one key is called so, the user could not log in without it, or the file with it can't be read or is
    /// that of several users.
    pub(crate) fn remove_key(&mut self, user: &UserName, called: &str) -> Result<KeyLine, EditError> {
        let (own, file) = (self.table(user)?.keys(), self.keys_file(user)?);
        let in_file = file.as_ref().map_or_else(Vec::new, |file| keys_in(&file.text));
        let all = || own.iter().chain(&in_file);
        let mut found: Vec<&KeyLine> = all().filter(|key| key.is_called(called)).collect();
        found.sort_by_key(|key| &key.fingerprint);
        found.dedup_by_key(|key| &key.fingerprint);
        let removed = match found[..] {
            [key] => key.clone(),
            [] => return Err(EditError::UnknownKey { user: user.clone() }),
            ref keys => {
                let fingerprints = keys.iter().map(|key| key.fingerprint.clone()).collect();
                return Err(EditError::AmbiguousKey { user: user.clone(), fingerprints });
            }
        };
        let is_it = |key: &KeyLine| key.fingerprint == removed.fingerprint;
        let mut table = self.table(user)?;
        if !table.has_password() && !all().any(|key| key.is_usable && !is_it(key)) {
            return Err(EditError::LastCredential { user: user.clone() });
        }
        table.remove_key(&removed.fingerprint);
        if let Some(mut file) = file.filter(|_| in_file.iter().any(is_it)) {
            self.require_own(&file)?;
            let stays = |line: &&str| !KeyLine::parse(line).is_some_and(|key| is_it(&key));
            file.text = file.text.split_inclusive('\n').filter(stays).collect();
            self.named.push(file);
        }
        Ok(removed)
    }

    /// Returns the keys of the user, those of its file too.
    ///
    /// # Errors
    /// There is no such user, or the file can't be read.
    pub(crate) fn keys(&mut self, user: &UserName) -> Result<Vec<KeyLine>, EditError> {
        let mut keys = self.table(user)?.keys();
        keys.extend(self.keys_file(user)?.into_iter().flat_map(|file| keys_in(&file.text)));
        Ok(keys)
    }

    fn table(&mut self, user: &UserName) -> Result<EditedTable<'_>, EditError> {
        self.document.user(user).ok_or_else(|| unknown(user))
    }

    fn keys_file(&mut self, user: &UserName) -> Result<Option<EditedFile>, EditError> {
        let file = self.table(user)?.string("public_keys_file").map(PathBuf::from);
        file.map(|file| self.read_named(&file)).transpose()
    }

    fn read_named(&self, file: &Path) -> Result<EditedFile, EditError> {
        EditedFile::read(&self.path().parent().unwrap_or(Path::new("")).join(file))
    }

    fn named_file(&self, file: &Path) -> Result<EditedFile, EditError> {
        let file = self.read_named(file)?;
        self.require_own(&file)?;
        Ok(file)
    }

    /// Requires that one key of the config alone names the file.
    fn require_own(&self, file: &EditedFile) -> Result<(), EditError> {
        let same = |named: &&PathBuf| fs::canonicalize(named).is_ok_and(|named| named == file.target);
        match self.all_named.iter().filter(same).count() {
            0 | 1 => Ok(()),
            _ => Err(EditError::SharedFile { path: file.path.clone() }),
        }
    }
}

/// The files whose text the edit changes, the named ones first: the tenant's file may need them.
impl From<TenantEdit> for EditedFiles {
    fn from(edit: TenantEdit) -> Self {
        let tenant = EditedFile { text: edit.document.text(), ..edit.file };
        let path = tenant.path.clone();
        let changed = edit.named.into_iter().chain([tenant]).filter(EditedFile::is_changed);
        Self::new(&path, changed.map(FileChange::Replaced).collect())
    }
}

fn unknown(user: &UserName) -> EditError {
    EditError::UnknownUser { user: user.clone(), problems: Vec::new() }
}

fn keys_in(text: &str) -> Vec<KeyLine> {
    text.lines().filter_map(KeyLine::parse).collect()
}
