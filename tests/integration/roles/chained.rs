//! Role chaining: the server assumes the vendor's role, which alone the customer's role admits.

use super::{EXTERNAL_ID, Policy, ROLE, Role, S3Buckets, Storage, StorageKind, Way, buckets, scope, store};
use fake_aws::{
    AwsSettings, Failure, FakeAws,
    iam::{AccountId, IamRole, IamUser},
};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use wharfinger::account::{OpenBy, RoleVerdict, VendorRole};

const VENDOR_ROLE: &str = "arn:aws:iam::111122223333:role/tenants";
/// The external ID that the vendor's own role asks for.
const OWN_ID: &str = "wh-own-1f0c";
/// A role in the customer's account that admits the vendor's role without an external ID.
const OPEN_ROLE: &str = "arn:aws:iam::444455556666:role/open";
/// A role in the customer's account for another tenant.
const GLOBEX_ROLE: &str = "arn:aws:iam::444455556666:role/globex";
/// Longer than the age at which a session that STS denies a role is doubted.
const OLD: Duration = Duration::from_secs(61);

/// Two accounts: the vendor's with a user and a role, and a customer's with a bucket and roles.
struct ChainedAccounts {
    s3: FakeAws,
}

impl ChainedAccounts {
    async fn open() -> Self {
        Self::with_policy(&may_assume("*")).await
    }

    /// Opens accounts whose vendor's role has this policy.
    async fn with_policy(of_vendor_role: &str) -> Self {
        let (vendor, customer): (AccountId, AccountId) =
            ("111122223333".parse().unwrap(), "444455556666".parse().unwrap());
        let trust = |principal: &str, external_id: Option<&str>| {
            let equals = |id| format!(r#", "Condition": {{"StringEquals": {{"sts:ExternalId": "{id}"}}}}"#);
            format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow",
                    "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
                    "Principal": {{"AWS": "{principal}"}}{}}}}}"#,
                external_id.map(equals).unwrap_or_default()
            )
        };
        let role = |account: &AccountId, name: &str, trust: String, policy: Policy| IamRole {
            account: account.clone(),
            name: name.to_owned(),
            trust: trust.parse().unwrap(),
            policy,
            max_session: IamRole::DEFAULT_MAX_SESSION,
        };
        let of_customer = |name: &str, external_id: Option<&str>| {
            role(&customer, name, trust(VENDOR_ROLE, external_id), Policy::everything())
        };
        let server = IamUser {
            account: vendor.clone(),
            name: "server".to_owned(),
            access_key_id: "server".to_owned(),
            secret_access_key: "secret".to_owned(),
            policy: may_assume("arn:aws:iam::111122223333:role/*").parse().unwrap(),
        };
        let own = || trust("arn:aws:iam::111122223333:user/server", Some(OWN_ID));
        let s3 = FakeAws::start(AwsSettings {
            listen: ([127, 0, 0, 1], 0).into(),
            users: vec![server],
            roles: vec![
                role(&vendor, "tenants", own(), of_vendor_role.parse().unwrap()),
                role(&vendor, "others", own(), of_vendor_role.parse().unwrap()),
                of_customer("wharfinger", Some(EXTERNAL_ID)),
                of_customer("globex", Some("wh-globex")),
                of_customer("open", None),
            ],
            buckets: vec![("exchange".to_owned(), customer.clone())],
            bucket_settings: BTreeMap::new(),
            access_points: Vec::new(),
            session_lifetime: None,
            storage: StorageKind::Memory { max_bytes: 64 << 20 },
        })
        .await
        .unwrap();
        Self { s3 }
    }

    /// The customer's bucket, as the tenant's file states it.
    fn storage(&self) -> Storage {
        let endpoint = format!("http://{}", self.s3.address);
        let mut storage = scope::storage("exchange", &endpoint, "server", "secret");
        storage.credentials.role = Some(Role {
            arn: ROLE.parse().unwrap(),
            external_id: EXTERNAL_ID.parse().unwrap(),
            sts_endpoint: Some(endpoint),
            session_tags: false,
            source_identity: false,
            accept_without_external_id: false,
            via: Some(vendor_role(VENDOR_ROLE, Some(OWN_ID))),
        });
        storage
    }

    fn with_role(&self, change: impl FnOnce(&mut Role)) -> Storage {
        let mut storage = self.storage();
        change(storage.credentials.role.as_mut().unwrap());
        storage
    }

    /// The roles that were asked for, in order, with their tails behind the last slash.
    fn asked(&self) -> Vec<String> {
        let arns = self.s3.assume_role_requests().into_iter().filter_map(|request| request.role_arn);
        arns.map(|arn| arn.rsplit('/').next().unwrap_or_default().to_owned()).collect()
    }

    /// Denies everything to the sessions that the vendor's role has now.
    fn revoke(&self) {
        self.s3.revoke_sessions(VENDOR_ROLE);
    }
}

