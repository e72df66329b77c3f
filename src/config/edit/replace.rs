//! Replaces a file by a new version of itself, whole or not at all, with owner, group, mode, ACL and other extended
//! attributes kept. Makes a new file, whole or not at all, and never in place of another one.
//!
//! The new version is written to a hidden file in the same directory, synced, and renamed. The caller has the lock of
//! the tenants' directory, so that no other edit uses the hidden file.

use crate::files;
use rustix::{
    fs::{CWD, RenameFlags, XattrFlags, fgetxattr, flistxattr, fremovexattr, fsetxattr, renameat_with},
    io::Errno,
};
use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, Permissions},
    io::{self, Read as _, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
};

/// The reason why a file was not changed. The file is as before, except after [`ReplaceError::Unsynced`].
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    #[error("another program changed the file in the meantime")]
    Changed,
    #[error("another program has made a file of this name in the meantime")]
    Appeared,
    #[error(
        "it belongs to another user (uid {uid}, gid {gid}), which the new version must keep: run this as that user or \
             as root"
    )]
    Owner { uid: u32, gid: u32 },
    #[error(
        "a new file must belong to the user of the server's file (uid {uid}, gid {gid}), which not everyone may read: run \
             this as that user or as root"
    )]
    NewOwner { uid: u32, gid: u32 },
    #[error(
        "it has {links} hard links, and its other names would keep the former version: edit it by hand, or remove the \
         other names"
    )]
    Links { links: u64 },
    #[error("its attribute {name} can't be kept: {error}")]
    Attribute { name: String, error: io::Error },
    #[error("it can't be read: {0}")]
    Unreadable(io::Error),
    #[error("a new file can't be made in its directory: {0}")]
    Directory(io::Error),
    #[error("its new version can't be written: {0}")]
    Unwritten(io::Error),
    #[error("its new version can't take its place: {0}")]
    Unreplaced(io::Error),
    #[error("it can't be removed: {0}")]
    Unremoved(io::Error),
    /// The file is changed, and a power cut may undo that.
    #[error("its directory can't be synced: {0}")]
    Unsynced(io::Error),
}

/// Replaces the text of `target`, an absolute path without symbolic links. `former` is the text that the file must
/// still have. [`sync_directory`] then makes it outlast a power cut.
pub(super) fn replace(target: &Path, former: &str, text: &str) -> Result<(), ReplaceError> {
    let original = files::open(target).map_err(ReplaceError::Unreadable)?;
    let links = original.metadata().map_err(ReplaceError::Unreadable)?.nlink();
    if links > 1 {
        return Err(ReplaceError::Links { links });
    }
    let new = NewVersion::create(target)?;
    (&new.file).write_all(text.as_bytes()).map_err(ReplaceError::Unwritten)?;
    new.take_owner_and_mode(&original)?;
    new.take_attributes(&original)?;
    new.file.sync_all().map_err(ReplaceError::Unwritten)?;
    // Editors don't know the lock.
    require_content(target, former.as_bytes())?;
    new.rename_to(target)
}

/// Makes the file `path`, whose name must be free, with owner, group and mode of `like`, but for the others' right to
/// write. [`sync_directory`] then makes it outlast a power cut.
pub(super) fn create(path: &Path, text: &str, like: &Path) -> Result<(), ReplaceError> {
    let like = fs::metadata(like).map_err(ReplaceError::Unwritten)?;
    let mut new = NewVersion::create(path)?;
    (&new.file).write_all(text.as_bytes()).map_err(ReplaceError::Unwritten)?;
    new.take_owner_and_mode_of_new(&like)?;
    new.file.sync_all().map_err(ReplaceError::Unwritten)?;
    rename_to_free_name(&new.path, path)?;
    new.is_renamed = true;
    Ok(())
}

/// Renames a file. Fails if there is a file of the name `to`, whoever makes it and whenever.
pub(super) fn rename_to_free_name(from: &Path, to: &Path) -> Result<(), ReplaceError> {
    let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Network file systems don't have it. They have links, which replace nothing either.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::hard_link(from, to).map(|()| {
            let _ = fs::remove_file(from);
        }),
        renamed => renamed.map_err(io::Error::from),
    };
    renamed.map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => ReplaceError::Appeared,
        _ => ReplaceError::Unreplaced(error),
    })
}

/// Returns the hidden file beside `path` whose name ends in `end`. No hidden file is a tenant's.
pub(super) fn hidden(path: &Path, end: &str) -> PathBuf {
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".");
    name.push(end);
    path.with_file_name(name)
}

