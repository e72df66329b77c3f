//! The two requests for a role that its trust policy should refuse: without its external ID, and with a wrong one.

use super::{BaseCredentials, EXTERNAL_ID, ROLE, Storage, TenantAccount, buckets, store};
use fake_aws::{Failure, iam::Policy};
use wharfinger::account::{OpenBy, ProbedRole, Role, RoleVerdict, Secret};

const SERVER: &str = "arn:aws:iam::111122223333:user/server";
const ASSUME_ROLE: &str = r#""sts:AssumeRole""#;
/// A role of the same name in the account of the server's own user, where AWS says which policy refused.
const ROLE_OF_OURS: &str = "arn:aws:iam::111122223333:role/wharfinger";

async fn probe(storage: Storage) -> store::Result<Option<RoleVerdict>> {
    let role = storage.credentials.role.clone().map(|role| ProbedRole::new(&role, &storage.region));
    let probed = buckets(storage).probe_role(&"acme".parse().unwrap()).await?;
    assert_eq!(probed.as_ref().map(|(probed, _)| probed), role.as_ref());
    Ok(probed.map(|(_, verdict)| verdict))
}

fn with_role(account: &TenantAccount, change: impl FnOnce(&mut Role)) -> Storage {
    let mut storage = account.storage();
    change(storage.credentials.role.as_mut().unwrap());
    storage
}

fn external_ids(account: &TenantAccount) -> Vec<(Option<String>, bool)> {
    let asked = account.s3.assume_role_requests();
    asked.into_iter().map(|request| (request.external_id, request.granted)).collect()
}

