//! Directories that S3 only implies, because objects lie below their names: other programs put them there, or a session
//! uploaded into a directory without MKDIR. Such a directory would vanish with its last file, in the middle of a
//! client's work. For example, `rm -r` removes the files, then the directory; a poller takes the last file and lists
//! the directory again.
//!
//! So a session that takes something from a directory gives it a marker. Other nodes see the directory then, and S3's
//! own users see an empty object `dir/`, as after MKDIR. If the user's permissions allow no PutObject, this node
//! remembers for an hour that its users saw the directory and emptied it.

use super::{Result, Vfs, file_attributes::NamedObject};
use crate::{
    account::{Mount, Permission},
    name::Key,
    store::{self, Bucket, Condition, NewObject, Payload},
};

impl Vfs {
    /// Gives a marker to the directory that contains `named`, unless it is known to have one. Call it when something is
    /// taken from the directory. At most 1 request, and none for a mount's root.
    pub(super) async fn ensure_parent_marker(&self, named: NamedObject<'_>, mount: &Mount) {
        let directory = named.key.directory();
        let (markers, name) = (&self.node.cache.markers, (named.bucket.id(), directory.as_str()));
        let Some(marker) = directory.marker().filter(|_| directory != mount.prefix) else { return };
        if markers.has_marker(name) {
            return;
        }
        let storing = [Permission::Write, Permission::Mkdir, Permission::Rename];
        let may_store = storing.into_iter().any(|permission| mount.allows(permission));
        if may_store && self.store_marker(named.bucket, &marker, NewObject::default()).await.is_ok() {
            return;
        }
        let mut at = directory;
        while at != mount.prefix {
            markers.note_emptied(named.scope, (named.bucket.id(), at.as_str()));
            let Some(key) = at.without_slash() else { break };
            at = key.directory();
        }
    }

    /// Makes a directory's marker, if it doesn't exist. 1 request.
    ///
    /// # Errors
    /// The errors of the storage. It is no error if the marker exists.
    pub(super) async fn store_marker(&self, bucket: &dyn Bucket, marker: &Key, mut object: NewObject) -> Result<()> {
        object.add_token()?;
        let name = (bucket.id(), marker.as_str());
        let stamp = self.node.cache.stat.stamp(name);
        match bucket.put(marker, Payload::default(), &object, Condition::Absent).await {
            Ok(_) | Err(store::Error::Conflict { .. }) => {
                if self.node.cache.stat.is_unchanged(name, stamp) {
                    self.node.cache.markers.note(&self.tenant.name, name);
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
