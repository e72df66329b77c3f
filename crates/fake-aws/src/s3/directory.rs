//! Objects in a directory. `data/` holds one file for the bytes of each request. `objects/BUCKET/` holds one record for
//! each key, named by the key's hash. The record lists the files that make the object.
//!
//! Invariant: an object exists if its record does. A rename publishes the record as a whole, after the files that it
//! names are on disk. If the process dies at any moment, each key has its old object, its new one, or none. The next
//! start removes files that no record names: parts, and interrupted uploads.

use super::{
    data::{Data, Extent},
    error::Result,
    files::{DataFile, FileWriter},
    record::ObjectRecord,
    store::S3Object,
};
use crate::unique::unique;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// A directory with this file belongs to a fake S3. A process locks the file while it uses the directory.
const LOCK: &str = "fake-aws.lock";
/// The name of that file in directories that `wharfinger demo` made before this crate existed.
const FORMER_LOCK: &str = "wharfinger-demo.lock";
const RECORD: &str = "toml";

/// The error for a directory that can't hold objects.
#[derive(Debug, thiserror::Error)]
#[error("{} can't hold the objects", .path.display())]
pub struct UnusableDirectory {
    /// The directory.
    pub path: PathBuf,
    /// It holds other files, another process uses it, it is damaged, or the file system fails.
    pub source: io::Error,
}

/// The directory of one S3.
#[derive(Debug)]
pub(crate) struct StorageDirectory {
    root: PathBuf,
    /// Locked as long as the process uses the directory.
    _lock: File,
}

/// Objects that a directory held when it was opened: by bucket, then by key.
pub(crate) type LoadedObjects = BTreeMap<String, BTreeMap<String, S3Object>>;

impl StorageDirectory {
    /// Opens or creates the directory, with a subdirectory for each of `buckets`, and loads its objects.
    ///
    /// # Errors
    /// The directory holds other files, is in use by another process, or is damaged. Other files stay untouched.
    pub(crate) fn open(root: &Path, buckets: &[String]) -> io::Result<(Self, LoadedObjects)> {
        fs::create_dir_all(root)?;
        let former = root.join(FORMER_LOCK);
        let lock_path = if former.exists() { former } else { root.join(LOCK) };
        if !lock_path.exists() && fs::read_dir(root)?.next().is_some() {
            return Err(io::Error::other("it holds other files; name an empty or a new directory"));
        }
        let lock = File::create(lock_path)?;
        lock.try_lock().map_err(|_| io::Error::other("another process uses it"))?;
        let directory = Self { root: root.to_owned(), _lock: lock };
        fs::create_dir_all(directory.data())?;
        for bucket in buckets {
            fs::create_dir_all(directory.bucket(bucket))?;
        }
        let found = directory.load()?;
        Ok((directory, found))
    }

    /// Creates a file for the bytes of one request.
    pub(crate) async fn create(&self) -> Result<FileWriter> {
        FileWriter::create(&self.data()).await
    }

    /// Stores `object` under `key`, durably. Blocks.
    pub(crate) fn commit(&self, bucket: &str, key: &str, object: &S3Object) -> io::Result<()> {
        let record = ObjectRecord::new(key, object).to_text()?;
        sync(&self.data())?;
        let path = self.record(bucket, key);
        let unfinished = self.bucket(bucket).join(unique());
        let mut file = File::create_new(&unfinished)?;
        let written = file.write_all(record.as_bytes()).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&unfinished, path)) {
            let _ = fs::remove_file(&unfinished);
            return Err(error);
        }
        set_named(&object.data, true);
        sync(&self.bucket(bucket))
    }

    /// Removes the record of `key`, durably. Blocks.
    pub(crate) fn forget(&self, bucket: &str, key: &str) -> io::Result<()> {
        fs::remove_file(self.record(bucket, key))?;
        sync(&self.bucket(bucket))
    }

    fn load(&self) -> io::Result<LoadedObjects> {
        let mut found = LoadedObjects::new();
        let mut named = HashSet::new();
        for directory in fs::read_dir(self.objects())? {
            let directory = directory?;
            let Ok(bucket) = directory.file_name().into_string() else { continue };
            let mut objects = BTreeMap::new();
            for entry in fs::read_dir(directory.path())? {
                let path = entry?.path();
                if path.extension().is_none_or(|extension| extension != RECORD) {
                    fs::remove_file(path)?;
                    continue;
                }
                let (key, object) = ObjectRecord::parse(&fs::read_to_string(&path)?)
                    .and_then(|record| record.into_object(&self.data()))
                    .map_err(|error| io::Error::other(format!("{} is damaged: {error}", path.display())))?;
                named.extend(object.data.extents.iter().filter_map(|extent| match extent {
                    Extent::File(file) => file.name().map(str::to_owned),
                    Extent::Memory(_) | Extent::Zeros(_) => None,
                }));
                objects.insert(key, object);
            }
            found.insert(bucket, objects);
        }
        for entry in fs::read_dir(self.data())? {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|name| !named.contains(name)) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(found)
    }

    fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    fn objects(&self) -> PathBuf {
        self.root.join("objects")
    }

    fn bucket(&self, bucket: &str) -> PathBuf {
        self.objects().join(bucket)
    }

    /// Path of a key's record. The key is hashed because keys can be longer than file names and hold other characters.
    fn record(&self, bucket: &str, key: &str) -> PathBuf {
        self.bucket(bucket).join(format!("{}.{RECORD}", hex::encode(Sha256::digest(key))))
    }
}

/// Sets whether a record names the files of `data`. Files without a record are removed with their last reader.
pub(crate) fn set_named(data: &Data, named: bool) {
    for extent in &data.extents {
        if let Extent::File(file) = extent {
            file.set_named(named);
        }
    }
}

/// Copies the bytes into files of their own, so that each file belongs to one record. Blocks.
pub(crate) fn duplicate(data: &Data) -> io::Result<Data> {
    let twin = |extent: &Extent| match extent {
        Extent::Memory(_) | Extent::Zeros(_) => Ok(extent.clone()),
        Extent::File(file) => Ok(Extent::File(Arc::new(DataFile::duplicate(file)?))),
    };
    Ok(Data { extents: data.extents.iter().map(twin).collect::<io::Result<_>>()? })
}

/// Syncs a directory, which makes a rename in it durable.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
