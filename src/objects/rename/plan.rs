//! Plans the objects that a rename of a directory will move, before the first copy.
//!
//! Their names are charged to the tenant's memory. A rename never waits for it: a CLOSE, whose upload has some, may wait
//! for the rename.

use super::error::{ObjectsError, Result};
use crate::{
    journal::RenamedNames,
    memory::{Charge, TenantMemory},
    name::{Key, MAX_KEY_BYTES, Prefix},
    store::{Bucket, Error, ListScope, ListedObject},
};

const PAGE_OBJECTS: u16 = 1000;
/// The bytes that an object takes beside its names until it is moved: its versions, and what the allocator uses.
const OBJECT_BYTES: usize = 512;

/// The objects of a rename.
pub(super) struct RenamePlan {
    pub(super) objects: Vec<PlannedCopy>,
    pub(super) memory: RenameMemory,
}

/// The memory of the names in a directory that is renamed.
#[derive(Debug, Default)]
pub(crate) struct RenameMemory(Vec<Charge>);

impl RenameMemory {
    /// Charges the memory of one more page.
    fn add(&mut self, memory: &TenantMemory, page: &[PlannedCopy]) -> Result<()> {
        let bytes = page.iter().map(PlannedCopy::bytes).sum::<usize>() as u64;
        let charge = memory.charge(bytes).or_else(|| memory.charge_small_file(bytes));
        self.0.push(charge.ok_or(ObjectsError::NoMemory)?);
        Ok(())
    }
}

/// An object of the source, and its new name.
pub(super) struct PlannedCopy {
    pub(super) source: Key,
    pub(super) listed: ListedObject,
    pub(super) target: Key,
}

impl PlannedCopy {
    /// The memory until it is moved. Its names are stored twice.
    fn bytes(&self) -> usize {
        2 * (self.source.as_str().len() + self.target.as_str().len()) + OBJECT_BYTES
    }
}

/// Lists the objects below the source. Requests at most one page beyond the limit.
///
/// # Errors
/// [`ObjectsError::TooManyObjects`], [`ObjectsError::NameTooLong`], [`ObjectsError::NoMemory`], or the listing's errors.
pub(super) async fn list(
    bucket: &dyn Bucket,
    names: &RenamedNames,
    memory: &TenantMemory,
    max_objects: u64,
) -> Result<RenamePlan> {
    let (source, target) = (names.source(), names.target());
    let (mut objects, mut charged) = (Vec::new(), RenameMemory::default());
    let mut after = None;
    loop {
        let page = bucket.list(ListScope::Below(&source), after.as_ref(), PAGE_OBJECTS).await?;
        let before = objects.len();
        for listed in page.objects {
            objects.push(plan(&source, &target, listed)?);
        }
        charged.add(memory, objects.get(before..).unwrap_or_default())?;
        if objects.len() as u64 > max_objects {
            return Err(ObjectsError::TooManyObjects { limit: max_objects });
        }
        match page.next {
            Some(next) => after = Some(next),
            None => return Ok(RenamePlan { objects, memory: charged }),
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