/// Syncs the directory of `target` after [`replace`].
pub(super) fn sync_directory(target: &Path) -> io::Result<()> {
    File::open(target.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// # Errors
/// The file at `target` no longer has this content.
pub(super) fn require_content(target: &Path, former: &[u8]) -> Result<(), ReplaceError> {
    let mut content = Vec::new();
    files::open(target).and_then(|mut file| file.read_to_end(&mut content)).map_err(ReplaceError::Unreadable)?;
    if content == former { Ok(()) } else { Err(ReplaceError::Changed) }
}

/// The new version under its hidden name, which is deleted unless it is renamed.
struct NewVersion {
    file: File,
    path: PathBuf,
    is_renamed: bool,
}

impl NewVersion {
    fn create(target: &Path) -> Result<Self, ReplaceError> {
        let path = hidden(target, "new");
        // A process that was killed may have left it.
        let _ = fs::remove_file(&path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        Ok(Self { file: file.map_err(ReplaceError::Directory)?, path, is_renamed: false })
    }

    fn take_owner_and_mode(&self, original: &File) -> Result<(), ReplaceError> {
        let wanted = original.metadata().map_err(ReplaceError::Unreadable)?;
        let own = self.file.metadata().map_err(ReplaceError::Unwritten)?;
        let changed = |own, wanted| (own != wanted).then_some(wanted);
        let (uid, gid) = (changed(own.uid(), wanted.uid()), changed(own.gid(), wanted.gid()));
        if (uid, gid) != (None, None) {
            let owner = |_| ReplaceError::Owner { uid: wanted.uid(), gid: wanted.gid() };
            fchown(&self.file, uid, gid).map_err(owner)?;
        }
        let mode = Permissions::from_mode(wanted.mode() & 0o7777);
        self.file.set_permissions(mode).map_err(ReplaceError::Unwritten)
    }

    /// Gives the new file to the owner and the group of `like`, or leaves it to this process's user if the server can read
    /// it then too.
    fn take_owner_and_mode_of_new(&self, like: &fs::Metadata) -> Result<(), ReplaceError> {
        let mode = 0o600 | (like.mode() & 0o644);
        let is_readable = fchown(&self.file, Some(like.uid()), Some(like.gid())).is_ok()
            || mode & 0o004 != 0
            || (mode & 0o040 != 0 && fchown(&self.file, None, Some(like.gid())).is_ok());
        if !is_readable {
            return Err(ReplaceError::NewOwner { uid: like.uid(), gid: like.gid() });
        }
        self.file.set_permissions(Permissions::from_mode(mode)).map_err(ReplaceError::Unwritten)
    }

    /// Takes the extended attributes of `original`, of which the ACL is one, and drops others, such as an ACL that the
    /// directory gives to its new files.
    fn take_attributes(&self, original: &File) -> Result<(), ReplaceError> {
        let wanted = attribute_names(original).map_err(ReplaceError::Unreadable)?;
        for name in attribute_names(&self.file).map_err(ReplaceError::Unwritten)? {
            if !wanted.contains(&name) && !name.starts_with("security.") {
                fremovexattr(&self.file, &name).map_err(|error| failed(&name, error))?;
            }
        }
        // The kernel's hashes and signatures of the content are different for other content.
        for name in wanted.iter().filter(|name| !["security.ima", "security.evm"].contains(&name.as_str())) {
            let value = attribute(original, name).map_err(|error| failed(name, error))?;
            if attribute(&self.file, name).ok().as_ref() != Some(&value) {
                fsetxattr(&self.file, name, &value, XattrFlags::empty()).map_err(|error| failed(name, error))?;
            }
        }
        Ok(())
    }

    fn rename_to(mut self, target: &Path) -> Result<(), ReplaceError> {
        fs::rename(&self.path, target).map_err(ReplaceError::Unreplaced)?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for NewVersion {
    fn drop(&mut self) {
        if !self.is_renamed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn failed(name: &str, error: Errno) -> ReplaceError {
    ReplaceError::Attribute { name: name.to_owned(), error: error.into() }
}

/// The maximum size of an attribute and of the list of their names, in bytes. Linux has the same.
const MAX_ATTRIBUTE_BYTES: usize = 64 << 10;

fn attribute_names(file: &File) -> io::Result<Vec<String>> {
    let mut names = vec![0; MAX_ATTRIBUTE_BYTES];
    match flistxattr(file, &mut names[..]) {
        Ok(bytes) => {
            names.truncate(bytes);
            let names = names.split(|byte| *byte == 0).filter(|name| !name.is_empty());
            Ok(names.map(|name| String::from_utf8_lossy(name).into_owned()).collect())
        }
        Err(Errno::NOTSUP) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

fn attribute(file: &File, name: &str) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; MAX_ATTRIBUTE_BYTES];
    let bytes = fgetxattr(file, name, &mut value[..])?;
    value.truncate(bytes);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType, Mode, mknodat};

    /// Another program may put a FIFO in the file's place while the new version is written.
    #[test]
    fn a_fifo_keeps_no_edit_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("acme.toml");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let refused = require_content(&path, b"").unwrap_err();
        assert_eq!(refused.to_string(), "it can't be read: it is a FIFO, not a file");
    }
}
