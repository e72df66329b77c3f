//! MKDIR: writes the directory's marker, a zero-byte object, so that the directory exists while it is empty.

use super::{ObjectsError, rename::refuse_existing};
use crate::{
    name::Key,
    store::{Bucket, Condition, NewObject, Payload, Result, put_confirmed},
};
use std::sync::Arc;

/// Makes the directory `key`, and gives its marker the metadata of `object`. 2 requests, or 3 among many neighbours.
///
/// # Errors
/// - [`ObjectsError::IsDirectory`], [`ObjectsError::AlreadyExists`]: there is a directory or a file of this name.
/// - [`Error::Conflict`](crate::store::Error::Conflict): another client made it meanwhile.
pub async fn make_directory(bucket: Arc<dyn Bucket>, key: &Key, mut object: NewObject) -> Result<(), ObjectsError> {
    refuse_existing(&*bucket, key).await?;
    let marker = key.as_directory().marker().ok_or(ObjectsError::IsDirectory)?;
    object.add_token()?;
    put_confirmed(&*bucket, &marker, Payload::default(), &object, Condition::Absent).await?;
    Ok(())
}
