//! The janitor has its own credentials to abort open uploads. It recognizes the server's uploads by their initiators.

use super::{TenantAccount, Way, buckets};
use wharfinger::{
    cloud::{BucketSource as _, Scope},
    name::Prefix,
    store::NewObject,
};

fn below(prefix: &str) -> Prefix {
    Prefix::parse(prefix).unwrap()
}

#[tokio::test]
async fn the_janitor_finds_the_uploads_of_our_users_and_aborts_them() {
    let account = TenantAccount::open().await;
    let buckets = buckets(account.storage());
    let way = Way::new("acme", "alice", "in/");
    let Way { tenant, user, prefix, permissions } = &way;
    let alice = buckets.bucket(Scope::new(tenant, user, prefix, *permissions)).await.unwrap();
    let key = prefix.key("file").unwrap();
    let upload = alice.create_upload(&key, &NewObject::default()).await.unwrap();
    let janitor = buckets.for_janitor(tenant, prefix).await.unwrap().unwrap();
    let open = janitor.list_uploads(prefix, None).await.unwrap().uploads;
    assert_eq!(open.iter().map(|open| (&*open.raw_key, &open.upload)).collect::<Vec<_>>(), [("in/file", &upload)]);
    let initiator = open[0].initiator.as_deref().unwrap();
    assert!(buckets.is_ours(tenant, initiator), "{initiator}");
    assert!(!buckets.is_ours(&"globex".parse().unwrap(), initiator));
    assert!(!buckets.is_ours(tenant, "arn:aws:sts::444455556666:assumed-role/wharfinger/job"));
    janitor.abort_upload(&key, &upload).await.unwrap();
    assert_eq!(janitor.list_uploads(prefix, None).await.unwrap().uploads, []);
    assert!(janitor.head(&key).await.is_err() && alice.list_uploads(prefix, None).await.is_err());
}

#[tokio::test]
async fn the_janitors_sessions_are_few_and_bear_its_name() {
    let actions = r#""sts:AssumeRole", "sts:TagSession""#;
    let account = TenantAccount::trusting("arn:aws:iam::111122223333:user/server", actions).await;
    let mut storage = account.storage();
    storage.credentials.role.as_mut().unwrap().session_tags = true;
    let buckets = buckets(storage);
    let tenant = "acme".parse().unwrap();
    for prefix in ["in/", "out/", "in/", "out/"] {
        buckets.for_janitor(&tenant, &below(prefix)).await.unwrap().unwrap();
    }
    let asked = account.s3.assume_role_requests();
    assert_eq!(asked.len(), 2);
    for (asked, prefix) in asked.iter().zip(["in/", "out/"]) {
        assert!(asked.session_name.as_deref().unwrap().starts_with("acme.-janitor."), "{asked:?}");
        assert_eq!(asked.external_id.as_deref(), Some(super::EXTERNAL_ID));
        assert_eq!(asked.tags, [("tenant".to_owned(), "acme".to_owned())]);
        assert!(asked.policy.as_deref().unwrap().contains(&format!("arn:aws:s3:::exchange/{prefix}*")), "{asked:?}");
    }
}

#[tokio::test]
async fn where_there_is_no_role_there_is_nothing_to_know_ours_by() {
    let account = TenantAccount::open().await;
    let mut storage = account.storage();
    storage.credentials.role = None;
    let buckets = buckets(storage);
    for tenant in ["acme", "globex"] {
        let tenant = tenant.parse().unwrap();
        assert!(buckets.for_janitor(&tenant, &below("in/")).await.unwrap().is_none());
        let alice = wharfinger::cloud::SessionName::new(&tenant, &"alice".parse().unwrap());
        let initiator = format!("arn:aws:sts::444455556666:assumed-role/wharfinger/{}", alice.as_str());
        assert!(!buckets.is_ours(&tenant, &initiator));
    }
    assert_eq!(account.asked(), 0);
}
