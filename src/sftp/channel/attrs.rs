//! Converts attributes between the wire's types and the vfs's.

use crate::{
    sftp::wire::{Attrs, FileTimes, OwnerIds},
    vfs::{self, Metadata, NewAttributes, SetAttributes},
};

/// Returns the attributes for STAT and READDIR. The owner is always 0: clients need no other owner.
pub(crate) fn shown(metadata: &Metadata) -> Attrs {
    Attrs {
        size: Some(metadata.size),
        owner: Some(OwnerIds { uid: 0, gid: 0 }),
        permissions: Some(metadata.mode),
        times: Some(FileTimes { accessed: metadata.times.accessed, modified: metadata.times.modified }),
    }
}

/// Returns the attributes that OPEN and MKDIR request for a new file or directory. The size is ignored, since some
/// clients send it as a mere hint.
pub(crate) fn new(attrs: &Attrs) -> NewAttributes {
    NewAttributes { times: attrs.times.map(times), mode: attrs.permissions }
}

/// Returns the attributes that SETSTAT and FSETSTAT request.
pub(crate) fn set(attrs: &Attrs) -> SetAttributes {
    SetAttributes {
        size: attrs.size,
        times: attrs.times.map(times),
        mode: attrs.permissions,
        owner: attrs.owner.map(|owner| (owner.uid, owner.gid)),
    }
}

/// True if FSETSTAT requests more than an owner, which the server always shows as 0.
pub(crate) fn has_effect(attrs: &Attrs) -> bool {
    attrs.size.is_some() || attrs.times.is_some() || attrs.permissions.is_some()
}

fn times(times: FileTimes) -> vfs::Times {
    vfs::Times { accessed: times.accessed, modified: times.modified }
}
