//! The role can't be assumed: the log tells the operator how to fix it, and the user gets a plain sentence.

use super::{BaseCredentials, ROLE, TenantAccount, Way, buckets, store};
use fake_aws::Failure;
use std::sync::Arc;
use wharfinger::{
    account::{Mounts, Permissions, Secret, Storage, Tenant, User},
    journal::MemoryJournal,
    memory::Budget,
    name::{Prefix, VirtualPath},
    vfs::{Node, Vfs},
};

/// Returns the error that the operator sees in the log.
async fn operator_hears(storage: Storage) -> String {
    match Way::new("acme", "alice", "in/").go(&buckets(storage)).await {
        Err(store::Error::Credentials(said)) => said,
        other => panic!("{other:?}"),
    }
}

fn with_role(account: &TenantAccount, change: impl FnOnce(&mut wharfinger::account::Role)) -> Storage {
    let mut storage = account.storage();
    change(storage.credentials.role.as_mut().unwrap());
    storage
}

fn with_key(account: &TenantAccount, access_key_id: &str, secret: &str) -> Storage {
    let mut storage = account.storage();
    let secret_access_key = Secret::from(secret.to_owned());
    storage.credentials.base = BaseCredentials::Static { access_key_id: access_key_id.to_owned(), secret_access_key };
    storage
}

#[tokio::test]
async fn a_wrong_external_id_lets_nobody_in_and_the_points_to_check_are_said() {
    let account = TenantAccount::open().await;
    let said = operator_hears(with_role(&account, |role| role.external_id = "wh-another".parse().unwrap())).await;
    assert!(said.starts_with(&format!("{ROLE} can't be assumed, and across accounts AWS doesn't say why")), "{said}");
    assert!(said.contains("sts:ExternalId") && said.contains("arn:aws:iam::111122223333:user/server"), "{said}");
    assert!(!said.contains("wh-another") && said.contains(", request "), "{said}");
    assert!(!account.s3.assume_role_requests()[0].granted);
}

#[tokio::test]
async fn each_other_cause_has_its_sentence() {
    let account = TenantAccount::open().await;
    let stranger = TenantAccount::trusting("arn:aws:iam::111122223333:user/somebody", r#""sts:AssumeRole""#).await;
    assert!(
        operator_hears(stranger.storage()).await.contains("its trust policy allows sts:AssumeRole to the principal")
    );
    let missing = with_role(&account, |role| role.arn = format!("{ROLE}-2").parse().unwrap());
    assert!(operator_hears(missing).await.contains("(1) the role exists"));
    let tags = operator_hears(with_role(&account, |role| role.session_tags = true)).await;
    assert!(tags.contains("must allow sts:TagSession") && tags.contains("`session_tags = true`"), "{tags}");
    let source = operator_hears(with_role(&account, |role| role.source_identity = true)).await;
    assert!(source.contains("must allow sts:SetSourceIdentity"), "{source}");
    let key = operator_hears(with_key(&account, "AKIANOBODY", "secret")).await;
    assert!(key.starts_with("our own credentials are not valid"), "{key}");
    let secret = operator_hears(with_key(&account, "server", "another secret")).await;
    assert!(secret.starts_with("our own credentials are not valid") && !secret.contains("another"), "{secret}");
    account.s3.fail("AssumeRole", Failure::RequestTimeTooSkewed, 1);
    let clock = operator_hears(account.storage()).await;
    assert!(clock.starts_with("this machine's clock differs from that of STS"), "{clock}");
}

#[tokio::test]
async fn within_one_account_aws_says_which_policy_it_was() {
    let account = TenantAccount::open().await;
    let said = operator_hears(with_key(&account, "nobody", "secret")).await;
    assert!(said.contains(ROLE) && said.contains("sts:AssumeRole"), "{said}");
}

#[tokio::test]
async fn a_role_that_is_mended_is_assumed_without_a_restart() {
    let account = TenantAccount::open().await;
    account.s3.fail("AssumeRole", Failure::AccessDenied, 1);
    let (buckets, way) = (buckets(account.storage()), Way::new("acme", "alice", "in/"));
    assert!(way.go(&buckets).await.is_err());
    assert!(way.go(&buckets).await.is_err(), "not asked again at once");
    assert_eq!(account.asked(), 1);
    while way.go(&buckets).await.is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(account.asked(), 2);
}

#[tokio::test]
async fn the_user_hears_no_arn_and_no_account() {
    let account = TenantAccount::open().await;
    let storage = with_role(&account, |role| role.external_id = "wh-another".parse().unwrap());
    let user = User {
        name: "alice".parse().unwrap(),
        tenant: "acme".parse().unwrap(),
        enabled: true,
        mounts: Mounts::at_root(Prefix::parse("in/").unwrap(), Permissions::ALL),
    };
    let tenant = Tenant {
        max_object_bytes: 1 << 30,
        max_rename_objects: 100,
        partial_uploads_kept_for: None,
        ..Tenant::new("acme".parse().unwrap())
    };
    let buckets = Arc::new(buckets(storage));
    let (budget, journal) = (Budget::new(32 << 20), Arc::new(MemoryJournal::default()));
    let vfs = Vfs::new(&Arc::new(user), &Arc::new(tenant), &Node::new(buckets, budget, journal));
    let error = vfs.stat(&VirtualPath::parse(b"/x").unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "the server has no access to the storage of your account");
}
