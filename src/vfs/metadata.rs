//! The attributes of files and directories: those that STAT shows, and those that clients ask to set.
//!
//! Times and modes lie in the object's metadata, in the format of rclone and s3fs: `mtime` and `atime` in seconds since
//! 1970 (rclone adds a fraction), `mode` as a decimal `st_mode`. Directories have no times in S3. Times that clients
//! set on them are in the journal (`directory_attributes.rs`).
//!
//! If the tenant wants it, a file's metadata also names its user (`uploaded-by`) and its session (`session`).

use super::open_uploads::UploadView;
use crate::{
    account::{Mount, ObjectMetadata, Permission},
    clock::Clock,
    journal::TimesAndMode,
    name::UserName,
    store::{NewObject, Object},
};
use std::collections::BTreeMap;

const TYPE_DIRECTORY: u32 = 0o040_000;
const TYPE_FILE: u32 = 0o100_000;
const DAY_SECONDS: i64 = 86_400;
const PERMISSION_BITS: u32 = 0o7777;
const WRITE_BITS: u32 = 0o222;
const DEFAULT_FILE_MODE: u32 = 0o644;
const DEFAULT_DIRECTORY_MODE: u32 = 0o755;

const MTIME: &str = "mtime";
const ATIME: &str = "atime";
const MODE: &str = "mode";
const UPLOADED_BY: &str = "uploaded-by";
const SESSION: &str = "session";

/// The kinds of entries. There are no links and no special files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file.
    File,
    /// A directory.
    Directory,
}

/// Times in seconds since 1970, as SFTP v3 carries them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// Last access. S3 doesn't record it, so it equals the time of modification unless a client set it.
    pub accessed: u32,
    /// Last modification.
    pub modified: u32,
}

impl Times {
    /// The times of a directory that no client set times on: 00:00 UTC of the current day. They are the same on all
    /// nodes, don't differ between two listings, and are never old.
    pub(super) fn start_of_day(clock: &dyn Clock) -> Self {
        let now = clock.unix_seconds();
        let seconds = u32::try_from(now - now % DAY_SECONDS).unwrap_or(u32::MAX);
        Self { accessed: seconds, modified: seconds }
    }
}

/// The attributes that STAT and READDIR show. Owner and group always show as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// File or directory.
    pub kind: Kind,
    /// In bytes; 0 for a directory.
    pub size: u64,
    /// `st_mode`: type and permission bits.
    pub(crate) mode: u32,
    /// Last access and last modification.
    pub times: Times,
}

/// The attributes that a new file or directory can have from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NewAttributes {
    /// Times that STAT shows instead of the upload's.
    pub times: Option<Times>,
    /// Permission bits that STAT shows. Type bits are ignored.
    pub mode: Option<u32>,
}

/// The attributes that SETSTAT and FSETSTAT ask for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttributes {
    /// The size in bytes. Bytes behind it are removed; bytes that are added are zeros.
    pub size: Option<u64>,
    /// Times that STAT shows.
    pub times: Option<Times>,
    /// Permission bits that STAT shows. Type bits are ignored.
    pub mode: Option<u32>,
    /// User and group. Only 0 and 0 can be set, because that is what STAT shows.
    pub owner: Option<(u32, u32)>,
}

impl SetAttributes {
    /// The attributes that a file or directory can store.
    #[must_use]
    pub(crate) fn times_and_mode(&self) -> NewAttributes {
        NewAttributes { times: self.times, mode: self.mode }
    }
}

impl NewAttributes {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These attributes, overridden by those that `newer` has.
    pub(super) fn updated(self, newer: Self) -> Self {
        Self { times: newer.times.or(self.times), mode: newer.mode.or(self.mode) }
    }

    /// The attributes among these that differ from the `known` ones.
    pub(super) fn differing_from(self, known: Self) -> Self {
        Self {
            times: self.times.filter(|times| Some(*times) != known.times),
            mode: self.mode.filter(|mode| Some(*mode) != known.mode),
        }
    }

    /// The metadata and headers of the next version of `object`: all of them, except for the times.
    pub(super) fn of_next_version(object: &Object) -> NewObject {
        let stays = |name: &str| ![MTIME, ATIME, NewObject::TOKEN].contains(&name);
        let metadata = object.metadata.iter().filter(|(name, _)| stays(name));
        let metadata = metadata.map(|(name, value)| (name.clone(), value.clone())).collect();
        NewObject { metadata, headers: object.headers.clone() }
    }

    /// Writes the attributes into the metadata of an object that is about to be stored.
    pub(super) fn write_to(&self, object: &mut NewObject, kind: Kind) {
        if let Some(times) = self.times {
            object.metadata.insert(MTIME.to_owned(), times.modified.to_string());
            object.metadata.insert(ATIME.to_owned(), times.accessed.to_string());
        }
        if let Some(mode) = self.mode {
            object.metadata.insert(MODE.to_owned(), (kind.type_bits() | mode & PERMISSION_BITS).to_string());
        }
    }

