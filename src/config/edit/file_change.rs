//! The files of one edit: each is made, replaced or removed, all of them or none.
//!
//! A change can be undone until [`EditedFiles::finish`].

use super::{
    aside::{aside, bring_back, delete_aside, set_aside},
    error::EditError,
    replace::{ReplaceError, create, replace},
};
use crate::{config::replaced_texts::ReplacedTexts, files};
use std::{
    fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// The changes of an edit, in the order in which they are made.
#[derive(Debug)]
pub(crate) struct EditedFiles {
    /// The tenant's file, as the config's directory has it.
    tenant: PathBuf,
    pub(super) changes: Vec<FileChange>,
}

/// A change of one file.
#[derive(Debug)]
pub(super) enum FileChange {
    /// The file isn't there yet. It gets owner and mode of the file `like`.
    New {
        path: PathBuf,
        text: String,
        like: PathBuf,
    },
    Replaced(EditedFile),
    /// The file, or the link of this name, goes. `former` is its content.
    Removed {
        path: PathBuf,
        former: Vec<u8>,
    },
}

/// A file with its former and its new text.
#[derive(Clone, Debug)]
pub(super) struct EditedFile {
    pub(super) path: PathBuf,
    /// The path without links.
    pub(super) target: PathBuf,
    pub(super) former: String,
    pub(super) text: String,
}

impl EditedFile {
    /// Reads a file that may be replaced, and resolves links to it.
    pub(super) fn read(path: &Path) -> Result<Self, EditError> {
        let unreadable = |error| EditError::Unreadable { path: path.to_owned(), error };
        let target = fs::canonicalize(path).map_err(unreadable)?;
        let text = files::open(&target).and_then(io::read_to_string).map_err(unreadable)?;
        Ok(Self { path: path.to_owned(), target, former: text.clone(), text })
    }

    pub(super) fn is_changed(&self) -> bool {
        self.text != self.former
    }
}

impl FileChange {
    /// Returns the removal of a file with the content that it has now.
    pub(super) fn removal(path: &Path) -> Result<Self, EditError> {
        let mut former = Vec::new();
        let read = files::open(path).and_then(|mut file| file.read_to_end(&mut former));
        read.map_err(|error| EditError::Unreadable { path: path.to_owned(), error })?;
        Ok(Self::Removed { path: path.to_owned(), former })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Replaced(file) => &file.path,
            Self::New { path, .. } | Self::Removed { path, .. } => path,
        }
    }

    /// Returns the path whose directory has the change.
    fn target(&self) -> &Path {
        match self {
            Self::Replaced(file) => &file.target,
            Self::New { path, .. } | Self::Removed { path, .. } => path,
        }
    }

    fn make(&self) -> Result<(), ReplaceError> {
        match self {
            Self::New { path, text, like } => create(path, text, like),
            Self::Replaced(file) => replace(&file.target, &file.former, &file.text),
            Self::Removed { path, former } => set_aside(path, former),
        }
    }

    fn undo(&self) -> Result<(), ReplaceError> {
        match self {
            Self::New { path, text, .. } => {
                set_aside(path, text.as_bytes())?;
                delete_aside(path)
            }
            Self::Replaced(file) => replace(&file.target, &file.text, &file.former),
            Self::Removed { path, .. } => bring_back(path),
        }
    }
}

impl EditedFiles {
    /// `tenant` is the tenant's file.
    pub(super) fn new(tenant: &Path, changes: Vec<FileChange>) -> Self {
        Self { tenant: tenant.to_owned(), changes }
    }

    /// Returns the tenant's file.
    pub(crate) fn tenant(&self) -> &Path {
        &self.tenant
    }

    /// True if the files say so already.
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Adds the files' new texts to `texts`, for a check before they change.
    pub(super) fn add_to(&self, mut texts: ReplacedTexts) -> ReplacedTexts {
        for change in &self.changes {
            match change {
                FileChange::New { path, text, .. } => texts.add(path.clone(), text.clone()),
                FileChange::Replaced(file) => texts.insert(file.target.clone(), file.text.clone()),
                FileChange::Removed { path, .. } => texts.remove(path.clone()),
            }
        }
        texts
    }

    /// Makes the changes, all or none. `sync` makes the change of a file outlast a power cut.
    ///
    /// # Errors
    /// A file can't be changed.
    pub(super) fn make(&self, sync: &dyn Fn(&Path) -> io::Result<()>) -> Result<(), EditError> {
        for (index, change) in self.changes.iter().enumerate() {
            let (error, done) = match change.make().map(|()| sync(change.target()).map_err(ReplaceError::Unsynced)) {
                Ok(Ok(())) => continue,
                // This file is changed.
                Ok(Err(error)) => (error, index.saturating_add(1)),
                Err(error) => (error, index),
            };
            return Err(match undo(self.changes.get(..done).unwrap_or_default(), sync) {
                Ok(()) => EditError::Replace { path: change.path().to_owned(), error },
                Err((path, undone)) => EditError::NotUndone { path, reason: error, error: undone },
            });
        }
        Ok(())
    }

    /// Undoes the changes. The files are then as before.
    ///
    /// # Errors
    /// A file can't be changed: this one, and those before it, have the change.
    pub(super) fn undo(&self, sync: &dyn Fn(&Path) -> io::Result<()>) -> Result<(), (PathBuf, ReplaceError)> {
        undo(&self.changes, sync)
    }

    /// Returns the error for an edit that was undone because the server refused it.
    pub(super) fn refused(&self, reasons: Vec<String>) -> EditError {
        if matches!(self.changes[..], [FileChange::New { .. }]) {
            return EditError::NotAdded { reasons, path: self.tenant.clone() };
        }
        EditError::PutBack { reasons }
    }

    /// Deletes the files that [`Self::undo`] would bring back.
    ///
    /// # Errors
    /// A removed file can't be deleted. It is hidden, and no part of the config.
    pub(super) fn finish(&self) -> Result<(), EditError> {
        for change in &self.changes {
            if let FileChange::Removed { path, .. } = change {
                delete_aside(path).map_err(|error| EditError::NotDeleted { path: aside(path), error })?;
            }
        }
        Ok(())
    }
}

/// Undoes the changes, the last one first. A directory that can't be synced doesn't matter: the files are as before, and
/// an earlier error says that the disk fails.
fn undo(changes: &[FileChange], sync: &dyn Fn(&Path) -> io::Result<()>) -> Result<(), (PathBuf, ReplaceError)> {
    for change in changes.iter().rev() {
        change.undo().map_err(|error| (change.path().to_owned(), error))?;
        let _ = sync(change.target());
    }
    Ok(())
}
