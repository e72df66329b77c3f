//! Finishes the rename of a file that was interrupted between its copy and its deletion.
//!
//! Invariant: the source is deleted only if the target is the copy that this rename made of it, by the rename's id and
//! the ETag of the copied version, and with `If-Match` of that version. If either file was replaced since, both stay.

use super::{Moved, Renamed, carry, error::Result, mark::is_copy_of_task, remove_copied, repair::look, times::Rows};
use crate::{
    journal::{FileRename, Journal, Task, Version},
    store::{Bucket, Error},
};

/// Finishes the rename of a file, if its copy was made. Returns true if the source was deleted. At most 3 requests.
///
/// # Errors
/// The errors of the bucket and the journal. The rename can be repaired again.
pub async fn repair_file_rename(bucket: &dyn Bucket, journal: &dyn Journal, rename: &Task<FileRename>) -> Result<bool> {
    let names = &rename.payload.names;
    let (source, target) = (names.source_file().clone(), names.target_file().clone());
    let (Some(copy), Some(file)) = (look(bucket, &target).await?, look(bucket, &source).await?) else {
        return Ok(false);
    };
    // A client may have stored the same bytes under the old name again, after the copy. That file is the client's.
    if !is_copy_of_task(&copy, &rename.id, &file) || file.modified > copy.modified {
        return Ok(false);
    }
    let versions = Renamed { source: Version::of(&file), target: Version::of(&copy), copied_at: copy.modified };
    let moved = [Moved { source: source.clone(), target, versions }];
    let known = carry::carry(journal, bucket.id(), &moved).await?;
    // Written before the old name is deleted: no other record has its times.
    Rows::new(bucket.id(), &moved, &known).write(journal).await?;
    match remove_copied(bucket, &source, &file.pin).await {
        Ok(()) => {}
        Err(Error::NotFound | Error::Conflict { .. }) => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    carry::forget(journal, bucket.id(), &moved).await?;
    Ok(true)
}
