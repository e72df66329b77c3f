//! Few requests to STS, and each with an external ID and a session policy.

use super::{
    EXTERNAL_ID, KeyFile, Permissions, Policy, ROLE, S3Buckets, Sftp, TenantAccount, Way, buckets, demo, scope,
};
use futures_util::{
    StreamExt,
    future::join_all,
    stream::{self, iter},
};
use tokio_util::sync::CancellationToken;
use wharfinger::{account::Permission, demo::Demo};

#[tokio::test]
async fn every_assume_role_carries_the_external_id_and_a_policy_for_the_mount() {
    let account = TenantAccount::open().await;
    let buckets = buckets(account.storage());
    for (user, prefix) in [("alice", "in/"), ("alice", "out/"), ("bob", "in/")] {
        Way::new("acme", user, prefix).go(&buckets).await.unwrap();
    }
    let asked = account.s3.assume_role_requests();
    let names: Vec<_> = asked.iter().map(|asked| asked.session_name.clone().unwrap()).collect();
    assert_eq!(names[0], names[1], "alice's");
    assert!(names[0].starts_with("acme.alice.") && names[2].starts_with("acme.bob."), "{names:?}");
    for (asked, prefix) in asked.iter().zip(["in/", "out/", "in/"]) {
        assert!(asked.granted);
        assert_eq!(asked.role_arn.as_deref(), Some(ROLE));
        assert_eq!(asked.external_id.as_deref(), Some(EXTERNAL_ID));
        assert_eq!(asked.duration_seconds.as_deref(), Some("3600"));
        assert_eq!((&asked.tags[..], &asked.source_identity), (&[][..], &None), "opt-in");
        let policy = asked.policy.as_deref().unwrap();
        policy.parse::<Policy>().unwrap();
        assert!(policy.contains(&format!("arn:aws:s3:::exchange/{prefix}*")), "{policy}");
    }
    assert_eq!(asked.len(), 3);
}

#[tokio::test]
async fn tags_and_source_identity_go_where_the_tenants_file_says_so() {
    let actions = r#""sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity""#;
    let account = TenantAccount::trusting("arn:aws:iam::111122223333:user/server", actions).await;
    let mut storage = account.storage();
    let role = storage.credentials.role.as_mut().unwrap();
    (role.session_tags, role.source_identity) = (true, true);
    Way::new("acme", "alice", "in/").go(&buckets(storage)).await.unwrap();
    let asked = &account.s3.assume_role_requests()[0];
    let pairs = [("tenant", "acme"), ("user", "alice")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(asked.tags, pairs);
    assert_eq!(asked.source_identity, asked.session_name);
}

#[tokio::test]
async fn who_needs_the_same_shares_it() {
    let account = TenantAccount::open().await;
    let buckets = buckets(account.storage());
    let ways: Vec<Way> = (0..100).map(|_| Way::new("acme", "alice", "in/")).collect();
    for gone in join_all(ways.iter().map(|way| way.go(&buckets))).await {
        gone.unwrap();
    }
    assert_eq!(account.asked(), 1, "all at once");
    let less = Way { permissions: Permissions::ALL.without(Permission::Overwrite), ..Way::new("acme", "alice", "in/") };
    less.go(&buckets).await.unwrap();
    assert_eq!(account.asked(), 1, "no policy can tell these permissions apart");
    let less = Way { permissions: Permissions::ALL.without(Permission::Delete), ..less };
    less.go(&buckets).await.unwrap();
    assert_eq!(account.asked(), 1, "a rename deletes");
    Way { permissions: [Permission::Read].into_iter().collect(), ..less }.go(&buckets).await.unwrap();
    assert_eq!(account.asked(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_sessions_of_a_tenant_make_one_assume_role() {
    const CONNECTIONS: usize = 100;
    const CHANNELS: usize = 10;
    let key = KeyFile::new();
    let demo = Demo::start(0, None, &[key.public()]).await.unwrap();
    let address = demo.address();
    let watch = demo::Watch::of(&demo);
    let (stop, hurry) = (CancellationToken::new(), CancellationToken::new());
    let running = tokio::spawn(demo.run(stop.clone(), hurry.clone()));
    let connections = iter(0..CONNECTIONS).map(|_| async {
        let mut sessions = vec![Sftp::connect(address, "alice", &key).await];
        for _ in 1..CHANNELS {
            let another = sessions[0].another().await;
            sessions.push(another);
        }
        for session in &sessions {
            assert!(session.stat("/missing").await.is_err());
        }
        sessions.len()
    });
    let sessions: Vec<usize> = connections.buffer_unordered(10).collect().await;
    assert_eq!(sessions.iter().sum::<usize>(), 1_000);
    assert_eq!(watch.requests("AssumeRole"), 1);
    assert_eq!(watch.requests("HeadObject"), 1_000);
    hurry.cancel();
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test]
async fn two_hundred_tenants_share_one_http_client() {
    const TENANTS: usize = 200;
    let account = TenantAccount::open().await;
    let names: Vec<String> = (0..TENANTS).map(|number| format!("tenant-{number}")).collect();
    let storages = names.iter().map(|name| (name.as_str(), account.storage()));
    let buckets = S3Buckets::new(scope::tenants(storages));
    for name in &names {
        Way::new(name, &format!("{name}-user"), &format!("{name}/")).go(&buckets).await.unwrap();
    }
    assert_eq!(account.asked(), TENANTS);
    // A separate client would open its own connections: one for STS and one for S3.
    assert_eq!(account.s3.connections(), 1, "one after the other");
    let account = TenantAccount::open().await;
    let storages = names.iter().map(|name| (name.as_str(), account.storage()));
    let buckets = S3Buckets::new(scope::tenants(storages));
    let all = stream::iter(&names).for_each_concurrent(8, async |name| {
        Way::new(name, &format!("{name}-user"), &format!("{name}/")).go(&buckets).await.unwrap();
    });
    all.await;
    assert!(account.s3.connections() <= 16, "{} connections for eight at a time", account.s3.connections());
}
