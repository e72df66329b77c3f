//! Plans the objects that a rename of a directory will move, before the first copy.

use super::error::{ObjectsError, Result};
use crate::{
    journal::RenamedNames,
    name::{Key, MAX_KEY_BYTES, Prefix},
    store::{Bucket, Error, ListScope, ListedObject},
};

const PAGE_OBJECTS: u16 = 1000;

/// An object of the source, and its new name.
pub(super) struct PlannedCopy {
    pub(super) source: Key,
    pub(super) listed: ListedObject,
    pub(super) target: Key,
}

/// Lists the objects below the source. Requests at most one page beyond the limit.
///
/// # Errors
/// [`ObjectsError::TooManyObjects`], [`ObjectsError::NameTooLong`], or the listing's errors.
pub(super) async fn list(bucket: &dyn Bucket, names: &RenamedNames, max_objects: u64) -> Result<Vec<PlannedCopy>> {
    let (source, target) = (names.source(), names.target());
    let mut planned = Vec::new();
    let mut after = None;
    loop {
        let page = bucket.list(ListScope::Below(&source), after.as_ref(), PAGE_OBJECTS).await?;
        for listed in page.objects {
            planned.push(plan(&source, &target, listed)?);
        }
        if planned.len() as u64 > max_objects {
            return Err(ObjectsError::TooManyObjects { limit: max_objects });
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(planned),
        }
    }
}

fn plan(source: &Prefix, target: &Prefix, listed: ListedObject) -> Result<PlannedCopy> {
    let elsewhere = || Error::Broken("a listing shows what lies elsewhere".to_owned());
    let key = source.twin(source, &listed.raw_key).ok_or_else(elsewhere)?;
    let target = target.twin(source, &listed.raw_key).ok_or_else(elsewhere)?;
    if target.as_str().len() > MAX_KEY_BYTES {
        return Err(ObjectsError::NameTooLong);
    }
    Ok(PlannedCopy { source: key, listed, target })
}
