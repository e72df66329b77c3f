//! The key store: a flat, sorted index of objects for each bucket. It has no directories: `/` is a character like any
//! other.
//!
//! The index is always in memory. Writers of a bucket take turns, and change the disk before the index. Readers never
//! wait for the disk.

use super::{
    data::{Data, DataWriter},
    directory::{self, StorageDirectory},
    encryption::ObjectEncryption,
    error::{Error, Result},
    memory::{Blocks, Quota, QuotaShare},
    tags::ObjectTags,
};
use crate::{clock, unique::unique};
use parking_lot::Mutex;
use s3s::dto::ETagCondition;
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Rough cost of an object beside its bytes and names, so that empty objects are bounded too.
const OBJECT_OVERHEAD_BYTES: u64 = 512;

/// An immutable object. A write replaces it.
#[derive(Clone, Debug)]
pub(crate) struct S3Object {
    /// In bytes.
    pub(crate) size: u64,
    /// Without quotes.
    pub(crate) etag: String,
    /// In whole seconds, as in S3.
    pub(crate) modified: SystemTime,
    /// CRC-64/NVME of all bytes.
    pub(crate) crc64: u64,
    pub(crate) attributes: Attributes,
    pub(crate) data: Data,
}

impl S3Object {
    /// Makes an object that is modified now.
    pub(crate) fn new(size: u64, crc64: u64, attributes: Attributes, data: Data) -> Self {
        Self { size, etag: unique(), modified: now(), crc64, attributes, data }
    }

    /// Copies the object, to be published under another name. Blocks on the disk.
    pub(crate) fn twin(&self, attributes: Attributes) -> Result<Self> {
        Ok(Self::new(self.size, self.crc64, attributes, directory::duplicate(&self.data)?))
    }
}

/// The current time in whole seconds.
pub(crate) fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(clock::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// Facts about an object that its writer chooses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) content_type: Option<String>,
    /// User metadata, without `x-amz-meta-`.
    pub(crate) metadata: BTreeMap<String, String>,
    pub(crate) tags: ObjectTags,
    pub(crate) encryption: ObjectEncryption,
}

/// `If-Match` and `If-None-Match` of a write.
#[derive(Clone, Debug, Default)]
pub(crate) struct Conditions {
    pub(crate) matches: Option<ETagCondition>,
    pub(crate) none_matches: Option<ETagCondition>,
}

impl Conditions {
    fn check(&self, there: Option<&S3Object>) -> Result<()> {
        match &self.none_matches {
            None => {}
            Some(ETagCondition::Any) if there.is_none() => {}
            Some(ETagCondition::Any) => return Err(Error::PreconditionFailed),
            Some(ETagCondition::ETag(_)) => return Err(Error::NotImplemented("If-None-Match of an ETag on writes")),
        }
        match (&self.matches, there) {
            (None, _) | (Some(ETagCondition::Any), Some(_)) => Ok(()),
            (Some(_), None) => Err(Error::NoSuchKey),
            (Some(ETagCondition::ETag(etag)), Some(object)) if etag.value() == object.etag => Ok(()),
            (Some(ETagCondition::ETag(_)), Some(_)) => Err(Error::PreconditionFailed),
        }
    }
}

/// The objects of one bucket, in the order of their keys' UTF-8 bytes.
pub(crate) type Index = BTreeMap<String, IndexEntry>;

/// An object in the index.
#[derive(Debug)]
pub(crate) struct IndexEntry {
    pub(crate) object: Arc<S3Object>,
    _charge: QuotaShare,
}

#[derive(Debug, Default)]
struct BucketIndex {
    /// Held by the writer whose turn it is.
    writing: Mutex<()>,
    index: Mutex<Index>,
}

#[derive(Debug)]
pub(crate) struct Store {
    buckets: BTreeMap<String, BucketIndex>,
    /// Names of buckets by the aliases of their access points.
    aliases: BTreeMap<String, String>,
    quota: Arc<Quota>,
    directory: Option<StorageDirectory>,
}

impl Store {
    /// An empty store in memory.
    pub(crate) fn in_memory(buckets: Vec<String>, max_bytes: u64) -> Self {
        let buckets = buckets.into_iter().map(|name| (name, BucketIndex::default())).collect();
        Self { buckets, aliases: BTreeMap::new(), quota: Quota::new(max_bytes), directory: None }
    }

    /// A store in a directory, with the objects that the directory holds.
    pub(crate) fn in_directory(directory: StorageDirectory, found: directory::LoadedObjects) -> Result<Self> {
        let quota = Quota::new(u64::MAX);
        let mut buckets = BTreeMap::new();
        for (name, objects) in found {
            let mut index = Index::new();
            for (key, object) in objects {
                let entry = IndexEntry { _charge: charge(&quota, &key, &object)?, object: Arc::new(object) };
                index.insert(key, entry);
            }
            buckets.insert(name, BucketIndex { writing: Mutex::default(), index: Mutex::new(index) });
        }
        Ok(Self { buckets, aliases: BTreeMap::new(), quota, directory: Some(directory) })
    }

