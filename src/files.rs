//! The operator's files on disk: config, secrets, host keys and the ledger. A user of the machine who may write to one
//! of them controls who can log in, or the server's identity.
//!
//! Invariant: no function here waits for another program. A FIFO is refused before it is opened.

use rustix::{
    fs::{Access, AtFlags, CWD, OFlags, StatVfsMountFlags, accessat, statvfs},
    io::Errno,
    process::geteuid,
};
use std::{
    fmt,
    fs::{self, File, FileType, OpenOptions},
    io,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::LazyLock,
};

/// Opens a file for reading.
///
/// # Errors
/// The system's error, or the path is not a regular file, which could block its reader.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    require_file(fs::metadata(path)?.file_type())?;
    // Another process may have replaced the file since the check.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path)?;
    require_file(file.metadata()?.file_type())?;
    Ok(file)
}

fn require_file(kind: FileType) -> io::Result<()> {
    let other = match kind {
        kind if kind.is_file() => return Ok(()),
        kind if kind.is_dir() => return Err(Errno::ISDIR.into()),
        kind if kind.is_fifo() => "FIFO",
        kind if kind.is_socket() => "socket",
        _ => "device",
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it is a {other}, not a file")))
}

/// Checks that this process may write to the file at `path`.
///
/// # Errors
/// The reason why it may not.
pub(crate) fn require_writable_file(path: &Path) -> io::Result<()> {
    require_file(fs::metadata(path)?.file_type())?;
    require_access(path, Access::WRITE_OK)
}

/// Checks that this process may create files in the directory `path`.
///
/// # Errors
/// The reason why it may not.
pub(crate) fn require_writable_directory(path: &Path) -> io::Result<()> {
    if !fs::metadata(here_if_empty(path))?.is_dir() {
        return Err(Errno::NOTDIR.into());
    }
    require_access(path, Access::WRITE_OK | Access::EXEC_OK)
}

/// Checks that this process may create files in the directory `path`, or may create the directory if it is missing.
///
/// # Errors
/// The reason why it may not.
pub(crate) fn require_makeable_directory(path: &Path) -> io::Result<()> {
    let mut directory = path;
    loop {
        match (fs::metadata(here_if_empty(directory)), directory.parent()) {
            (Err(error), Some(parent)) if error.kind() == io::ErrorKind::NotFound => directory = parent,
            _ => return require_writable_directory(directory),
        }
    }
}

fn require_access(path: &Path, access: Access) -> io::Result<()> {
    match accessat(CWD, here_if_empty(path), access, AtFlags::EACCESS) {
        // Kernels and container runtimes without this call refuse it with these errors. The later write shows the
        // truth.
        Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Ok(()),
        answer => Ok(answer?),
    }
}

/// Returns `.` for an empty path: a file name without a directory lies in the current one.
fn here_if_empty(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// A file or directory that another user of the machine may write to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    path: PathBuf,
    mode: u32,
    is_directory: bool,
    owner: u32,
    /// The user of this process.
    user: u32,
    writers: Writers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writers {
    Everyone,
    /// The owner, who is neither root nor the user of this process.
    Owner,
    /// A group. It may be the owner's own group, as Debian sets it up: the umask is then 002, and every edited file is
    /// exposed to a group of one user.
    Group,
}

impl Exposure {
    /// Returns the exposure of a file. Returns `None` if only root and the user of this process may write to it, or if
    /// this process can't inspect it.
    #[must_use]
    pub(crate) fn of_file(path: &Path) -> Option<Self> {
        Self::of(path, 0)
    }

    /// Returns the exposures of the directories that hold the file at `path`, by its own name and, for a link, by its
    /// target. In a directory with the sticky bit others can't replace the file, so it isn't exposed. Parent
    /// directories aren't checked.
    #[must_use]
    pub(crate) fn of_its_directories(path: &Path) -> Vec<Self> {
        const STICKY: u32 = 0o1000;
        let named = here_if_empty(path.parent().unwrap_or(path)).to_owned();
        let mut directories = vec![named.clone()];
        if let (Ok(target), Ok(named)) = (fs::canonicalize(path), fs::canonicalize(&named))
            && let Some(directory) = target.parent()
            && directory != named
        {
            directories.push(directory.to_owned());
        }
        directories.iter().filter_map(|directory| Self::of(directory, STICKY)).collect()
    }

    /// Returns the exposure of a directory in which every file counts, so that others must not add one.
    #[must_use]
    pub(crate) fn of_directory(path: &Path) -> Option<Self> {
        Self::of(here_if_empty(path), 0)
    }

    fn of(path: &Path, protected_by: u32) -> Option<Self> {
        let metadata = fs::metadata(path).ok()?;
        let (mode, owner, user) = (metadata.mode() & 0o7777, metadata.uid(), user());
        let others = if mode & protected_by == 0 { mode } else { 0 };
        let writers = match others {
            others if others & 0o002 != 0 => Writers::Everyone,
            _ if ![ROOT, user, unknown_user()].contains(&owner) => Writers::Owner,
            others if others & 0o020 != 0 => Writers::Group,
            _ => return None,
        };
        // Kubernetes mounts ConfigMaps and Secrets read-only, in directories of mode 0777.
        let is_protected = statvfs(path).is_ok_and(|fs| fs.f_flag.contains(StatVfsMountFlags::RDONLY));
        let exposure = || Self { path: path.to_owned(), mode, is_directory: metadata.is_dir(), owner, user, writers };
        (!is_protected).then(exposure)
    }

    /// True if the server must not start, because every user of the machine may write to it. A directory isn't refused
    /// if this process can't change its mode, as for an `emptyDir` of Kubernetes, which root owns with the mode 0777.
    #[must_use]
    pub(crate) fn is_refused(&self) -> bool {
        self.writers == Writers::Everyone && (!self.is_directory || self.can_be_changed())
    }

    /// True for a directory that every user of the machine may write to and that isn't refused.
    #[must_use]
    pub(crate) fn is_tolerated(&self) -> bool {
        self.writers == Writers::Everyone && !self.is_refused()
    }

    fn can_be_changed(&self) -> bool {
        [ROOT, self.owner].contains(&self.user)
    }

    /// True if the owner is another user and the mode is right.
    #[must_use]
    pub(crate) fn is_of_its_owner(&self) -> bool {
        self.writers == Writers::Owner
    }

    #[must_use]
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the sentence with the path in front.
    #[must_use]
    pub(crate) fn with_path(&self) -> String {
        let kind = if self.is_directory { "directory" } else { "file" };
        format!("the {kind} {} {self}", self.path.display())
    }

    /// Returns the sentence without the path, for a file that a config key named: the key's value isn't repeated.
    #[must_use]
    pub(crate) fn without_path(&self) -> String {
        self.sentence("")
    }

    /// Builds the sentence. `path` follows the command that fixes the exposure.
    fn sentence(&self, path: &str) -> String {
        let (mode, owner) = (self.mode, self.owner);
        let (writers, class) = match self.writers {
            Writers::Everyone => ("others", "go"),
            Writers::Group => ("its group", "g"),
            Writers::Owner => {
                let can = if self.is_directory { "put files there" } else { "write it" };
                let command = format!("chown {}{path}", self.user);
                return format!(
                    "belongs to another user (uid {owner}), who can {can}: run `{command}`, unless the server runs as \
                     that user"
                );
            }
        };
        let files = if self.is_directory { ", so that files can be put there" } else { "" };
        let owner = if self.can_be_changed() { String::new() } else { format!("have its owner (uid {owner}) ") };
        format!(
            "can be written by {writers} (mode {mode:04o}){files}: {owner}run `chmod {class}-w{path}`, or mount it \
             read-only"
        )
    }
}

/// Writes a sentence to follow the name of the file or directory.
impl fmt::Display for Exposure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence(&format!(" {}", self.path.display())))
    }
}

