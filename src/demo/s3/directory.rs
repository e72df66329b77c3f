//! Objects in a directory: `data/` holds the bytes of each request in a file of its own, `objects/BUCKET/` one record a
//! key, named by the key's hash, that says which files make the object.
//!
//! Invariant: an object exists when its record does, and a record appears, whole and by a rename, only after the files
//! that it names are on the disk. So whatever moment the process dies at, each key has its old object, its new one
//! or none. Files that no record names (parts, and uploads cut short) are removed at the next start.

use super::{
    data::{Data, Extent},
    error::Result,
    files::{DataFile, FileWriter},
    record::Record,
    store::Object,
    unique,
};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Marks a directory as ours, and is locked while a process uses it.
const LOCK: &str = "wharfinger-demo.lock";
const RECORD: &str = "toml";

/// The directory of one S3.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    /// Held as long as the process uses the directory.
    _lock: File,
}

/// What a directory held when it was opened: objects by key, by bucket.
pub type Found = BTreeMap<String, BTreeMap<String, Object>>;

impl Directory {
    /// Opens or makes the directory, with a place for each of `buckets`, and reads what is in it.
    ///
    /// # Errors
    /// When it holds anything else, is in use, or is damaged. Nothing of others' is touched.
    pub fn open(root: &Path, buckets: &[String]) -> io::Result<(Self, Found)> {
        fs::create_dir_all(root)?;
        let lock_path = root.join(LOCK);
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

    /// A file for the bytes of one request.
    pub async fn create(&self) -> Result<FileWriter> {
        FileWriter::create(&self.data()).await
    }

    /// Makes `object` what `key` is, durably. Blocks.
    pub fn commit(&self, bucket: &str, key: &str, object: &Object) -> io::Result<()> {
        let record = Record::new(key, object).to_text()?;
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

    /// Forgets what `key` was, durably. Blocks.
    pub fn forget(&self, bucket: &str, key: &str) -> io::Result<()> {
        fs::remove_file(self.record(bucket, key))?;
        sync(&self.bucket(bucket))
    }

    fn load(&self) -> io::Result<Found> {
        let mut found = Found::new();
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
                let (key, object) = Record::parse(&fs::read_to_string(&path)?)
                    .and_then(|record| record.into_object(&self.data()))
                    .map_err(|error| io::Error::other(format!("{} is damaged: {error}", path.display())))?;
                named.extend(object.data.extents.iter().filter_map(|extent| match extent {
                    Extent::File(file) => file.name().map(str::to_owned),
                    Extent::Memory(_) => None,
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

    /// Keys are longer and odder than file names may be; their hashes aren't.
    fn record(&self, bucket: &str, key: &str) -> PathBuf {
        self.bucket(bucket).join(format!("{}.{RECORD}", hex::encode(Sha256::digest(key))))
    }
}

/// Whether a record names the files of `data`; without one they go with their last reader.
pub fn set_named(data: &Data, named: bool) {
    for extent in &data.extents {
        if let Extent::File(file) = extent {
            file.set_named(named);
        }
    }
}

/// The same bytes in files of their own, so that each file belongs to one record. Blocks.
pub fn duplicate(data: &Data) -> io::Result<Data> {
    let twin = |extent: &Extent| match extent {
        Extent::Memory(_) => Ok(extent.clone()),
        Extent::File(file) => Ok(Extent::File(Arc::new(DataFile::duplicate(file)?))),
    };
    Ok(Data { extents: data.extents.iter().map(twin).collect::<io::Result<_>>()? })
}

/// A rename is durable when its directory is.
fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
