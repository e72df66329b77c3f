//! The names of the cache's entries, and the changes that it is told of.

use crate::{
    account::Permissions,
    bounded::ObjectName,
    name::{BucketId, Key, Prefix, TenantName, UserName},
};
use std::sync::Arc;

/// Everything that credentials depend on.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::vfs) struct CredentialScope {
    pub(in crate::vfs) tenant: TenantName,
    pub(in crate::vfs) user: UserName,
    pub(in crate::vfs) prefix: Prefix,
    pub(in crate::vfs) permissions: Permissions,
}

/// An object, and the scope of the credentials that reach it.
#[derive(Clone, Copy, Debug)]
pub(in crate::vfs) struct ScopedName<'a> {
    pub(in crate::vfs) scope: &'a Arc<CredentialScope>,
    pub(in crate::vfs) bucket: &'a BucketId,
    pub(in crate::vfs) key: &'a Key,
}

impl<'a> ScopedName<'a> {
    pub(super) fn name(&self) -> ObjectName<'a> {
        (self.bucket, self.key.as_str())
    }

    pub(super) fn tenant(&self) -> &'a TenantName {
        &self.scope.tenant
    }
}

/// A change of an object that passed through the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::vfs) enum Change {
    /// A file was stored, or may have been.
    Stored,
    /// A directory was made, or may have been.
    Made,
    /// The file or directory was removed, or may have been.
    Removed,
}
