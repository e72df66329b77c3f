//! Moves the attributes in the journal to the objects' new names, where they have other versions.

use super::{MovedObject, RenamedVersions, error::ObjectsError};
use crate::{
    journal::{DirectoryRename, Journal, JournalDown, ObjectAttributes, Task},
    name::{BucketId, Key},
};
use std::collections::{BTreeMap, HashMap, HashSet};

/// The most names in a query to the journal, and the most rows in a statement.
const PAGE_NAMES: usize = 1000;

/// Copies the attributes of the old names to the new names, and forgets those of other files that had the new names.
/// Idempotent: attributes set under a new name since stay. Returns the new names for which the journal keeps times.
pub(super) async fn carry<'a>(
    journal: &dyn Journal,
    bucket: &BucketId,
    moved: &'a [MovedObject],
) -> Result<HashSet<&'a Key>, JournalDown> {
    let sources = attributes_of(journal, bucket, sources_of(moved)).await?;
    let targets = attributes_of(journal, bucket, moved.iter().map(|moved| &moved.target).collect()).await?;
    let (mut carried, mut outdated, mut timed) = (Vec::new(), Vec::new(), HashSet::new());
    for MovedObject { source, target, versions: RenamedVersions { source: old, target: new, .. } } in moved {
        let entry = sources.get(source).filter(|entry| entry.is_of(old));
        let attributes = match (entry, targets.get(target)) {
            (_, Some(newer)) if newer.is_of(new) => newer.attributes,
            (Some(entry), _) => {
                let (etag, set_at, attributes) = (new.etag.clone(), new.modified, entry.attributes);
                carried.push((bucket.clone(), target.clone(), ObjectAttributes { etag, attributes, set_at }));
                attributes
            }
            (None, there) => {
                let older = there.filter(|there| !there.is_of_younger(&new.etag, new.modified));
                outdated.extend(older.map(|_| target));
                continue;
            }
        };
        if attributes.times.is_some() {
            timed.insert(target);
        }
    }
    for page in carried.chunks(PAGE_NAMES) {
        journal.replace_attribute_batch(page).await?;
    }
    forget_all(journal, bucket, &outdated).await?;
    Ok(timed)
}

/// Forgets the attributes of the old names, whose objects are gone. Attributes of files that took these names since
/// stay.
pub(super) async fn forget(journal: &dyn Journal, bucket: &BucketId, moved: &[MovedObject]) -> Result<(), JournalDown> {
    let sources = attributes_of(journal, bucket, sources_of(moved)).await?;
    // A file that came before the copy would have made the copy fail.
    let is_gone =
        |MovedObject { source, versions: RenamedVersions { source: old, target: copy, .. }, .. }: &&MovedObject| {
            sources.get(source).is_some_and(|entry| !entry.is_of_younger(&old.etag, copy.modified))
        };
    let gone: Vec<&Key> = moved.iter().filter(is_gone).map(|moved| &moved.source).collect();
    forget_all(journal, bucket, &gone).await
}

async fn forget_all(journal: &dyn Journal, bucket: &BucketId, keys: &[&Key]) -> Result<(), JournalDown> {
    for page in keys.chunks(PAGE_NAMES) {
        journal.forget_attribute_batch(bucket, page).await?;
    }
    Ok(())
}

/// Moves the times of the directories to their new names. Idempotent: times set under a new name since stay.
pub(super) async fn carry_directories(
    journal: &dyn Journal,
    rename: &Task<DirectoryRename>,
) -> Result<(), ObjectsError> {
    let Task { bucket, payload: DirectoryRename { names, .. }, .. } = rename;
    Ok(journal.move_directory_times(bucket, &names.source(), &names.target()).await?)
}