    /// Writes the origin of a file into the metadata of its object, as far as the tenant wants it and it fits. The upload of
    /// a changed file with much metadata of another program matters more.
    pub(super) fn write_origin(wanted: ObjectMetadata, user: &UserName, session: &str, object: &mut NewObject) {
        if wanted == ObjectMetadata::default() {
            return;
        }
        // A changed file has the metadata of its former version, which may be another's.
        object.metadata.retain(|name, _| ![UPLOADED_BY, SESSION].contains(&name.as_str()));
        for (is_wanted, name, value) in [(wanted.user, UPLOADED_BY, user.as_str()), (wanted.session, SESSION, session)]
        {
            if is_wanted {
                object.add_if_fits(name, value);
            }
        }
    }

    /// Reads the attributes in an object's metadata.
    pub(super) fn read_from(metadata: &BTreeMap<String, String>) -> Self {
        let seconds = |name: &str| metadata.get(name).and_then(|text| seconds(text));
        let times = seconds(MTIME).map(|modified| Times { accessed: seconds(ATIME).unwrap_or(modified), modified });
        Self { times, mode: metadata.get(MODE).and_then(|text| text.parse().ok()) }
    }
}

impl Kind {
    fn type_bits(self) -> u32 {
        match self {
            Self::File => TYPE_FILE,
            Self::Directory => TYPE_DIRECTORY,
        }
    }
}

impl Metadata {
    /// A file that HEAD or GET described. Attributes `beside` the object that clients set override its metadata.
    pub(super) fn of_object(object: &Object, beside: TimesAndMode, mount: &Mount) -> Self {
        let attributes = NewAttributes::read_from(&object.metadata).updated(beside.set());
        Self::of_file(object.size, beside.modified(object.modified), attributes, mount)
    }

    /// A file of `size` bytes, last modified at `modified` unless the attributes have a time.
    pub(super) fn of_file(size: u64, modified: i64, attributes: NewAttributes, mount: &Mount) -> Self {
        let modified = clamp(modified);
        let writable = mount.allows(Permission::Write) && mount.allows(Permission::Overwrite);
        let mode = attributes.mode.unwrap_or(DEFAULT_FILE_MODE);
        Self {
            kind: Kind::File,
            size,
            mode: shown(Kind::File, mode, writable),
            times: attributes.times.unwrap_or(Times { accessed: modified, modified }),
        }
    }

    /// The same file, with the times or the mode of `attributes`.
    pub(super) fn updated(self, attributes: NewAttributes, mount: &Mount) -> Self {
        let (mode, times) = (attributes.mode.or(Some(self.mode)), attributes.times.or(Some(self.times)));
        Self::of_file(self.size, 0, NewAttributes { times, mode }, mount)
    }

    /// True if a listing shows this mode anyway, although it doesn't read the metadata of objects.
    pub(super) fn is_listed_mode(mode: u32) -> bool {
        mode & PERMISSION_BITS == DEFAULT_FILE_MODE
    }

    /// A file that this session is uploading.
    pub(super) fn of_upload(view: UploadView, mount: &Mount) -> Self {
        Self::of_file(view.size, view.since, view.attributes, mount)
    }

    /// A directory in `mount`, or a virtual one.
    pub(super) fn of_directory(times: Times, mode: Option<u32>, mount: Option<&Mount>) -> Self {
        let changes = [Permission::Write, Permission::Mkdir, Permission::Delete, Permission::Rename];
        let writable = mount.is_some_and(|mount| changes.into_iter().any(|change| mount.allows(change)));
        let mode = shown(Kind::Directory, mode.unwrap_or(DEFAULT_DIRECTORY_MODE), writable);
        Self { kind: Kind::Directory, size: 0, mode, times }
    }
}

/// The mode that STAT shows. Write bits are dropped for a user who can't write.
fn shown(kind: Kind, mode: u32, writable: bool) -> u32 {
    let mode = mode & PERMISSION_BITS;
    kind.type_bits() | if writable { mode } else { mode & !WRITE_BITS }
}

/// Parses rclone's `1234.5678` and s3fs's `1234`.
fn seconds(text: &str) -> Option<u32> {
    let whole = text.split('.').next().unwrap_or(text);
    whole.parse::<i64>().ok().map(clamp)
}

