//! Finishes the rename of a file that was interrupted between its copy and its deletion.
//!
//! Invariant: the source is deleted only if the target is the copy that this rename made of it, by the rename's id and
//! the ETag of the copied version, and with `If-Match` of that version. If either file was replaced since, both stay.

use super::{
    MovedObject, RenamedVersions, carry, copy_token::is_copy_of_task, error::Result, remove_copied, repair::look,
    times::Rows, while_certain,
};
use crate::{
    journal::{FileRename, Journal, LeaseEnd, Task, Version},
    store::{Bucket, Error, Object},
};
use std::time::Duration;

/// The maximum time from the last look at both files to the end of the deletion.
const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Finishes the rename of a file, if its copy was made. Returns true if the source was deleted. At most 5 requests. The
/// caller has a claim on both names, and no other node works on the task before
/// `certain_until`.
///
/// # Errors
/// The errors of the bucket and the journal, [`Error::Unreachable`] if the time is too short. The rename can be repaired
/// again.
pub async fn repair_file_rename(
    bucket: &dyn Bucket,
    journal: &dyn Journal,
    rename: &Task<FileRename>,
    certain_until: LeaseEnd,
) -> Result<bool> {
    let Some((file, copy)) = interrupted(bucket, rename).await? else { return Ok(false) };
    let names = &rename.payload.names;
    let (source, target) = (names.source_file().clone(), names.target_file().clone());
    let versions = RenamedVersions { source: Version::of(&file), target: Version::of(&copy), copied_at: copy.modified };
    let moved = [MovedObject { source: source.clone(), target, versions }];
    let known = carry::carry(journal, bucket.id(), &moved).await?;
    // Written before the old name is deleted: no other record has its times.
    Rows::new(bucket.id(), &moved, &known).write(journal).await?;
    // The journal may have taken long. From here on the answers must be fresh.
    let certain_until = certain_until.min(LeaseEnd::after(LOOK_LIMIT));
    let there = interrupted(bucket, rename).await?;
    if there.is_none_or(|(now, _)| now.pin != file.pin) {
        return Ok(false);
    }
    match while_certain(|| certain_until.is_in_future(), remove_copied(bucket, &source, &file.pin)).await {
        Ok(()) => {}
        Err(Error::NotFound | Error::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    // The rows of the old name belong to a version that is gone. They are of no use, and do no harm.
    let _ = carry::forget(journal, bucket.id(), &moved).await;
    Ok(true)
}

/// The source and its copy, if both are as the rename left them. 2 requests.
async fn interrupted(bucket: &dyn Bucket, rename: &Task<FileRename>) -> Result<Option<(Object, Object)>> {
    let names = &rename.payload.names;
    // The target comes last: the deletion of the source has a condition, but none on the target.
    let (Some(file), Some(copy)) = (look(bucket, names.source_file()).await?, look(bucket, names.target_file()).await?)
    else {
        return Ok(None);
    };
    // A program that gives its objects no tokens may have stored the same bytes under the old name again, after the
    // copy.
    let is_copied = is_copy_of_task(&copy, &rename.id, &file) && file.modified <= copy.modified;
    Ok(is_copied.then_some((file, copy)))
}
