//! Attributes, from the wire's form to the tree's and back.

use crate::{
    sftp::wire::{Attrs, Owner, Times},
    vfs::{self, Metadata, NewAttributes, SetAttributes},
};

/// What STAT and READDIR show. All that is here belongs to 0, which no client needs to know more about.
pub fn shown(metadata: &Metadata) -> Attrs {
    Attrs {
        size: Some(metadata.size),
        owner: Some(Owner { uid: 0, gid: 0 }),
        permissions: Some(metadata.mode),
        times: Some(Times { accessed: metadata.times.accessed, modified: metadata.times.modified }),
    }
}

/// What OPEN and MKDIR give a new file or directory. The size is a hint of some clients', and no promise.
pub fn new(attrs: &Attrs) -> NewAttributes {
    NewAttributes { times: attrs.times.map(times), mode: attrs.permissions }
}

/// What SETSTAT and FSETSTAT ask for.
pub fn set(attrs: &Attrs) -> SetAttributes {
    SetAttributes {
        size: attrs.size,
        times: attrs.times.map(times),
        mode: attrs.permissions,
        owner: attrs.owner.map(|owner| (owner.uid, owner.gid)),
    }
}

/// True if FSETSTAT asks for more than the owner that is shown anyway.
pub fn are_kept(attrs: &Attrs) -> bool {
    attrs.size.is_some() || attrs.times.is_some() || attrs.permissions.is_some()
}

fn times(times: Times) -> vfs::Times {
    vfs::Times { accessed: times.accessed, modified: times.modified }
}