fn vendor_role(arn: &str, external_id: Option<&str>) -> VendorRole {
    VendorRole::new(arn.parse().unwrap(), external_id.map(|id| id.parse().unwrap())).unwrap()
}

fn may_assume(role: &str) -> String {
    let statement = format!(r#"{{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "{role}"}}"#);
    format!(r#"{{"Version": "2012-10-17", "Statement": {statement}}}"#)
}

fn alice() -> Way {
    Way::new("acme", "alice", "in/")
}

fn bob() -> Way {
    Way::new("acme", "bob", "in/")
}

/// Lets time pass for the server, but not for AWS.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

async fn refusal(way: &Way, buckets: &S3Buckets) -> String {
    match way.go(buckets).await {
        Err(store::Error::Credentials(said)) => said,
        other => panic!("{other:?}"),
    }
}

async fn probe(buckets: &S3Buckets) -> store::Result<RoleVerdict> {
    Ok(buckets.probe_role(&"acme".parse().unwrap()).await?.unwrap().1)
}

#[tokio::test]
async fn the_roles_are_assumed_one_by_the_other_and_users_share_the_first() {
    let accounts = ChainedAccounts::open().await;
    let buckets = buckets(accounts.storage());
    alice().go(&buckets).await.unwrap();
    bob().go(&buckets).await.unwrap();
    assert_eq!(accounts.asked(), ["tenants", "wharfinger", "wharfinger"]);
    let requests = accounts.s3.assume_role_requests();
    let [of_vendor, of_alice, _] = &requests[..] else { panic!("{requests:?}") };
    assert!(of_vendor.session_name.as_ref().unwrap().starts_with("acme.-server."), "{of_vendor:?}");
    assert_eq!(of_vendor.external_id.as_deref(), Some(OWN_ID));
    let actions = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
    let narrow = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"{ROLE}"}}]}}"#
    );
    assert_eq!(of_vendor.policy.as_deref(), Some(narrow.as_str()), "it can do nothing else");
    assert!(of_alice.session_name.as_ref().unwrap().starts_with("acme.alice."), "{of_alice:?}");
    assert_eq!(of_alice.external_id.as_deref(), Some(EXTERNAL_ID));
    for request in &requests {
        assert_eq!(request.duration_seconds.as_deref(), Some("3600"), "the longest that a chain may last");
    }
}

#[tokio::test]
async fn each_tenant_has_a_session_of_its_own_with_the_vendors_role() {
    let accounts = ChainedAccounts::open().await;
    let of_globex = accounts.with_role(|role| {
        role.arn = GLOBEX_ROLE.parse().unwrap();
        role.external_id = "wh-globex".parse().unwrap();
    });
    let tenants = scope::tenants([("acme", accounts.storage()), ("globex", of_globex)]);
    let buckets = S3Buckets::new(tenants);
    alice().go(&buckets).await.unwrap();
    Way::new("globex", "carol", "in/").go(&buckets).await.unwrap();
    bob().go(&buckets).await.unwrap();
    assert_eq!(accounts.asked(), ["tenants", "wharfinger", "tenants", "globex", "wharfinger"]);
    let requests = accounts.s3.assume_role_requests();
    let [of_acme, alice, of_globex, carol, bob] = &requests[..] else { panic!("{requests:?}") };
    for (vendor, role, others) in [(of_acme, ROLE, GLOBEX_ROLE), (of_globex, GLOBEX_ROLE, ROLE)] {
        let policy = vendor.policy.as_deref().unwrap();
        assert!(policy.contains(role) && !policy.contains(others), "{policy}");
    }
    for (request, vendor) in [(alice, of_acme), (carol, of_globex), (bob, of_acme)] {
        let caller = format!("assumed-role/tenants/{}", vendor.session_name.as_deref().unwrap());
        assert!(request.caller.ends_with(&caller), "{request:?}");
    }
}