    /// The store with further names of its buckets.
    pub(crate) fn with_aliases(self, aliases: BTreeMap<String, String>) -> Self {
        Self { aliases, ..self }
    }

    /// The name of the bucket that `name` is, or is the alias for.
    pub(crate) fn real_name<'a>(&'a self, name: &'a str) -> &'a str {
        self.aliases.get(name).map_or(name, String::as_str)
    }

    /// True if the objects are in a directory.
    pub(crate) fn is_durable(&self) -> bool {
        self.directory.is_some()
    }

    pub(crate) fn bucket_names(&self) -> impl Iterator<Item = &str> {
        self.buckets.keys().map(String::as_str)
    }

    /// Fails if the bucket doesn't exist.
    pub(crate) fn check_bucket(&self, bucket: &str) -> Result<()> {
        self.bucket(bucket).map(|_| ())
    }

    fn bucket(&self, bucket: &str) -> Result<&BucketIndex> {
        self.buckets.get(self.real_name(bucket)).ok_or(Error::NoSuchBucket)
    }

    /// Returns a writer for the bytes of one request.
    pub(crate) async fn writer(&self) -> Result<DataWriter> {
        match &self.directory {
            Some(directory) => Ok(DataWriter::File(directory.create().await?)),
            None => Ok(DataWriter::Memory(Blocks::empty(&self.quota)?)),
        }
    }

    /// Reserves memory for data that isn't an object.
    pub(crate) fn charge(&self, bytes: u64) -> Result<QuotaShare> {
        self.quota.charge(bytes)
    }

    pub(crate) fn object(&self, bucket: &str, key: &str) -> Result<Arc<S3Object>> {
        let index = self.bucket(bucket)?.index.lock();
        index.get(key).map(|entry| Arc::clone(&entry.object)).ok_or(Error::NoSuchKey)
    }

    /// Applies `view` to the bucket's index at one moment.
    pub(crate) fn view<T>(&self, bucket: &str, view: impl FnOnce(&Index) -> T) -> Result<T> {
        Ok(view(&self.bucket(bucket)?.index.lock()))
    }

    /// Stores `object` under `key` if the conditions hold. Blocks on the disk.
    pub(crate) fn publish(
        &self,
        bucket: &str,
        key: &str,
        object: S3Object,
        conditions: &Conditions,
    ) -> Result<Arc<S3Object>> {
        let charge = charge(&self.quota, key, &object)?;
        let place = self.bucket(bucket)?;
        let _turn = place.writing.lock();
        conditions.check(place.index.lock().get(key).map(|entry| &*entry.object))?;
        if let Some(directory) = &self.directory {
            directory.commit(self.real_name(bucket), key, &object)?;
        }
        let object = Arc::new(object);
        let entry = IndexEntry { object: Arc::clone(&object), _charge: charge };
        let replaced = place.index.lock().insert(key.to_owned(), entry);
        if let Some(replaced) = replaced {
            directory::set_named(&replaced.object.data, false);
        }
        Ok(object)
    }

    /// Replaces the tags of an object. Its ETag and its time stay. Blocks on the disk.
    pub(crate) fn retag(&self, bucket: &str, key: &str, tags: ObjectTags) -> Result<()> {
        let place = self.bucket(bucket)?;
        let _turn = place.writing.lock();
        let there = place.index.lock().get(key).map(|entry| Arc::clone(&entry.object)).ok_or(Error::NoSuchKey)?;
        let attributes = Attributes { tags, ..there.attributes.clone() };
        let object = S3Object { attributes, ..S3Object::clone(&there) };
        let charge = charge(&self.quota, key, &object)?;
        if let Some(directory) = &self.directory {
            directory.commit(self.real_name(bucket), key, &object)?;
        }
        // The files of the data stay named: the new record names them too.
        let entry = IndexEntry { object: Arc::new(object), _charge: charge };
        place.index.lock().insert(key.to_owned(), entry);
        Ok(())
    }

    /// Removes `key` if its ETag is `expected`. Removing a missing key without a condition succeeds. Blocks on the
    /// disk.
    pub(crate) fn remove(&self, bucket: &str, key: &str, expected: Option<&ETagCondition>) -> Result<()> {
        let place = self.bucket(bucket)?;
        let _turn = place.writing.lock();
        let there = place.index.lock().get(key).map(|entry| Arc::clone(&entry.object));
        let conditions = Conditions { matches: expected.cloned(), none_matches: None };
        conditions.check(there.as_deref())?;
        let Some(there) = there else { return Ok(()) };
        if let Some(directory) = &self.directory {
            directory.forget(self.real_name(bucket), key)?;
        }
        place.index.lock().remove(key);
        directory::set_named(&there.data, false);
        Ok(())
    }
}

