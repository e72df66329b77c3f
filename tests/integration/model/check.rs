//! Compares the answers to a client with the promises.

use super::{answer_kind::AnswerKind, promises::ShownEntry};
use crate::support::promise::{CheckResult, ensure};
use bytes::Bytes;
use wharfinger::vfs::{Kind, Metadata, Result};

/// Checks that the answer is one of the right ones. Returns true if it is OK.
pub fn right_answer<T>(result: &Result<T>, right: &[AnswerKind]) -> CheckResult<bool> {
    let answer = AnswerKind::from(result);
    ensure(right.contains(&answer), || format!("answered {answer:?}, and right is {right:?}"))?;
    Ok(answer == AnswerKind::Ok)
}

/// Checks that these are up to `len` bytes of `whole`, starting at `offset`.
pub fn same_bytes(pieces: &[Bytes], whole: &[u8], offset: u64, len: u32) -> CheckResult {
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(whole.len());
    let right = &whole[start..whole.len().min(start + len as usize)];
    let read = pieces.concat();
    ensure(read == right, || format!("read {read:?}, and right is {right:?}"))
}

pub fn same_metadata(metadata: Metadata, right: ShownEntry) -> CheckResult {
    let seconds = metadata.times.modified;
    let same = match right {
        ShownEntry::File(size, modified) => {
            metadata.kind == Kind::File && metadata.size == size && modified.shows(seconds)
        }
        ShownEntry::Poisoned => true,
        ShownEntry::Directory(time) => metadata.kind == Kind::Directory && time.shows(seconds),
    };
    ensure(same, || format!("shown is {metadata:?}, and right is {right:?}"))
}