#[tokio::test]
async fn tags_and_a_source_identity_begin_with_the_tenants_role() {
    let policy = may_assume("*").replace("sts:AssumeRole", "sts:*");
    let accounts = ChainedAccounts::with_policy(&policy).await;
    let storage = accounts.with_role(|role| (role.session_tags, role.source_identity) = (true, true));
    alice().go(&buckets(storage)).await.unwrap();
    let requests = accounts.s3.assume_role_requests();
    let [of_vendor, of_alice] = &requests[..] else { panic!("{requests:?}") };
    assert!(of_vendor.tags.is_empty() && of_vendor.source_identity.is_none(), "{of_vendor:?}");
    assert!(of_alice.tags.len() == 2 && of_alice.source_identity == of_alice.session_name, "{of_alice:?}");
}

#[tokio::test]
async fn an_error_says_which_role_failed() {
    let accounts = ChainedAccounts::open().await;
    let wrong = accounts.with_role(|role| role.via = Some(vendor_role(VENDOR_ROLE, None)));
    let first = refusal(&alice(), &buckets(wrong)).await;
    let of_first = format!("of two roles in a chain {VENDOR_ROLE}, the one in `[storage.credentials]`, failed: ");
    assert!(first.starts_with(&of_first), "{first}");
    assert_eq!(accounts.asked(), ["tenants"], "the customer hears nothing of it");

    let wrong = accounts.with_role(|role| role.external_id = "wh-another".parse().unwrap());
    let second = refusal(&alice(), &buckets(wrong)).await;
    let of_second = format!("of two roles in a chain {ROLE}, the one in `[storage.assume_role]`, failed: ");
    assert!(second.starts_with(&of_second), "{second}");

    let narrow = ChainedAccounts::with_policy(&may_assume("arn:aws:iam::111122223333:role/another")).await;
    let second = refusal(&alice(), &buckets(narrow.storage())).await;
    assert!(second.starts_with(&of_second), "{second}");
    assert_eq!(narrow.asked(), ["tenants", "wharfinger"]);
}

#[tokio::test]
async fn sessions_that_ended_are_made_again_both() {
    let accounts = ChainedAccounts::open().await;
    let buckets = buckets(accounts.storage());
    alice().go(&buckets).await.unwrap();
    accounts.s3.end_sessions();
    alice().go(&buckets).await.unwrap();
    // STS refuses the first request for the second role, whose signature is from a session that ended.
    assert_eq!(accounts.asked(), ["tenants", "wharfinger", "tenants", "wharfinger"]);
}

#[tokio::test]
async fn a_session_of_the_vendors_role_that_was_revoked_is_made_again() {
    let accounts = ChainedAccounts::open().await;
    let buckets = buckets(accounts.storage());
    alice().go(&buckets).await.unwrap();
    accounts.revoke();
    pass(OLD).await;
    bob().go(&buckets).await.unwrap();
    assert_eq!(accounts.asked(), ["tenants", "wharfinger", "wharfinger", "tenants", "wharfinger"]);
    alice().go(&buckets).await.unwrap();
    assert_eq!(accounts.asked().len(), 5, "the sessions of users were not revoked");
}

#[tokio::test]
async fn a_role_that_denies_each_request_costs_one_renewal_a_minute() {
    let accounts = ChainedAccounts::open().await;
    let tenants = scope::tenants([("acme", accounts.storage())]);
    let buckets = S3Buckets::new(Arc::clone(&tenants));
    let wrong = accounts.with_role(|role| role.external_id = "wh-another".parse().unwrap());
    tenants.swap(&[scope::setup("acme", wrong)]);
    refusal(&alice(), &buckets).await;
    assert_eq!(accounts.asked(), ["tenants", "wharfinger"], "its session is new");
    pass(OLD).await;
    refusal(&bob(), &buckets).await;
    assert_eq!(accounts.asked()[2..], ["wharfinger", "tenants", "wharfinger"]);
    refusal(&Way::new("acme", "carol", "in/"), &buckets).await;
    assert_eq!(accounts.asked()[5..], ["wharfinger"]);
}

