//! The clients that are kept, by tenant and by session.

use super::*;
use crate::{
    account::{Credentials, Mounts, Permission, Tenant, User},
    tenants::{TenantSetup, UserSetup},
};

fn acme(region: &str) -> TenantSetup {
    tenant("acme", region)
}

fn tenant(name: &str, region: &str) -> TenantSetup {
    let role = Role {
        arn: "arn:aws:iam::111122223333:role/wharfinger".parse().unwrap(),
        external_id: "wh-1".parse().unwrap(),
        sts_endpoint: None,
        session_tags: false,
        source_identity: false,
        accept_without_external_id: false,
        via: None,
    };
    let mut storage = Storage { region: region.to_owned(), ..Storage::of_a_test(&format!("{name}/")) };
    storage.credentials.role = Some(role);
    let tenant = Tenant {
        max_object_bytes: 1 << 30,
        max_rename_objects: 100,
        partial_uploads_kept_for: None,
        ..Tenant::new(name.parse().unwrap())
    };
    TenantSetup { tenant: Arc::new(tenant), storage: Arc::new(storage), users: Vec::new() }
}

/// The clients of `user` for acme's prefix. No request is made.
async fn ask(buckets: &S3Buckets, user: &str, permissions: Permissions) -> Arc<SessionClients> {
    ask_for(buckets, "acme", user, permissions).await
}

async fn ask_for(buckets: &S3Buckets, tenant: &str, user: &str, permissions: Permissions) -> Arc<SessionClients> {
    let prefix = Prefix::parse(&format!("{tenant}/")).unwrap();
    let (tenant, user) = (tenant.parse().unwrap(), user.parse().unwrap());
    let clients = buckets.tenant(&tenant).unwrap();
    let role = clients.storage.credentials.role.as_ref().unwrap();
    let scope = Scope::new(&tenant, &user, &prefix, permissions);
    buckets.of_user(scope, &clients, role).await.unwrap()
}

#[tokio::test]
async fn clients_are_bounded_and_the_least_recently_used_ones_go_first() {
    let bounds = Bounds { clients: 3, ..Bounds::default() };
    let buckets = S3Buckets::with_bounds(Arc::new(Tenants::new(&[acme("eu-central-1")])), bounds);
    let first = ask(&buckets, "first", Permissions::ALL).await;
    for number in 0..20 {
        ask(&buckets, &format!("user-{number}"), Permissions::ALL).await;
        buckets.of_sessions.run_pending_tasks();
        assert!(buckets.of_sessions.entry_count() <= 3, "{number}");
        assert!(Arc::ptr_eq(&first, &ask(&buckets, "first", Permissions::ALL).await), "it is in use");
    }
}

#[tokio::test]
async fn a_tenant_with_many_users_leaves_room_to_others() {
    let bounds = Bounds { clients: 10, clients_per_tenant: 6, ..Bounds::default() };
    let setups = ["acme", "globex"].map(|name| tenant(name, "eu-central-1"));
    let tenants = Arc::new(Tenants::new(&setups));
    let buckets = S3Buckets::with_bounds(Arc::clone(&tenants), bounds);
    let mut built = Vec::new();
    for user in ["a", "b", "c", "d"] {
        built.push(ask(&buckets, user, Permissions::ALL).await);
    }
    let active = ask_for(&buckets, "globex", "active", Permissions::ALL).await;
    for number in 0..100 {
        if number == 50 {
            let [acme, _] = setups.clone();
            tenants.swap(&[acme, tenant("globex", "eu-north-1")]);
        }
        let again = ask_for(&buckets, "globex", "active", Permissions::ALL).await;
        assert!(number >= 50 || Arc::ptr_eq(&active, &again), "its tenant uses it most");
        ask_for(&buckets, "globex", &format!("user-{number}"), Permissions::ALL).await;
        buckets.of_sessions.run_pending_tasks();
        assert!(buckets.of_sessions.entry_count() <= 10, "{number}");
    }
    for (user, before) in ["a", "b", "c", "d"].into_iter().zip(&built) {
        assert!(Arc::ptr_eq(before, &ask(&buckets, user, Permissions::ALL).await), "{user} was built again");
    }
}

#[tokio::test]
async fn sessions_count_for_their_tenant_after_the_tenants_clients_were_made_again() {
    let bounds = Bounds { clients_per_tenant: 2, ..Bounds::default() };
    let buckets = S3Buckets::with_bounds(Arc::new(Tenants::new(&[acme("eu-central-1")])), bounds);
    for user in ["a", "b"] {
        ask(&buckets, user, Permissions::ALL).await;
    }
    buckets.of_tenants.invalidate(&"acme".parse::<TenantName>().unwrap());
    for user in ["a", "b", "c", "a", "d"] {
        ask(&buckets, user, Permissions::ALL).await;
        buckets.of_sessions.run_pending_tasks();
        assert!(buckets.of_sessions.entry_count() <= 2, "{user}");
    }
}

