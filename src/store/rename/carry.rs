//! What the journal keeps of objects goes with them to their new names, where they have other versions.

use super::{Moved, Renamed};
use crate::store::{BucketId, Journal, JournalDown, Key, Late};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future::BoxFuture, stream};
use std::collections::{BTreeMap, HashMap};

/// What a question to the journal may name at most.
const PAGE_NAMES: usize = 1000;
/// Writes to the journal at once.
const AT_ONCE: usize = 16;

/// Gives the new names what is kept of the old ones, and takes from them what is kept of others that had these names.
/// Done twice, it does nothing new: what was set under a new name since stays.
pub(super) async fn carry(journal: &dyn Journal, bucket: &BucketId, moved: &[Moved]) -> Result<(), JournalDown> {
    let sources = kept(journal, bucket, sources_of(moved)).await?;
    let targets = kept(journal, bucket, moved.iter().map(|moved| &moved.target).collect()).await?;
    let writes = moved.iter().filter_map(|Moved { source, target, versions: Renamed { source: old, target: new } }| {
        let late = sources.get(source).filter(|late| late.etag == *old);
        match (late, targets.get(target)) {
            (Some(_), Some(newer)) if newer.etag == *new => None,
            (Some(late), _) => Some((target, Some(Late { etag: new.clone(), ..late.clone() }))),
            (None, Some(_)) => Some((target, None)),
            (None, None) => None,
        }
    });
    write(journal, bucket, writes.collect()).await
}

/// Forgets what is kept of the old names, when nothing is there any more.
pub(super) async fn forget(journal: &dyn Journal, bucket: &BucketId, moved: &[Moved]) -> Result<(), JournalDown> {
    let sources = kept(journal, bucket, sources_of(moved)).await?;
    let gone = moved.iter().filter(|moved| sources.contains_key(&moved.source)).map(|moved| (&moved.source, None));
    write(journal, bucket, gone.collect()).await
}

/// All that is kept of these objects: one question for each thousand of a directory.
async fn kept<'a>(
    journal: &dyn Journal,
    bucket: &BucketId,
    keys: Vec<&'a Key>,
) -> Result<HashMap<&'a Key, Late>, JournalDown> {
    let mut directories: BTreeMap<&str, Vec<(&str, &Key)>> = BTreeMap::new();
    // A marker has no name in its directory, and nothing is kept of it.
    for key in keys.into_iter().filter(|key| !key.as_str().ends_with('/')) {
        let (directory, name) = key.directory_and_name();
        directories.entry(directory).or_default().push((name, key));
    }
    let mut kept = HashMap::new();
    for mut files in directories.into_values() {
        files.sort_unstable();
        for page in files.chunks(PAGE_NAMES) {
            let Some((_, first)) = page.first() else { continue };
            let names: Vec<&str> = page.iter().map(|(name, _)| *name).collect();
            let mut late = journal.late_in(bucket, &first.directory(), &names).await?;
            kept.extend(page.iter().filter_map(|(name, key)| Some((*key, late.remove(*name)?))));
        }
    }
    Ok(kept)
}

async fn write(journal: &dyn Journal, bucket: &BucketId, writes: Vec<(&Key, Option<Late>)>) -> Result<(), JournalDown> {
    let writes = writes.into_iter().map(|(key, late)| write_one(journal, bucket, key, late).boxed());
    let writes: Vec<BoxFuture<'_, _>> = writes.collect();
    stream::iter(writes).buffer_unordered(AT_ONCE).try_collect().await
}

async fn write_one(journal: &dyn Journal, bucket: &BucketId, key: &Key, late: Option<Late>) -> Result<(), JournalDown> {
    journal.replace_late(bucket, key, late.as_ref()).await
}

fn sources_of(moved: &[Moved]) -> Vec<&Key> {
    moved.iter().map(|moved| &moved.source).collect()
}