/// SFTP v3 has 32 bits for a time: earlier times show as 1970, later ones as 2106.
fn clamp(seconds: i64) -> u32 {
    u32::try_from(seconds.max(0)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        account::Permissions,
        clock::SystemClock,
        name::{Prefix, VirtualPath},
    };
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    fn mount(permissions: Permissions) -> Mount {
        Mount { entry: VirtualPath::root(), prefix: Prefix::parse("acme/").unwrap(), permissions }
    }

    #[derive(Debug)]
    struct Stopped(u64);

    impl Clock for Stopped {
        fn now(&self) -> SystemTime {
            UNIX_EPOCH + Duration::from_secs(self.0)
        }
    }

    // S102: A directory without a set time shows 00:00 UTC of the day on which it is asked for, on every node, and mode 755 …
    #[test]
    fn a_day_begins_at_midnight_utc() {
        let end_of_days = i64::MAX.unsigned_abs();
        for (now, shown) in
            [(0, 0), (86_399, 0), (86_400, 86_400), (1_795_996_800 + 86_399, 1_795_996_800), (end_of_days, u32::MAX)]
        {
            let times = Times { accessed: shown, modified: shown };
            assert_eq!(Times::start_of_day(&Stopped(now)), times, "{now}");
        }
        let today = Times::start_of_day(&SystemClock).modified;
        assert!((0..DAY_SECONDS).contains(&(SystemClock.unix_seconds() - i64::from(today))));
    }

    #[test]
    fn times_are_read_as_rclone_and_s3fs_write_them() {
        for (text, read) in [
            ("1700000000", Some(1_700_000_000)),
            ("1700000000.123456789", Some(1_700_000_000)),
            ("-5.5", Some(0)),
            ("99999999999", Some(u32::MAX)),
            ("yesterday", None),
            ("", None),
            ("1e9", None),
        ] {
            assert_eq!(seconds(text), read, "{text:?}");
        }
    }

    // S87: Times and modes that come before an object's metadata is sent are stored with it: `mtime` and `atime` in …
    #[test]
    fn attributes_come_back_from_the_metadata_they_were_written_to() {
        let attributes = NewAttributes { times: Some(Times { accessed: 7, modified: 5 }), mode: Some(0o100_640) };
        let mut object = NewObject::default();
        attributes.write_to(&mut object, Kind::File);
        assert_eq!(object.metadata.get(MODE).unwrap(), "33184", "s3fs writes st_mode in decimal");
        assert_eq!(NewAttributes::read_from(&object.metadata), attributes);
    }

    #[test]
    fn an_origin_that_does_not_fit_is_left_out_and_the_former_one_with_it() {
        let wanted = ObjectMetadata { user: true, session: true };
        let user = "alice".parse().unwrap();
        let written = |note: usize| {
            let mut object = NewObject::default();
            object.metadata.insert("note".to_owned(), "a".repeat(note));
            object.metadata.insert(UPLOADED_BY.to_owned(), "former".to_owned());
            object.metadata.insert(SESSION.to_owned(), "former".to_owned());
            NewAttributes::write_origin(wanted, &user, "s1", &mut object);
            object.add_token().unwrap();
            let bytes: usize = object.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
            assert!(bytes <= NewObject::MAX_METADATA_BYTES, "{bytes}");
            [UPLOADED_BY, SESSION].map(|name| object.metadata.get(name).cloned())
        };
        let (by, session) = (|| Some("alice".to_owned()), || Some("s1".to_owned()));
        let token = NewObject::TOKEN.len() + 32;
        let room = NewObject::MAX_METADATA_BYTES - token - "note".len();
        let (by_bytes, session_bytes) = (UPLOADED_BY.len() + "alice".len(), SESSION.len() + "s1".len());
        assert_eq!(written(room - by_bytes - session_bytes), [by(), session()]);
        assert_eq!(written(room - by_bytes - session_bytes + 1), [by(), None]);
        assert_eq!(written(room - by_bytes + 1), [None, session()]);
        assert_eq!(written(room - session_bytes + 1), [None, None]);
    }

    // S103: Files show mode 644 unless another was set. Write bits are dropped where the user may not write (for …
    #[test]
    fn modes_show_no_more_than_the_user_may() {
        let all = mount(Permissions::ALL);
        let drop_box = mount(Permissions::ALL.without(Permission::Overwrite));
        let reader = mount([Permission::Read, Permission::List].into_iter().collect());
        let file = |mount| Metadata::of_file(1, 2, NewAttributes::default(), mount).mode;
        assert_eq!([file(&all), file(&drop_box), file(&reader)], [0o100_644, 0o100_444, 0o100_444]);
        let times = Times { accessed: 1, modified: 2 };
        let directory = |mount| Metadata::of_directory(times, None, mount).mode;
        assert_eq!(
            [directory(Some(&all)), directory(Some(&drop_box)), directory(Some(&reader)), directory(None)],
            [0o40_755, 0o40_755, 0o40_555, 0o40_555]
        );
    }
}
