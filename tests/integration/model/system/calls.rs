//! Calls of a session to its tree.

use super::PATIENCE;
use crate::model::action::TreeOperation;
use std::collections::BTreeMap;
use wharfinger::{
    name::VirtualPath,
    vfs::{Entry, Metadata, NewAttributes, Replace, Result, SetAttributes, Times, Vfs, WriteHandle, WriteOptions},
};

pub async fn open(vfs: &Vfs, at: &str, options: WriteOptions, attributes: NewAttributes) -> Result<WriteHandle> {
    vfs.open_write(&path(at), options, attributes).await?.admit(PATIENCE).await
}

pub async fn perform(vfs: &Vfs, operation: TreeOperation) -> Result<()> {
    match operation {
        TreeOperation::Mkdir(at) => vfs.mkdir(&path(at), NewAttributes::default()).await,
        TreeOperation::Rmdir(at) => vfs.rmdir(&path(at)).await,
        TreeOperation::Remove(at) => vfs.remove(&path(at)).await,
        TreeOperation::Rename { source, target, replace } => {
            let replace = if replace { Replace::Yes } else { Replace::No };
            vfs.rename(&path(source), &path(target), replace).await
        }
        TreeOperation::SetTimes { at, modified } => vfs.set_attributes(&path(at), times(modified)).await,
        TreeOperation::Resize { at, size } => vfs.set_attributes(&path(at), size_of(size)).await,
    }
}

pub async fn listing(vfs: &Vfs, at: &str) -> Result<BTreeMap<String, Metadata>> {
    let mut directory = vfs.open_directory(&path(at)).await?;
    let mut names = BTreeMap::new();
    let mut insert = |entry: &Entry| {
        names.insert(entry.name.clone(), entry.metadata);
        true
    };
    while directory.next(&mut insert).await? > 0 {}
    names.retain(|name: &String, _| !matches!(name.as_str(), "." | ".."));
    Ok(names)
}

pub fn times(modified: u32) -> SetAttributes {
    SetAttributes { times: Some(Times { accessed: modified, modified }), ..SetAttributes::default() }
}

pub fn size_of(size: u64) -> SetAttributes {
    SetAttributes { size: Some(size), ..SetAttributes::default() }
}

pub fn path(raw: &str) -> VirtualPath {
    VirtualPath::parse(raw.as_bytes()).unwrap()
}
