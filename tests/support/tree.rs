//! A user's tree on any bucket, without a connection or config.

use std::sync::Arc;
use wharfinger::{
    account::{DEFAULT_PARTIAL_UPLOADS_KEPT_FOR, Mounts, Permissions, Tenant, User},
    cloud::OneBucket,
    journal::Journal,
    memory::Budget,
    name::{Prefix, TenantName},
    store::Bucket,
    vfs::{Node, Vfs},
};

/// Returns the tree of a user of acme with `permissions` on `acme/`. Each tree is on its own node.
pub fn tree(
    user: &str,
    permissions: Permissions,
    bucket: Arc<dyn Bucket>,
    budget: &Arc<Budget>,
    journal: &Arc<impl Journal + 'static>,
) -> Vfs {
    session(user, permissions, &node(bucket, budget, Arc::clone(journal) as Arc<_>))
}

/// Returns a node with one bucket.
pub fn node(bucket: Arc<dyn Bucket>, budget: &Arc<Budget>, journal: Arc<dyn Journal>) -> Arc<Node> {
    Node::new(Arc::new(OneBucket::new(bucket)), Arc::clone(budget), journal)
}

/// Returns the tree of a user of acme, in a session of `node`.
pub fn session(user: &str, permissions: Permissions, node: &Arc<Node>) -> Vfs {
    session_of("acme", user, permissions, node)
}

/// Returns the tree of a user of `tenant` with `permissions` on the prefix of its name, in a session of `node`.
pub fn session_of(tenant: &str, user: &str, permissions: Permissions, node: &Arc<Node>) -> Vfs {
    let prefix = Prefix::parse(&format!("{tenant}/")).unwrap();
    let tenant: TenantName = tenant.parse().unwrap();
    let user = User {
        name: user.parse().unwrap(),
        tenant: tenant.clone(),
        enabled: true,
        mounts: Mounts::at_root(prefix, permissions),
    };
    let tenant = Tenant {
        max_object_bytes: 512 << 30,
        max_rename_objects: 100,
        partial_uploads_kept_for: Some(DEFAULT_PARTIAL_UPLOADS_KEPT_FOR),
        ..Tenant::new(tenant)
    };
    Vfs::new(&Arc::new(user), &Arc::new(tenant), node)
}
