//! Objects and uploads without the protocol, for the levers of tests: no signature, no permission, no fault, no record.

use super::{
    body::{self, Incoming},
    checksum::{self, ClaimedChecksums},
    data::{Data, Extent},
    error::{Error, Result},
    objects::{blocking, length},
    service::Service,
    store::{Attributes, Conditions, S3Object},
};
use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use hyper::HeaderMap;
use s3s::dto::StreamingBlob;
use std::{collections::BTreeMap, sync::Arc};

impl Service {
    /// Returns the keys of a bucket, with the sizes of their objects in bytes.
    pub(crate) fn sizes(&self, bucket: &str) -> Result<BTreeMap<String, u64>> {
        self.store.view(bucket, |index| index.iter().map(|(key, entry)| (key.clone(), entry.object.size)).collect())
    }

    /// Returns the bytes of an object.
    pub(crate) async fn bytes(&self, bucket: &str, key: &str) -> Result<Bytes> {
        let object = self.store.object(bucket, key)?;
        let joined = object.data.read(0..object.size).try_fold(BytesMut::new(), |mut joined, block| async move {
            joined.extend_from_slice(&block);
            Ok(joined)
        });
        Ok(joined.await.map_err(|error| Error::Io(std::io::Error::other(error)))?.freeze())
    }

    /// Stores an object.
    pub(crate) async fn set(&self, bucket: String, key: String, bytes: Bytes) -> Result<()> {
        let incoming = Incoming {
            length: length(bytes.len() as u64),
            body: Some(StreamingBlob::wrap(futures_util::stream::iter([Ok::<_, std::io::Error>(bytes)]))),
            claims: ClaimedChecksums::default(),
            trailer: None,
        };
        let stored = body::store(&self.store, incoming, &HeaderMap::new()).await?;
        let attributes = Attributes { encryption: self.keys.default_of(&bucket), ..Attributes::default() };
        let object = S3Object::new(stored.size, stored.crc64, attributes, stored.data);
        let store = Arc::clone(&self.store);
        blocking(move || store.publish(&bucket, &key, object, &Conditions::default())).await?;
        Ok(())
    }

    /// Stores an object of `size` zero bytes, which take no memory. A directory can't hold one.
    pub(crate) fn set_zeros(&self, bucket: &str, key: &str, size: u64) -> Result<()> {
        if self.store.is_durable() {
            return Err(Error::NotImplemented("zeros in a directory"));
        }
        let data = Data { extents: vec![Extent::Zeros(size)] };
        let attributes = Attributes { encryption: self.keys.default_of(bucket), ..Attributes::default() };
        let object = S3Object::new(size, checksum::of_zeros(size), attributes, data);
        self.store.publish(bucket, key, object, &Conditions::default())?;
        Ok(())
    }

    /// Returns the open uploads of a bucket: their keys and ids.
    pub(crate) fn open_uploads(&self, bucket: &str) -> Vec<(String, String)> {
        let (uploads, _) = self.uploads.list(bucket, "", ("", None), usize::MAX);
        uploads.into_iter().map(|listed| (listed.name.key, listed.name.id)).collect()
    }
}
