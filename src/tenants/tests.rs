//! Lookups before and after a swap.

use super::*;
use crate::{
    account::{Mounts, PasswordHash, Permissions, PublicKey},
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
            max_object_bytes: 1 << 30,
            max_rename_objects: 100,
            partial_uploads_kept_for: None,
            ..Tenant::new("acme".parse().unwrap())
        }),
        storage: Arc::new(Storage::of_a_test("acme/")),
        users: users.iter().map(user).collect(),
    }
}

/// Finds the user `name`.
fn find(logins: &Logins, name: &str) -> Option<KnownUser> {
    logins.find(&name.parse().unwrap()).map(|candidate| candidate.known().clone())
}

#[test]
fn tenants_and_users_are_found_by_name() {
    let (tenants, logins) = Tenants::with_logins(&[acme(&["alice", "bob"])]);
    let (acme, globex) = ("acme".parse().unwrap(), "globex".parse().unwrap());
    assert_eq!(tenants.storage(&acme).unwrap().prefix.as_str(), "acme/");
    assert_eq!(tenants.prefix(&acme).unwrap().as_str(), "acme/");
    let alice = find(&logins, "alice").unwrap();
    assert_eq!(alice.user.name.as_str(), "alice");
    assert!(Arc::ptr_eq(&alice.tenant, &tenants.tenants()[0]));
    assert!(Arc::ptr_eq(&alice.user, &tenants.user_of(&acme, &alice.user.name).unwrap()));
    assert!(tenants.user_of(&globex, &alice.user.name).is_none(), "another tenant's");
    assert!(tenants.storage(&globex).is_none() && tenants.prefix(&globex).is_none());
    assert!(find(&logins, "mallory").is_none());
    assert_eq!(tenants.tenants().len(), 1);
    assert!(find(&logins, "bob").is_some());
}

#[test]
fn a_swap_replaces_changes_and_keeps_the_rest() {
    let (tenants, logins) = Tenants::with_logins(&[acme(&["alice", "bob"])]);
    let acme_now = || KnownTenant {
        tenant: tenants.tenants().remove(0),
        storage: tenants.storage(&"acme".parse().unwrap()).unwrap(),
    };
    let (before, before_alice) = (acme_now(), find(&logins, "alice").unwrap());
    let generation = tenants.generation();
    let mut changed = acme(&["alice", "carol"]);
    changed.storage = Arc::new(Storage { region: "eu-north-1".to_owned(), ..Storage::of_a_test("acme/") });
    tenants.swap(&[changed]);
    assert_ne!(tenants.generation(), generation);
    let (after, after_alice) = (acme_now(), find(&logins, "alice").unwrap());
    assert!(Arc::ptr_eq(&before.tenant, &after.tenant), "it is equal");
    assert!(!Arc::ptr_eq(&before.storage, &after.storage));
    assert_eq!(after.storage.region, "eu-north-1");
    assert!(Arc::ptr_eq(&before_alice.user, &after_alice.user));
    assert!(Arc::ptr_eq(&before_alice.credentials, &after_alice.credentials));
    assert!(find(&logins, "bob").is_none());
    assert!(find(&logins, "carol").is_some());
}

#[test]
fn a_session_keeps_the_tenant_that_it_began_with() {
    let (tenants, logins) = Tenants::with_logins(&[acme(&["alice"])]);
    let session = find(&logins, "alice").unwrap();
    let mut changed = acme(&["alice"]);
    changed.tenant = Arc::new(Tenant { max_object_bytes: 1, ..Tenant::clone(&changed.tenant) });
    tenants.swap(&[changed]);
    assert_eq!(session.tenant.max_object_bytes, 1 << 30);
    let next = find(&logins, "alice").unwrap();
    assert_eq!(next.tenant.max_object_bytes, 1);
    assert!(Arc::ptr_eq(&session.user, &next.user), "alice's own part is equal");
    tenants.swap(&[]);
    assert_eq!(session.tenant.name.as_str(), "acme");
    assert!(find(&logins, "alice").is_none());
}

#[test]
fn a_grant_holds_while_the_user_may_log_in_with_its_credential() {
    const HASHES: [&str; 2] = [
        "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c",
        "$argon2id$v=19$m=64,t=2,p=1$c29tZXNhbHQ$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c",
    ];
    const KEYS: [&str; 2] = [
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ alice",
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA alice",
    ];
    let hash = |number: usize| HASHES[number].parse::<PasswordHash>().unwrap();
    let key = |number: usize| KEYS[number].parse::<PublicKey>().unwrap();
    let with = |password_hash, public_keys| {
        let mut setup = acme(&["alice"]);
        setup.users[0].credentials = Arc::new(Credentials { password_hash, public_keys });
        setup
    };
    let edited = |edit: fn(&mut Tenant, &mut User)| {
        let mut setup = with(Some(hash(0)), vec![key(0)]);
        edit(Arc::make_mut(&mut setup.tenant), Arc::make_mut(&mut setup.users[0].user));
        setup
    };
    // After each swap: does the login by password hold, and the one by key?
    for (setups, by_password, by_key) in [
        (vec![with(Some(hash(0)), vec![key(0)])], true, true),
        (vec![with(Some(hash(1)), vec![key(1), key(0)])], false, true),
        (vec![with(Some(hash(0)), vec![key(1)])], true, false),
        (vec![with(None, vec![])], false, false),
        (vec![acme(&["bob"])], false, false),
        (vec![], false, false),
        (vec![edited(|tenant, _| tenant.max_object_bytes = 1)], true, true),
        (vec![edited(|tenant, _| tenant.enabled = false)], false, false),
        (vec![edited(|_, user| user.enabled = false)], false, false),
        (vec![edited(|tenant, _| tenant.name = "globex".parse().unwrap())], false, false),
    ] {
        let (tenants, logins) = Tenants::with_logins(&[with(Some(hash(0)), vec![key(0)])]);
        let alice = logins.find(&"alice".parse().unwrap()).unwrap();
        let grants = [UsedCredential::Password(hash(0)), UsedCredential::Key(key(0))];
        let grants = grants.map(|credential| alice.clone().grant(credential));
        assert!(grants.iter().all(|grant| tenants.confirm(grant).is_ok()), "nothing was swapped");
        tenants.swap(&setups);
        let confirmed = grants.each_ref().map(|grant| tenants.confirm(grant));
        assert_eq!(confirmed.each_ref().map(Result::is_ok), [by_password, by_key], "{setups:?}");
        for grant in confirmed.into_iter().flatten() {
            assert_eq!(grant.tenant, setups[0].tenant, "the new values count");
            assert!(tenants.confirm(&grant).is_ok());
        }
    }
}