#[tokio::test]
async fn a_role_that_refuses_both_requests_is_closed() {
    let account = TenantAccount::open().await;
    assert_eq!(probe(account.storage()).await.unwrap(), Some(RoleVerdict::Closed));
    let [first, second] = &account.s3.assume_role_requests()[..] else { panic!("two requests") };
    assert_eq!(first.external_id, None);
    let wrong = second.external_id.as_deref().unwrap();
    assert!(wrong.starts_with("wh-probe-") && wrong.len() > 32 && wrong != EXTERNAL_ID, "{wrong}");
    for asked in [first, second] {
        assert_eq!((asked.role_arn.as_deref(), asked.granted), (Some(ROLE), false));
        assert!(asked.session_name.as_deref().unwrap().starts_with("acme.-probe."), "{asked:?}");
        assert_eq!(asked.duration_seconds.as_deref(), Some("900"));
        asked.policy.as_deref().unwrap().parse::<Policy>().unwrap();
        assert!(asked.policy.as_deref().unwrap().contains(r#""Effect":"Deny","Action":["*"],"Resource":["*"]"#));
    }
    probe(account.storage()).await.unwrap();
    assert_ne!(account.s3.assume_role_requests()[3].external_id.as_deref(), Some(wrong), "another one each time");
}

#[tokio::test]
async fn a_role_that_grants_one_of_them_is_open() {
    let equals =
        |operator: &str, value: &str| format!(r#", "Condition": {{"{operator}": {{"sts:ExternalId": {value}}}}}"#);
    let same = format!("{EXTERNAL_ID:?}");
    for (principal, condition, verdict) in [
        (SERVER, String::new(), OpenBy::NoExternalId),
        ("111122223333", String::new(), OpenBy::NoExternalId),
        ("*", String::new(), OpenBy::NoExternalId),
        (SERVER, equals("StringEqualsIfExists", &same), OpenBy::NoExternalId),
        (SERVER, equals("StringLike", "\"wh-*\""), OpenBy::WrongExternalId),
        (SERVER, equals("Null", "\"false\""), OpenBy::WrongExternalId),
    ] {
        let account = TenantAccount::with_condition(principal, ASSUME_ROLE, &condition).await;
        let probed = probe(account.storage()).await.unwrap();
        assert_eq!(probed, Some(RoleVerdict::Open(verdict)), "{principal} {condition}");
        let granted = external_ids(&account).pop().unwrap();
        assert_eq!((granted.0.is_none(), granted.1), (verdict == OpenBy::NoExternalId, true), "the last request");
    }
    let account = TenantAccount::trusting("*", ASSUME_ROLE).await;
    assert_eq!(
        probe(account.storage()).await.unwrap(),
        Some(RoleVerdict::Closed),
        "everyone, but with the external ID"
    );
}

#[tokio::test]
async fn a_trust_policy_that_wants_tags_and_a_source_identity_refuses_for_the_external_id_alone() {
    let actions = r#""sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity""#;
    let wants = r#", "Condition": {"StringLike": {"aws:RequestTag/tenant": "acme", "aws:RequestTag/user": "*",
        "sts:SourceIdentity": "acme.*"}}"#;
    let account = TenantAccount::with_condition(SERVER, actions, wants).await;
    let storage = with_role(&account, |role| (role.session_tags, role.source_identity) = (true, true));
    assert_eq!(probe(storage).await.unwrap(), Some(RoleVerdict::Open(OpenBy::NoExternalId)));
    let asked = &account.s3.assume_role_requests()[0];
    assert_eq!(asked.tags, [("tenant", "acme"), ("user", "-probe")].map(|(key, value)| (key.into(), value.into())));
    assert_eq!(asked.source_identity, asked.session_name);
}

#[tokio::test]
async fn a_role_that_is_open_to_sessions_without_tags_is_open() {
    let actions = r#""sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity""#;
    let closed = format!(r#", "Condition": {{"StringEquals": {{"sts:ExternalId": "{EXTERNAL_ID}"}}}}"#);
    let and_open =
        format!(r#"{closed}}}, {{"Effect": "Allow", "Action": ["sts:AssumeRole"], "Principal": {{"AWS": "{SERVER}"}}"#);
    for (condition, verdict) in [(closed, RoleVerdict::Closed), (and_open, RoleVerdict::Open(OpenBy::NoExternalId))] {
        let account = TenantAccount::with_condition(SERVER, actions, &condition).await;
        for (session_tags, source_identity) in [(true, false), (false, true), (true, true)] {
            let storage = with_role(&account, |role| {
                (role.session_tags, role.source_identity) = (session_tags, source_identity);
            });
            assert_eq!(probe(storage).await.unwrap(), Some(verdict), "{session_tags} {source_identity}");
        }
    }
}

#[tokio::test]
async fn a_role_of_the_same_account_is_closed_by_its_trust_policy_and_not_by_ours() {
    let account = TenantAccount::open().await;
    let of_ours = with_role(&account, |role| role.arn = ROLE_OF_OURS.parse().unwrap());
    assert_eq!(probe(of_ours.clone()).await.unwrap(), Some(RoleVerdict::Closed));
    let secret_access_key = Secret::from("secret".to_owned());
    let mut forbidden = of_ours;
    forbidden.credentials.base = BaseCredentials::Static { access_key_id: "nobody".to_owned(), secret_access_key };
    let error = probe(forbidden).await.unwrap_err();
    assert!(error.to_string().contains("our own credentials lack a permission"), "{error}");
}

#[tokio::test]
async fn every_other_answer_and_none_is_no_verdict() {
    let open = TenantAccount::with_condition(SERVER, ASSUME_ROLE, "").await;
    for (failure, tries) in [
        (Failure::SlowDown, 2),
        (Failure::InternalError, 2),
        (Failure::RequestTimeTooSkewed, 1),
        (Failure::ExpiredToken, 1),
    ] {
        open.s3.fail("AssumeRole", failure, 2);
        assert!(probe(open.storage()).await.is_err(), "{failure:?}");
        // The other failure of two is left if there was no second try.
        if tries == 1 {
            assert!(probe(open.storage()).await.is_err(), "{failure:?}");
        }
    }
    let wants_tag = r#", "Condition": {"StringLike": {"aws:RequestTag/tenant": "acme"}}"#;
    let without_tagging = TenantAccount::with_condition(SERVER, ASSUME_ROLE, wants_tag).await;
    let tagged = with_role(&without_tagging, |role| role.session_tags = true);
    assert!(probe(tagged).await.unwrap_err().to_string().contains("sts:TagSession"), "a real session fails too");
    let unreachable = with_role(&open, |role| role.sts_endpoint = Some("http://127.0.0.1:1".to_owned()));
    assert!(matches!(probe(unreachable).await, Err(store::Error::Unreachable(_))));
    assert_eq!(probe(open.storage()).await.unwrap(), Some(RoleVerdict::Open(OpenBy::NoExternalId)), "it was open");
}

#[tokio::test]
async fn an_answer_to_the_first_request_alone_is_no_verdict() {
    let account = TenantAccount::open().await;
    account.s3.fail("AssumeRole", Failure::AccessDenied, 1);
    account.s3.fail("AssumeRole", Failure::SlowDown, 2);
    assert!(matches!(probe(account.storage()).await, Err(store::Error::Throttled { .. })));
}

#[tokio::test]
async fn a_tenant_without_a_role_is_not_asked_for() {
    let account = TenantAccount::open().await;
    let mut storage = account.storage();
    storage.credentials.role = None;
    assert_eq!(probe(storage).await.unwrap(), None);
    assert_eq!(account.asked(), 0);
}