/// The attributes of these objects: one query for each thousand objects of a directory.
async fn attributes_of<'a>(
    journal: &dyn Journal,
    bucket: &BucketId,
    keys: Vec<&'a Key>,
) -> Result<HashMap<&'a Key, ObjectAttributes>, JournalDown> {
    let mut directories: BTreeMap<&str, Vec<(&str, &Key)>> = BTreeMap::new();
    // A marker has no name in its directory, and the journal keeps nothing for it.
    for key in keys.into_iter().filter(|key| !key.as_str().ends_with('/')) {
        let (directory, name) = key.directory_and_name();
        directories.entry(directory).or_default().push((name, key));
    }
    let mut found = HashMap::new();
    for mut files in directories.into_values() {
        files.sort_unstable();
        for page in files.chunks(PAGE_NAMES) {
            let Some((_, first)) = page.first() else { continue };
            let names: Vec<&str> = page.iter().map(|(name, _)| *name).collect();
            let mut entries = journal.attributes_in(bucket, &first.directory(), &names).await?;
            found.extend(page.iter().filter_map(|(name, key)| Some((*key, entries.remove(*name)?))));
        }
    }
    Ok(found)
}

fn sources_of(moved: &[MovedObject]) -> Vec<&Key> {
    moved.iter().map(|moved| &moved.source).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        journal::{MemoryJournal, TimesAndMode, Version},
        name::Prefix,
        store::ETag,
    };

    fn version(etag: &str) -> Version {
        Version { etag: ETag(etag.to_owned()), modified: 100 }
    }

    fn attributes_set(etag: &str, set_at: i64) -> ObjectAttributes {
        ObjectAttributes {
            etag: ETag(etag.to_owned()),
            attributes: TimesAndMode { times: None, mode: Some(0o600) },
            set_at,
        }
    }

    /// A file that had version 1, was renamed, and has version 2 since.
    fn moved() -> MovedObject {
        let [source, target] = ["old", "new"].map(|name| Prefix::parse("acme/").unwrap().key(name).unwrap());
        MovedObject {
            source,
            target,
            versions: RenamedVersions { source: version("1"), target: version("2"), copied_at: 100 },
        }
    }

    #[tokio::test]
    async fn what_a_client_set_under_the_new_name_stays() {
        let (journal, bucket, moved) = (MemoryJournal::default(), BucketId::recorded("b"), moved());
        let set = attributes_set("2", 100);
        journal.replace_attributes(&bucket, &moved.target, Some(&set)).await.unwrap();
        assert!(carry(&journal, &bucket, std::slice::from_ref(&moved)).await.unwrap().is_empty());
        assert_eq!(journal.attributes(&bucket, &moved.target).await, Ok(Some(set)));
    }

    // S91: Times and modes belong to the version of the file that they were set on: one that is uploaded again loses …
    #[tokio::test]
    async fn attributes_of_files_that_got_the_names_meanwhile_stay() {
        let (journal, bucket, moved) = (MemoryJournal::default(), BucketId::recorded("b"), moved());
        for (set_at, is_left) in [(161, true), (160, false)] {
            for has_source in [true, false] {
                let there = attributes_set("3", set_at);
                let source = has_source.then(|| attributes_set("1", 100));
                journal.replace_attributes(&bucket, &moved.source, source.as_ref()).await.unwrap();
                journal.replace_attributes(&bucket, &moved.target, Some(&there)).await.unwrap();
                carry(&journal, &bucket, std::slice::from_ref(&moved)).await.unwrap();
                let carried = has_source.then(|| attributes_set("2", 100));
                let expected = if is_left { Some(there.clone()) } else { carried };
                assert_eq!(journal.attributes(&bucket, &moved.target).await, Ok(expected), "set at {set_at}");
                journal.replace_attributes(&bucket, &moved.source, Some(&there)).await.unwrap();
                forget(&journal, &bucket, std::slice::from_ref(&moved)).await.unwrap();
                assert_eq!(
                    journal.attributes(&bucket, &moved.source).await,
                    Ok(is_left.then_some(there)),
                    "set at {set_at}"
                );
            }
        }
    }
}