/// Charges the memory of an object beside its bytes.
fn charge(quota: &Arc<Quota>, key: &str, object: &S3Object) -> Result<QuotaShare> {
    let names: usize = object.attributes.metadata.iter().map(|(name, value)| name.len() + value.len()).sum();
    quota.charge(OBJECT_OVERHEAD_BYTES + (key.len() + names + object.attributes.tags.bytes()) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use futures_util::TryStreamExt;
    use proptest::prelude::*;
    use std::path::Path;

    const BUCKET: &str = "bucket";

    #[derive(Clone, Debug)]
    enum StoreStep {
        Put(usize, Vec<u8>),
        Copy(usize, usize),
        Remove(usize),
        Reopen,
    }

    fn steps() -> impl Strategy<Value = Vec<StoreStep>> {
        let step = prop_oneof![
            (0..4_usize, any::<Vec<u8>>()).prop_map(|(key, bytes)| StoreStep::Put(key, bytes)),
            (0..4_usize, 0..4_usize).prop_map(|(source, target)| StoreStep::Copy(source, target)),
            (0..4_usize).prop_map(StoreStep::Remove),
            Just(StoreStep::Reopen),
        ];
        prop::collection::vec(step, 0..12)
    }

    fn key(number: usize) -> String {
        ["k", "k/b", "dir/", "\u{1}\"\n\u{fffe}"].get(number).copied().unwrap_or_default().to_owned()
    }

    fn open(path: &Path) -> Store {
        let (directory, found) = StorageDirectory::open(path, &[BUCKET.to_owned()]).unwrap();
        Store::in_directory(directory, found).unwrap()
    }

    async fn put(store: &Store, key: &str, bytes: Vec<u8>) {
        let size = bytes.len() as u64;
        let writer = store.writer().await.unwrap().push(Bytes::from(bytes)).await.unwrap();
        let data = Data { extents: vec![writer.finish().await.unwrap()] };
        let object = S3Object::new(size, 0, Attributes::default(), data);
        store.publish(BUCKET, key, object, &Conditions::default()).unwrap();
    }

    async fn contents(store: &Store) -> BTreeMap<String, Vec<u8>> {
        let objects = store.view(BUCKET, |index| {
            index.iter().map(|(key, entry)| (key.clone(), Arc::clone(&entry.object))).collect::<Vec<_>>()
        });
        let mut contents = BTreeMap::new();
        for (key, object) in objects.unwrap() {
            let pieces: Vec<Bytes> = object.data.read(0..object.size).try_collect().await.unwrap();
            contents.insert(key, pieces.concat());
        }
        contents
    }

    async fn behaves_like_a_map(steps: Vec<StoreStep>) {
        let directory = tempfile::tempdir().unwrap();
        let mut store = open(directory.path());
        let mut model = BTreeMap::new();
        for step in steps {
            match step {
                StoreStep::Put(number, bytes) => {
                    put(&store, &key(number), bytes.clone()).await;
                    model.insert(key(number), bytes);
                }
                StoreStep::Copy(source, target) => {
                    let Ok(object) = store.object(BUCKET, &key(source)) else { continue };
                    let twin = object.twin(Attributes::default()).unwrap();
                    store.publish(BUCKET, &key(target), twin, &Conditions::default()).unwrap();
                    model.insert(key(target), model.get(&key(source)).cloned().unwrap());
                }
                StoreStep::Remove(number) => {
                    store.remove(BUCKET, &key(number), None).unwrap();
                    model.remove(&key(number));
                }
                StoreStep::Reopen => {
                    drop(store);
                    store = open(directory.path());
                }
            }
            assert_eq!(contents(&store).await, model);
            let files = std::fs::read_dir(directory.path().join("data")).unwrap().count();
            assert_eq!(files, model.len(), "no file is left behind");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn a_directory_is_a_map_that_can_be_reopened(steps in steps()) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(behaves_like_a_map(steps));
        }
    }

    #[test]
    fn names_take_memory_too() {
        let store = Store::in_memory(vec![BUCKET.to_owned()], 4 * OBJECT_OVERHEAD_BYTES);
        let publish = |key: &str| {
            let object = S3Object::new(0, 0, Attributes::default(), Data::default());
            store.publish(BUCKET, key, object, &Conditions::default())
        };
        for key in ["a", "b", "c"] {
            publish(key).unwrap();
        }
        assert!(matches!(publish("d"), Err(Error::MemoryFull { .. })));
        store.remove(BUCKET, "a", None).unwrap();
        publish("d").unwrap();
    }
}
