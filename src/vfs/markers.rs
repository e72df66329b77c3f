//! Directories that S3 only implies, because objects lie below their names: programs put them there, or uploads into a
//! directory that no MKDIR made. They would end with their last file in the middle of what a client does: `rm -r` removes
//! the files, then the directory; a poller takes the last file and lists the directory again.
//!
//! So a directory gets its marker when a session takes something from it. Other nodes see it there, and
//! S3's own users an empty object `dir/`, as after MKDIR. Where the user's permissions allow no PutObject, this node
//! remembers for an hour that its users saw the directory and emptied it.

use super::{Mount, Result, Vfs, late::Named};
use crate::{
    account::Permission,
    name::Key,
    store::{self, Bucket, Condition, NewObject, Payload},
};

impl Vfs {
    /// Gives the directory that `named` lies in a marker, unless it is known to have one: something is taken from it. At most
    /// 1 request, and none for a mount's root.
    pub(super) async fn keep_directory(&self, named: Named<'_>, mount: &Mount) {
        let directory = named.key.directory();
        let (markers, name) = (&self.node.cache.markers, (named.bucket.id(), directory.as_str()));
        let Some(marker) = directory.marker().filter(|_| directory != mount.prefix) else { return };
        if markers.is_marked(name) {
            return;
        }
        let storing = [Permission::Write, Permission::Mkdir, Permission::Rename];
        let may_store = storing.into_iter().any(|permission| mount.allows(permission));
        if may_store && self.mark(named.bucket, &marker, NewObject::default()).await.is_ok() {
            return;
        }
        let mut at = directory;
        while at != mount.prefix {
            markers.note_emptied(named.scope, (named.bucket.id(), at.as_str()));
            let Some(key) = at.without_slash() else { break };
            at = key.directory();
        }
    }

    /// Makes a directory's marker, if there is none. 1 request.
    ///
    /// # Errors
    /// Those of the storage, but for a marker that is there.
    pub(super) async fn mark(&self, bucket: &dyn Bucket, marker: &Key, mut object: NewObject) -> Result<()> {
        object.mark()?;
        let name = (bucket.id(), marker.as_str());
        let asked = self.node.cache.stat.ask(name);
        match bucket.put(marker, Payload::default(), &object, Condition::Absent).await {
            Ok(_) | Err(store::Error::Conflict { .. }) => {
                if self.node.cache.stat.is_unchanged(name, asked) {
                    self.node.cache.markers.note(&self.tenant.name, name);
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}
