//! Whether what a client is given is right.

use super::{answer::Answer, promises::Shown};
use bytes::Bytes;
use wharfinger::vfs::{Kind, Metadata, Result};

/// Whether a promise was kept, or which was not.
pub type Kept<T = ()> = std::result::Result<T, String>;

/// Whether it is OK, if the answer is a right one.
pub fn right_answer<T>(result: &Result<T>, right: &[Answer]) -> Kept<bool> {
    let answer = Answer::from(result);
    ensure(right.contains(&answer), || format!("answered {answer:?}, and right is {right:?}"))?;
    Ok(answer == Answer::Ok)
}

/// Whether these are `len` bytes of `whole` from `offset` on, as far as it goes.
pub fn same_bytes(pieces: &[Bytes], whole: &[u8], offset: u64, len: u32) -> Kept {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
    let right = &whole[start..whole.len().min(start + len as usize)];
    let read = pieces.concat();
    ensure(read == right, || format!("read {read:?}, and right is {right:?}"))
}

pub fn same_metadata(metadata: Metadata, right: Shown) -> Kept {
    let seconds = metadata.times.modified;
    let same = match right {
        Shown::File(size, modified) => metadata.kind == Kind::File && metadata.size == size && modified.shows(seconds),
        Shown::Poisoned => true,
        Shown::Directory(time) => metadata.kind == Kind::Directory && time.shows(seconds),
    };
    ensure(same, || format!("shown is {metadata:?}, and right is {right:?}"))
}

pub fn ensure(kept: bool, complaint: impl FnOnce() -> String) -> Kept {
    if kept { Ok(()) } else { Err(complaint()) }
}