#[tokio::test]
async fn an_idle_client_expires_and_is_made_again() {
    let bounds = Bounds { idle: Duration::ZERO, ..Bounds::default() };
    let buckets = S3Buckets::with_bounds(Arc::new(Tenants::new(&[acme("eu-central-1")])), bounds);
    let first = ask(&buckets, "alice", Permissions::ALL).await;
    assert!(!Arc::ptr_eq(&first, &ask(&buckets, "alice", Permissions::ALL).await));
}

#[tokio::test]
async fn no_client_of_a_former_storage_is_served() {
    let tenants = Arc::new(Tenants::new(&[acme("eu-central-1")]));
    let buckets = S3Buckets::new(Arc::clone(&tenants));
    let former = ask(&buckets, "alice", Permissions::ALL).await;
    tenants.swap(&[acme("eu-central-1")]);
    assert!(Arc::ptr_eq(&former, &ask(&buckets, "alice", Permissions::ALL).await), "nothing changed");
    tenants.swap(&[acme("eu-north-1")]);
    let new = ask(&buckets, "alice", Permissions::ALL).await;
    assert_eq!((former.storage.region.as_str(), new.storage.region.as_str()), ("eu-central-1", "eu-north-1"));
    assert!(Arc::ptr_eq(&new, &ask(&buckets, "alice", Permissions::ALL).await));
    tenants.swap(&[]);
    assert!(buckets.tenant(&"acme".parse().unwrap()).is_err());
}

#[tokio::test]
async fn clients_of_removed_tenants_and_users_are_dropped() {
    let buckets = S3Buckets::new(Arc::new(Tenants::new(&["acme", "globex"].map(|name| tenant(name, "eu-north-1")))));
    for (tenant, user) in [("acme", "alice"), ("acme", "bob"), ("globex", "carol")] {
        ask_for(&buckets, tenant, user, Permissions::ALL).await;
    }
    let counts = || {
        buckets.of_tenants.run_pending_tasks();
        buckets.of_sessions.run_pending_tasks();
        (buckets.of_tenants.entry_count(), buckets.of_sessions.entry_count())
    };
    let mut changes = DirectoryChanges::default();
    buckets.forget_removed(&changes);
    assert_eq!(counts(), (2, 3));
    changes.users.removed = vec!["bob".parse().unwrap()];
    buckets.forget_removed(&changes);
    assert_eq!(counts(), (2, 2));
    changes.tenants.removed = vec!["globex".parse().unwrap()];
    buckets.forget_removed(&changes);
    assert_eq!(counts(), (1, 1));
}

#[tokio::test]
async fn clients_of_a_user_in_the_former_tenant_are_dropped() {
    let setups = |of_acme: &[&str], of_globex: &[&str]| {
        [("acme", of_acme), ("globex", of_globex)].map(|(name, users)| {
            let users = users.iter().map(|user| {
                let mounts = Mounts::at_root(Prefix::parse(&format!("{name}/")).unwrap(), Permissions::ALL);
                let (name, tenant) = (user.parse().unwrap(), name.parse().unwrap());
                let user = Arc::new(User { name, tenant, enabled: true, mounts });
                let credentials = Arc::new(Credentials { password_hash: None, public_keys: Vec::new() });
                UserSetup { user, credentials }
            });
            TenantSetup { users: users.collect(), ..tenant(name, "eu-north-1") }
        })
    };
    let tenants = Arc::new(Tenants::new(&setups(&["alice", "bob"], &[])));
    let buckets = S3Buckets::new(Arc::clone(&tenants));
    let bob = ask(&buckets, "bob", Permissions::ALL).await;
    ask(&buckets, "alice", Permissions::ALL).await;
    buckets.forget_removed(&tenants.swap(&setups(&["bob"], &["alice"])));
    ask_for(&buckets, "globex", "alice", Permissions::ALL).await;
    buckets.of_sessions.run_pending_tasks();
    let users: Vec<_> = buckets.of_sessions.iter().map(|(key, _)| (key.tenant.clone(), key.user.clone())).collect();
    let left = (&"acme".parse().unwrap(), &Some("alice".parse().unwrap()));
    assert!(users.len() == 2 && !users.iter().any(|(tenant, user)| (tenant, user) == left), "{users:?}");
    assert!(Arc::ptr_eq(&bob, &ask(&buckets, "bob", Permissions::ALL).await));
    assert_eq!(buckets.of_tenants.iter().count(), 2);
}

#[tokio::test]
async fn permissions_that_no_policy_distinguishes_share_a_client() {
    let buckets = S3Buckets::new(Arc::new(Tenants::new(&[acme("eu-central-1")])));
    let all = ask(&buckets, "alice", Permissions::ALL).await;
    let less = Permissions::ALL.without(Permission::List).without(Permission::Mkdir);
    assert!(Arc::ptr_eq(&all, &ask(&buckets, "alice", less).await));
    let read = Permissions::NONE.with(Permission::Read);
    assert!(!Arc::ptr_eq(&all, &ask(&buckets, "alice", read).await));
    assert!(!Arc::ptr_eq(&all, &ask(&buckets, "bob", Permissions::ALL).await));
}