#[tokio::test]
async fn a_user_works_on_while_sessions_of_both_roles_expire() {
    let accounts = ChainedAccounts::open().await;
    accounts.s3.set_session_lifetime(Some(Duration::from_secs(4)));
    let buckets = buckets(accounts.storage());
    while accounts.asked().iter().filter(|role| *role == "tenants").count() < 3 {
        alice().go(&buckets).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_vendors_role_in_trouble_hurts_nobody_with_a_session() {
    let accounts = ChainedAccounts::open().await;
    let buckets = buckets(accounts.storage());
    alice().go(&buckets).await.unwrap();
    accounts.s3.fail("AssumeRole", Failure::AccessDenied, 100);
    pass(Duration::from_mins(50)).await;
    for _ in 0..3 {
        alice().go(&buckets).await.unwrap();
    }
    assert!(refusal(&bob(), &buckets).await.contains("failed: "), "bob has none");
    accounts.s3.fail("AssumeRole", Failure::AccessDenied, 0);
    pass(OLD).await;
    bob().go(&buckets).await.unwrap();
}

#[tokio::test]
async fn a_reload_that_changes_the_vendors_role_counts_from_the_next_operation_on() {
    let accounts = ChainedAccounts::open().await;
    let tenants = scope::tenants([("acme", accounts.storage())]);
    let buckets = S3Buckets::new(Arc::clone(&tenants));
    alice().go(&buckets).await.unwrap();
    let others = vendor_role(&VENDOR_ROLE.replace("tenants", "others"), Some(OWN_ID));
    tenants.swap(&[scope::setup("acme", accounts.with_role(|role| role.via = Some(others)))]);
    refusal(&alice(), &buckets).await;
    tenants.swap(&[scope::setup("acme", accounts.with_role(|role| role.via = None))]);
    refusal(&alice(), &buckets).await;
    let asked = ["tenants", "wharfinger", "others", "wharfinger", "wharfinger"];
    assert_eq!(accounts.asked(), asked);
    let callers: Vec<_> = accounts.s3.assume_role_requests().into_iter().map(|request| request.caller).collect();
    let [user, first, user_again, second, direct] = &callers[..] else { panic!("{callers:?}") };
    assert!(first.contains("assumed-role/tenants/") && second.contains("assumed-role/others/"), "{callers:?}");
    assert!([user, user_again, direct].iter().all(|caller| caller.ends_with(":user/server")), "{callers:?}");
}

#[tokio::test]
async fn the_role_of_a_tenant_is_probed_through_the_chain() {
    let accounts = ChainedAccounts::open().await;
    assert_eq!(probe(&buckets(accounts.storage())).await.unwrap(), RoleVerdict::Closed);
    assert_eq!(accounts.asked(), ["tenants", "wharfinger", "wharfinger"]);
    let open = buckets(accounts.with_role(|role| role.arn = OPEN_ROLE.parse().unwrap()));
    assert_eq!(probe(&open).await.unwrap(), RoleVerdict::Open(OpenBy::NoExternalId));
    assert_eq!(accounts.asked()[3..], ["tenants", "open"]);
    for request in
        accounts.s3.assume_role_requests().iter().filter(|request| request.role_arn.as_deref() != Some(VENDOR_ROLE))
    {
        assert!(request.caller.contains("assumed-role/tenants/acme.-server."), "{request:?}");
    }
    let broken = accounts.with_role(|role| role.via = Some(vendor_role(VENDOR_ROLE, None)));
    let error = probe(&buckets(broken)).await.unwrap_err().to_string();
    assert!(error.contains("the one in `[storage.credentials]`"), "no verdict: {error}");
    accounts.s3.fail("AssumeRole", Failure::RequestTimeTooSkewed, 1);
    // The session with the vendor's role is there already.
    let error = probe(&open).await.unwrap_err().to_string();
    assert!(error.contains(&format!("{OPEN_ROLE}, the one in `[storage.assume_role]`")), "{error}");
}

#[tokio::test]
async fn a_session_that_was_revoked_or_ended_closes_no_open_role() {
    let accounts = ChainedAccounts::open().await;
    let buckets = buckets(accounts.with_role(|role| role.arn = OPEN_ROLE.parse().unwrap()));
    let open = RoleVerdict::Open(OpenBy::NoExternalId);
    assert_eq!(probe(&buckets).await.unwrap(), open);
    accounts.revoke();
    pass(OLD).await;
    assert_eq!(probe(&buckets).await.unwrap(), open);
    assert_eq!(accounts.asked(), ["tenants", "open", "tenants", "open"], "the customer gets no further request");
    accounts.s3.end_sessions();
    assert_eq!(probe(&buckets).await.unwrap(), open);
    assert_eq!(accounts.asked()[4..], ["tenants", "open"]);
}
