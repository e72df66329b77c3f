//! Random actions of clients, with their frequencies. Numbers of handles and sessions wrap around at the number that
//! exist.

use proptest::{collection::vec, option, prelude::*};
use wharfinger::vfs::WriteOptions;

/// Few names, so that actions collide: files, directories, names that are both, and names below files.
const PATHS: [&str; 9] = ["/", "/a", "/b", "/d", "/d/a", "/d/b", "/d/e", "/d/e/a", "/a/x"];
const MIB: u64 = 1 << 20;

#[derive(Clone, Debug)]
pub enum Action {
    /// OPEN for writing.
    Open {
        by: usize,
        at: &'static str,
        options: WriteOptions,
        modified: Option<u32>,
    },
    Write {
        handle: usize,
        offset: u64,
        len: usize,
        fill: u8,
    },
    /// READ of a handle that is being written.
    ReadBack {
        handle: usize,
        offset: u64,
        len: u32,
    },
    /// FSETSTAT of times.
    SetOpenTimes {
        handle: usize,
        modified: u32,
    },
    /// FSETSTAT of the size.
    ResizeOpen {
        handle: usize,
        size: u64,
    },
    Close {
        handle: usize,
    },
    /// The session abandons an upload: in order, or by dropping it.
    Abandon {
        handle: usize,
        in_order: bool,
    },
    OpenRead {
        by: usize,
        at: &'static str,
    },
    Read {
        handle: usize,
        offset: u64,
        len: u32,
    },
    CloseRead {
        handle: usize,
    },
    Stat {
        by: usize,
        at: &'static str,
    },
    List {
        by: usize,
        at: &'static str,
    },
    Do {
        by: usize,
        operation: TreeOperation,
    },
    /// The session ends at once, with all its handles.
    Crash {
        by: usize,
    },
    /// The session ends in the middle of an operation, at a request: before or after S3 performs it.
    CrashIn {
        by: usize,
        operation: TreeOperation,
        request: usize,
        done: bool,
    },
    CrashInClose {
        handle: usize,
        request: usize,
        done: bool,
    },
}

impl Action {
    /// Returns the session's number, and the names that its request is about.
    pub fn named(&self) -> Option<(usize, Vec<&'static str>)> {
        match *self {
            Self::Open { by, at, .. } | Self::OpenRead { by, at } | Self::Stat { by, at } => Some((by, vec![at])),
            Self::Do { by, operation } | Self::CrashIn { by, operation, .. } => Some((by, operation.paths())),
            _ => None,
        }
    }
}

/// A request that changes the tree.
#[derive(Clone, Copy, Debug)]
pub enum TreeOperation {
    Mkdir(&'static str),
    Rmdir(&'static str),
    Remove(&'static str),
    Rename {
        source: &'static str,
        target: &'static str,
        replace: bool,
    },
    /// SETSTAT of times.
    SetTimes {
        at: &'static str,
        modified: u32,
    },
    /// SETSTAT of the size.
    Resize {
        at: &'static str,
        size: u64,
    },
}

/// Generates a test case.
pub fn sequences() -> impl Strategy<Value = Vec<Action>> {
    vec(action(), 1..50)
}

fn action() -> impl Strategy<Value = Action> {
    let number = || 0..12_usize;
    // The rename of a directory takes the most requests of all: lookups, copies and deletions.
    let crash = (number(), operation(), 1..16_usize, any::<bool>());
    prop_oneof![
        12 => (number(), path(), options(), option::weighted(0.2, 1..1000_u32))
            .prop_map(|(by, at, options, modified)| Action::Open { by, at, options, modified }),
        14 => (number(), offset(), len(), any::<u8>())
            .prop_map(|(handle, offset, len, fill)| Action::Write { handle, offset, len, fill }),
        3 => (number(), offset(), 0..40_u32)
            .prop_map(|(handle, offset, len)| Action::ReadBack { handle, offset, len }),
        2 => (number(), 1..1000_u32).prop_map(|(handle, modified)| Action::SetOpenTimes { handle, modified }),
        1 => (number(), 0..30_u64).prop_map(|(handle, size)| Action::ResizeOpen { handle, size }),
        12 => number().prop_map(|handle| Action::Close { handle }),
        2 => (number(), any::<bool>()).prop_map(|(handle, in_order)| Action::Abandon { handle, in_order }),
        5 => (number(), path()).prop_map(|(by, at)| Action::OpenRead { by, at }),
        6 => (number(), offset(), 0..40_u32).prop_map(|(handle, offset, len)| Action::Read { handle, offset, len }),
        2 => number().prop_map(|handle| Action::CloseRead { handle }),
        8 => (number(), path()).prop_map(|(by, at)| Action::Stat { by, at }),
        5 => (number(), path()).prop_map(|(by, at)| Action::List { by, at }),
        24 => (number(), operation()).prop_map(|(by, operation)| Action::Do { by, operation }),
        1 => number().prop_map(|by| Action::Crash { by }),
        3 => crash.prop_map(|(by, operation, request, done)| Action::CrashIn { by, operation, request, done }),
        1 => (number(), 1..5_usize, any::<bool>())
            .prop_map(|(handle, request, done)| Action::CrashInClose { handle, request, done }),
    ]
}

fn operation() -> impl Strategy<Value = TreeOperation> {
    prop_oneof![
        4 => path().prop_map(TreeOperation::Mkdir),
        3 => path().prop_map(TreeOperation::Rmdir),
        4 => path().prop_map(TreeOperation::Remove),
        8 => (path(), path(), any::<bool>())
            .prop_map(|(source, target, replace)| TreeOperation::Rename { source, target, replace }),
        4 => (path(), 1..1000_u32).prop_map(|(at, modified)| TreeOperation::SetTimes { at, modified }),
        2 => (path(), 0..30_u64).prop_map(|(at, size)| TreeOperation::Resize { at, size }),
    ]
}

fn path() -> impl Strategy<Value = &'static str> {
    prop_oneof![1 => Just(PATHS[0]), 24 => prop::sample::select(&PATHS[1..])]
}

fn options() -> impl Strategy<Value = WriteOptions> {
    let usual = WriteOptions { write: true, create: true, truncate: true, ..WriteOptions::default() };
    let any = (any::<[bool; 5]>(), 0..10_u8).prop_map(|([read, create, truncate, exclusive, append], write)| {
        WriteOptions { read, write: write > 0, create, truncate, exclusive, append }
    });
    prop_oneof![
        3 => Just(usual),
        1 => Just(WriteOptions { read: true, ..usual }),
        1 => Just(WriteOptions { exclusive: true, ..usual }),
        1 => Just(WriteOptions { truncate: false, ..usual }),
        1 => Just(WriteOptions { truncate: false, append: true, ..usual }),
        2 => any,
    ]
}

/// Mostly within a small file. Rarely at a border between parts, or beyond every limit.
fn offset() -> impl Strategy<Value = u64> {
    prop_oneof![
        200 => 0..30_u64,
        1 => prop::sample::select(vec![5 * MIB - 1, 8 * MIB - 3, 8 * MIB, 9 * MIB]),
        2 => prop::sample::select(vec![100 << 30, 1 << 40, u64::MAX]),
    ]
}

fn len() -> impl Strategy<Value = usize> {
    prop_oneof![200 => 0..20_usize, 1 => prop::sample::select(vec![5 << 20, (9 << 20) + 1])]
}
