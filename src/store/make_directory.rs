//! MKDIR: writes the directory's marker, a zero-byte object, so that the directory exists while it is empty.

use super::{Bucket, Condition, Error, NewObject, Payload, Result, find::refuse_existing, upload::Target};
use crate::name::Key;
use std::sync::Arc;

/// Makes the directory `key`, and gives its marker the metadata of `object`. 2 requests, or 3 among many neighbours.
///
/// # Errors
/// - [`Error::IsDirectory`], [`Error::AlreadyExists`]: there is a directory or a file of this name.
/// - [`Error::Conflict`]: another client made it meanwhile.
pub async fn make_directory(bucket: Arc<dyn Bucket>, key: &Key, mut object: NewObject) -> Result<()> {
    refuse_existing(&*bucket, key).await?;
    let marker = key.as_directory().marker().ok_or(Error::IsDirectory)?;
    object.mark()?;
    Target { bucket, key: marker, observer: None }.put(Payload::default(), &object, Condition::Absent).await?;
    Ok(())
}