const ROOT: u32 = 0;

/// Returns the user id that determines this process's file access.
fn user() -> u32 {
    geteuid().as_raw()
}

/// Returns the owner that the system shows for users outside this user namespace, as in a rootless container.
fn unknown_user() -> u32 {
    static UNKNOWN: LazyLock<u32> = LazyLock::new(|| {
        let number = fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
        number.and_then(|number| number.trim().parse().ok()).unwrap_or(65_534)
    });
    *UNKNOWN
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FileType as Kind, Mode, mknodat};
    use std::io::Write as _;
    use std::os::unix::{
        fs::{PermissionsExt as _, chown, symlink},
        net::UnixListener,
    };
    use tempfile::TempDir;

    fn chmod(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Creates a file in a directory, each with a mode.
    fn file(directory_mode: u32, mode: u32) -> (TempDir, PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "x").unwrap();
        chmod(&file, mode);
        chmod(directory.path(), directory_mode);
        (directory, file)
    }

    #[test]
    fn what_is_no_file_is_refused_and_keeps_no_reader_waiting() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        mknodat(CWD, path("fifo"), Kind::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        symlink("fifo", path("link")).unwrap();
        let _listener = UnixListener::bind(path("socket")).unwrap();
        let refusal = |path: &Path| open(path).unwrap_err().to_string();
        assert_eq!(refusal(&path("fifo")), "it is a FIFO, not a file");
        assert_eq!(refusal(&path("link")), "it is a FIFO, not a file");
        assert_eq!(refusal(&path("socket")), "it is a socket, not a file");
        assert_eq!(refusal(Path::new("/dev/zero")), "it is a device, not a file");
        assert_eq!(refusal(directory.path()), "Is a directory (os error 21)");
        assert_eq!(open(&path("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_file_is_exposed_to_its_group_or_to_everyone() {
        for (mode, sentence) in [
            (0o664, Some("can be written by its group (mode 0664): run `chmod g-w FILE`, or mount it read-only")),
            (0o620, Some("can be written by its group (mode 0620): run `chmod g-w FILE`, or mount it read-only")),
            (0o666, Some("can be written by others (mode 0666): run `chmod go-w FILE`, or mount it read-only")),
            (0o602, Some("can be written by others (mode 0602): run `chmod go-w FILE`, or mount it read-only")),
            (0o644, None),
            (0o755, None),
        ] {
            let (_directory, file) = file(0o700, mode);
            let said = Exposure::of_file(&file).map(|exposure| exposure.to_string());
            let wanted = sentence.map(|sentence| sentence.replace("FILE", &file.display().to_string()));
            assert_eq!(said, wanted, "{mode:o}");
        }
    }

    #[test]
    fn a_directory_is_exposed_unless_others_can_only_add_to_it() {
        for (mode, is_exposed) in [(0o755, false), (0o775, true), (0o777, true), (0o1777, false)] {
            let (directory, file) = file(mode, 0o600);
            assert_eq!(!Exposure::of_its_directories(&file).is_empty(), is_exposed, "{mode:o}");
            let may_add = mode & 0o022 != 0;
            assert_eq!(Exposure::of_directory(directory.path()).is_some(), may_add, "{mode:o}");
        }
    }

    #[test]
    fn a_link_is_exposed_in_its_own_directory_and_in_its_targets() {
        let (target, _file) = file(0o777, 0o600);
        let links = tempfile::tempdir().unwrap();
        symlink(target.path().join("file"), links.path().join("link")).unwrap();
        let [exposure] = &Exposure::of_its_directories(&links.path().join("link"))[..] else { panic!() };
        assert_eq!(exposure.path(), target.path().canonicalize().unwrap());
    }

    #[test]
    fn a_directory_is_not_refused_for_a_mode_that_this_user_cannot_change() {
        const ANOTHER: u32 = 12_345;
        let (directory, file) = file(0o777, 0o666);
        let seen_by = |user, exposure: Option<Exposure>| Exposure { user, owner: 0, ..exposure.unwrap() };
        for (user, is_refused) in [(ROOT, true), (ANOTHER, false)] {
            let directory = seen_by(user, Exposure::of_directory(directory.path()));
            assert_eq!((directory.is_refused(), directory.is_tolerated()), (is_refused, !is_refused));
            let must_ask = directory.to_string().contains(": have its owner (uid 0) run `chmod go-w ");
            assert_eq!(must_ask, !is_refused, "{directory}");
            assert!(seen_by(user, Exposure::of_file(&file)).is_refused());
        }
    }

    /// Users of other user namespaces have no number here, and may be the intended owners of the file.
    #[test]
    fn a_file_of_another_user_is_exposed_to_its_owner() {
        const ANOTHER: u32 = 12_345;
        let (directory, file) = file(0o755, 0o600);
        let may_chown = |path: &Path, owner| chown(path, Some(owner), None).is_ok();
        if !may_chown(&file, ANOTHER) {
            // Unlike the output of `eprintln!`, this line isn't captured.
            let said = "not tested: files of another user, because only root can give files away";
            return writeln!(io::stderr(), "{said}").unwrap();
        }
        let said = |path: &Path| Exposure::of_file(path).map(|exposure| exposure.to_string());
        let belongs = |can: &str, path: &Path| {
            let (user, path) = (user(), path.display());
            format!(
                "belongs to another user (uid {ANOTHER}), who can {can}: run `chown {user} {path}`, unless the server \
                 runs as that user"
            )
        };
        assert_eq!(said(&file).unwrap(), belongs("write it", &file));
        assert!(!Exposure::of_file(&file).unwrap().is_refused());
        chmod(directory.path(), 0o1777);
        assert!(may_chown(directory.path(), ANOTHER));
        let [exposure] = &Exposure::of_its_directories(&file)[..] else { panic!("its owner can replace the file") };
        assert_eq!(exposure.to_string(), belongs("put files there", directory.path()));
        for owner in [user(), ROOT, unknown_user()] {
            assert!(may_chown(&file, owner));
            assert_eq!(said(&file), None, "{owner}");
        }
    }
}
