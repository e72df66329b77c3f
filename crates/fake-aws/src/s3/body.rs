//! Stores a request's body in memory or in a file, and checks its checksums. A body is stored whole or not at all.

use super::{
    checksum::{ChecksumVerifier, ClaimedChecksums},
    data::{BLOCK_BYTES, Data, DataWriter},
    error::{Error, Result},
    store::Store,
};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use hyper::HeaderMap;
use s3s::{TrailingHeaders, dto::StreamingBlob};

/// S3's limit on one PutObject or UploadPart, in bytes.
pub(crate) const MAX_BODY_BYTES: u64 = 5 << 30;

/// A body, with the facts that the client claims about it.
pub(crate) struct Incoming {
    pub(crate) body: Option<StreamingBlob>,
    /// In bytes, if the client sent it.
    pub(crate) length: Option<i64>,
    pub(crate) claims: ClaimedChecksums,
    pub(crate) trailer: Option<TrailingHeaders>,
}

/// A stored body that is complete and matches its claims.
pub(crate) struct StoredBody {
    pub(crate) data: Data,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) crc64: u64,
}

/// Stores a body. On failure it still reads the body to its end: a client that is still sending would not see the
/// answer.
pub(crate) async fn store(store: &Store, mut incoming: Incoming, headers: &HeaderMap) -> Result<StoredBody> {
    let mut body = incoming.body.take();
    let taken = fill(store, body.as_mut(), incoming, headers).await;
    if taken.is_err() {
        drain(body).await;
    }
    taken
}

/// Reads a body to its end and discards it.
pub(crate) async fn drain(body: Option<StreamingBlob>) {
    let Some(mut body) = body else { return };
    while let Some(Ok(_)) = body.next().await {}
}

async fn fill(
    store: &Store,
    body: Option<&mut StreamingBlob>,
    incoming: Incoming,
    headers: &HeaderMap,
) -> Result<StoredBody> {
    let expected = incoming.length.and_then(|length| u64::try_from(length).ok());
    if expected.is_some_and(|bytes| bytes > MAX_BODY_BYTES) {
        return Err(Error::EntityTooLarge);
    }
    let mut checker = ChecksumVerifier::new(incoming.claims, headers);
    let mut filling = BlockWriter { block: BytesMut::new(), left: expected, writer: None, size: 0 };
    if let Some(body) = body {
        while let Some(bytes) = body.next().await {
            let bytes = bytes.map_err(|error| Error::IncompleteBody(error.to_string()))?;
            checker.update(&bytes);
            filling.push(store, bytes).await?;
        }
    }
    if expected.is_some_and(|bytes| bytes != filling.size) {
        return Err(Error::IncompleteBody("its length is not what was announced".to_owned()));
    }
    let crc64 = checker.finish(incoming.trailer.and_then(|trailer| trailer.take()).as_ref())?;
    let size = filling.size;
    Ok(StoredBody { data: filling.finish(store).await?, size, crc64 })
}

/// Copies the body into blocks of exactly the size that it needs. hyper's pieces are views of its read buffers, and
/// would keep those alive.
struct BlockWriter {
    block: BytesMut,
    /// Bytes to come that have no space in `block` yet, if the client sent the length.
    left: Option<u64>,
    writer: Option<DataWriter>,
    size: u64,
}

impl BlockWriter {
    async fn push(&mut self, store: &Store, mut bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        if self.size > MAX_BODY_BYTES {
            return Err(Error::EntityTooLarge);
        }
        while !bytes.is_empty() {
            if self.block.capacity() == 0 {
                self.block = BytesMut::with_capacity(self.next_capacity());
            }
            let fits = bytes.split_to(bytes.len().min(self.block.capacity() - self.block.len()));
            self.block.extend_from_slice(&fits);
            if self.block.len() == self.block.capacity() {
                self.flush(store).await?;
            }
        }
        Ok(())
    }

    fn next_capacity(&mut self) -> usize {
        let Some(left) = &mut self.left else { return BLOCK_BYTES };
        let block = (*left).min(BLOCK_BYTES as u64);
        *left -= block;
        usize::try_from(block).unwrap_or(BLOCK_BYTES).max(1)
    }

    async fn flush(&mut self, store: &Store) -> Result<()> {
        let block = std::mem::take(&mut self.block);
        // The last block of a body of unknown length would keep its whole capacity.
        let block = if block.len() < block.capacity() { Bytes::copy_from_slice(&block) } else { block.freeze() };
        let writer = match self.writer.take() {
            Some(writer) => writer,
            None => store.writer().await?,
        };
        self.writer = Some(writer.push(block).await?);
        Ok(())
    }

    async fn finish(mut self, store: &Store) -> Result<Data> {
        if !self.block.is_empty() {
            self.flush(store).await?;
        }
        match self.writer {
            Some(writer) => Ok(Data { extents: vec![writer.finish().await?] }),
            None => Ok(Data::default()),
        }
    }
}
