//! Lookups before and after a swap.

use super::*;
use crate::{
    account::{Mounts, Permissions},
    name::Prefix,
};

fn acme(users: &[&str]) -> TenantSetup {
    let user = |name: &&str| UserSetup {
        user: Arc::new(User {
            name: name.parse().unwrap(),
            tenant: "acme".parse().unwrap(),
            enabled: true,
            mounts: Mounts::at_root(Prefix::parse("acme/").unwrap(), Permissions::ALL),
        }),
        credentials: Arc::default(),
    };
    TenantSetup {
        tenant: Arc::new(Tenant {
            name: "acme".parse().unwrap(),
            enabled: true,
            max_object_bytes: 1 << 30,
            fetch_ahead: true,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
        }),
        storage: Arc::new(Storage::of_a_test("acme/")),
        users: users.iter().map(user).collect(),
    }
}

#[test]
fn tenants_and_users_are_found_by_name() {
    let tenants = Tenants::new(&[acme(&["alice", "bob"])]);
    let known = tenants.tenant(&"acme".parse().unwrap()).unwrap();
    assert_eq!((known.tenant.name.as_str(), known.storage.prefix.as_str()), ("acme", "acme/"));
    let alice = tenants.user(&"alice".parse().unwrap()).unwrap();
    assert_eq!(alice.user.name.as_str(), "alice");
    assert!(Arc::ptr_eq(&alice.tenant, &known.tenant));
    assert!(tenants.tenant(&"globex".parse().unwrap()).is_none());
    assert!(tenants.user(&"mallory".parse().unwrap()).is_none());
    assert_eq!((tenants.tenants().len(), tenants.users().len()), (1, 2));
}

#[test]
fn a_swap_replaces_changes_and_keeps_the_rest() {
    let tenants = Tenants::new(&[acme(&["alice", "bob"])]);
    let (acme_name, alice) = ("acme".parse().unwrap(), "alice".parse().unwrap());
    let (before, before_alice) = (tenants.tenant(&acme_name).unwrap(), tenants.user(&alice).unwrap());
    let generation = tenants.generation();
    let mut changed = acme(&["alice", "carol"]);
    changed.storage = Arc::new(Storage { region: "eu-north-1".to_owned(), ..Storage::of_a_test("acme/") });
    tenants.swap(&[changed]);
    assert_ne!(tenants.generation(), generation);
    let (after, after_alice) = (tenants.tenant(&acme_name).unwrap(), tenants.user(&alice).unwrap());
    assert!(Arc::ptr_eq(&before.tenant, &after.tenant), "it is equal");
    assert!(!Arc::ptr_eq(&before.storage, &after.storage));
    assert_eq!(after.storage.region, "eu-north-1");
    assert!(Arc::ptr_eq(&before_alice.user, &after_alice.user));
    assert!(Arc::ptr_eq(&before_alice.credentials, &after_alice.credentials));
    assert!(tenants.user(&"bob".parse().unwrap()).is_none());
    assert!(tenants.user(&"carol".parse().unwrap()).is_some());
}

#[test]
fn a_session_keeps_the_tenant_that_it_began_with() {
    let tenants = Tenants::new(&[acme(&["alice"])]);
    let session = tenants.user(&"alice".parse().unwrap()).unwrap();
    let mut changed = acme(&["alice"]);
    changed.tenant = Arc::new(Tenant { max_object_bytes: 1, ..Tenant::clone(&changed.tenant) });
    tenants.swap(&[changed]);
    assert_eq!(session.tenant.max_object_bytes, 1 << 30);
    let next = tenants.user(&"alice".parse().unwrap()).unwrap();
    assert_eq!(next.tenant.max_object_bytes, 1);
    assert!(Arc::ptr_eq(&session.user, &next.user), "alice's own part is equal");
    tenants.swap(&[]);
    assert_eq!(session.tenant.name.as_str(), "acme");
    assert!(tenants.user(&"alice".parse().unwrap()).is_none());
}
