//! Trust policies of roles: external IDs, accounts, tags, source identities and chains.

use super::{Cloud, EXTERNAL_ID, TENANT, VENDOR, assume, now, packed, refusal, session, trusting};
use aws_sdk_sts::types::Tag;
use fake_aws::Failure;

fn tag(key: &str, value: &str) -> Tag {
    Tag::builder().key(key).value(value).build().unwrap()
}

#[tokio::test]
async fn a_role_with_an_external_id_is_refused_without_it_with_an_empty_one_and_with_another() {
    let cloud = Cloud::start().await;
    let arn = format!("arn:aws:iam::{TENANT}:role/wharfinger");
    let sentence = format!(
        "User: arn:aws:iam::{VENDOR}:user/server is not authorized to perform: sts:AssumeRole on resource: {arn}"
    );
    let denial = ("AccessDenied".to_owned(), 403, sentence);
    assert_eq!(refusal(cloud.assume_tenant_role().set_external_id(None).send().await), denial);
    assert_eq!(refusal(cloud.assume_tenant_role().external_id("wharfinger:acme/2").send().await), denial);
    let (code, status, message) = refusal(cloud.assume_tenant_role().external_id("").send().await);
    assert_eq!((code.as_str(), status), ("ValidationError", 400));
    assert!(message.contains("Value '' at 'externalId' failed to satisfy constraint"), "{message}");

    let granted = cloud.assume_tenant_role().send().await.unwrap();
    let user = granted.assumed_role_user().unwrap();
    assert_eq!(user.arn(), format!("arn:aws:sts::{TENANT}:assumed-role/wharfinger/acme.alice"));
    assert!(user.assumed_role_id().starts_with("AROA") && user.assumed_role_id().ends_with(":acme.alice"));
    assert!(granted.credentials().unwrap().access_key_id().starts_with("ASIA"));
    assert_eq!((packed(&granted), granted.source_identity()), (None, None));

    let asked = cloud.s3.assume_role_requests();
    let ids: Vec<_> = asked.iter().map(|request| (request.external_id.as_deref(), request.granted)).collect();
    let expected = [(None, false), (Some("wharfinger:acme/2"), false), (Some(""), false), (Some(EXTERNAL_ID), true)];
    assert_eq!(ids, expected);
    assert_eq!(asked[0].role_arn.as_deref(), Some(arn.as_str()));
    assert_eq!(cloud.s3.requests()["AssumeRole"], 4);
}

#[tokio::test]
async fn other_accounts_and_unknown_roles_are_refused_in_the_same_words() {
    let cloud = Cloud::start().await;
    let stranger = cloud.sts("stranger");
    let (code, status, message) =
        refusal(assume(&stranger, TENANT, "wharfinger").external_id(EXTERNAL_ID).send().await);
    assert_eq!((code.as_str(), status), ("AccessDenied", 403));
    let (.., unknown) = refusal(assume(&stranger, TENANT, "no-such-role").send().await);
    assert_eq!(unknown, message.replace("role/wharfinger", "role/no-such-role"));
    let (.., data) = refusal(assume(&stranger, VENDOR, "data").send().await);
    assert!(data.ends_with("role/data"), "no reason is given between accounts: {data}");
}

#[tokio::test]
async fn a_caller_needs_a_policy_of_its_own_too() {
    let cloud = Cloud::start().await;
    let (code, _, message) = refusal(assume(&cloud.sts("reader"), VENDOR, "data").send().await);
    assert_eq!(code, "AccessDenied");
    assert!(message.ends_with(" because no identity-based policy allows the sts:AssumeRole action"), "{message}");
    let (.., message) = refusal(assume(&cloud.sts("server"), VENDOR, "chained").send().await);
    assert!(message.ends_with(" because no role trust policy allows the sts:AssumeRole action"), "{message}");
}

#[tokio::test]
async fn a_caller_that_the_trust_policy_names_needs_no_policy_of_its_own_in_the_account_of_the_role() {
    let reader = format!("arn:aws:iam::{VENDOR}:user/reader");
    for (principal, is_granted) in [(reader.as_str(), true), ("*", true), (VENDOR, false)] {
        let cloud = Cloud::with_settings(|settings| {
            for role in &mut settings.roles {
                role.trust = trusting(principal, "\"sts:AssumeRole\"", "").parse().unwrap();
            }
        })
        .await;
        let answer = assume(&cloud.sts("reader"), VENDOR, "data").send().await;
        assert_eq!(answer.is_ok(), is_granted, "{principal}: {answer:?}");
        let elsewhere = assume(&cloud.sts("reader"), TENANT, "wharfinger").send().await;
        assert_eq!(refusal(elsewhere).0, "AccessDenied", "{principal}");
        if principal == reader {
            continue;
        }
        // A session policy limits its session in any case.
        let limited = assume(&cloud.sts("server"), VENDOR, "data").policy(super::only("p/")).send().await.unwrap();
        let (.., message) = refusal(assume(&cloud.sts_with(session(&limited)), VENDOR, "plain").send().await);
        assert!(message.ends_with("policy allows the sts:AssumeRole action"), "{principal}: {message}");
    }
}

#[tokio::test]
async fn tags_and_source_identities_are_refused_unless_the_trust_policy_allows_them() {
    let cloud = Cloud::start().await;
    let server = cloud.sts("server");
    assume(&server, VENDOR, "plain").send().await.unwrap();
    let (code, _, message) = refusal(assume(&server, VENDOR, "plain").tags(tag("tenant", "acme")).send().await);
    assert!(code == "AccessDenied" && message.contains("sts:TagSession on resource"), "{message}");
    let (code, _, message) = refusal(assume(&server, VENDOR, "plain").source_identity("acme").send().await);
    assert!(code == "AccessDenied" && message.contains("sts:SetSourceIdentity on resource"), "{message}");

    let both = assume(&server, VENDOR, "data").tags(tag("tenant", "acme")).tags(tag("user", "alice"));
    let both = both.source_identity("acme").send().await.unwrap();
    assert_eq!(both.source_identity(), Some("acme"));
    assert_eq!(packed(&both), Some(1));
    let asked = cloud.s3.assume_role_requests().pop().unwrap();
    let tags = [("tenant", "acme"), ("user", "alice")].map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!((asked.tags, asked.source_identity.as_deref(), asked.granted), (tags.into(), Some("acme"), true));
}

#[tokio::test]
async fn trust_policies_may_ask_for_tags_names_and_identities() {
    let cloud = Cloud::start().await;
    let server = cloud.sts("server");
    let tagged = |value: Option<&str>| {
        let tags = value.map(|value| vec![tag("tenant", value)]);
        assume(&server, VENDOR, "tagged").set_tags(tags).send()
    };
    tagged(Some("acme")).await.unwrap();
    for wrong in [None, Some("globex"), Some("")] {
        assert_eq!(refusal(tagged(wrong).await).0, "AccessDenied", "{wrong:?}");
    }
    let named = |name: &str, identity: Option<&str>| {
        let identity = identity.map(str::to_owned);
        assume(&server, VENDOR, "named").role_session_name(name).set_source_identity(identity).send()
    };
    named("acme.x", Some("alice")).await.unwrap();
    for (name, identity) in [("acme.x", None), ("acme.x", Some("bob")), ("globex.x", Some("alice"))] {
        assert_eq!(refusal(named(name, identity).await).0, "AccessDenied", "{name} {identity:?}");
    }
}

#[tokio::test]
async fn a_session_may_assume_a_role_for_an_hour_and_keeps_its_source_identity() {
    let cloud = Cloud::start().await;
    let first = cloud.assume_data().source_identity("alice").send().await.unwrap();
    let sts = cloud.sts_with(session(&first));
    let chained = assume(&sts, VENDOR, "chained").send().await.unwrap();
    assert_eq!(chained.source_identity(), Some("alice"));
    let (code, _, message) = refusal(assume(&sts, VENDOR, "chained").duration_seconds(3601).send().await);
    assert!(code == "ValidationError" && message.contains("role chaining"), "{message}");
    assert_eq!(refusal(assume(&sts, VENDOR, "chained").source_identity("bob").send().await).0, "AccessDenied");
    let (.., message) = refusal(assume(&sts, VENDOR, "plain").send().await);
    assert!(message.contains("sts:SetSourceIdentity"), "an identity goes only where it may be set: {message}");

    let held = cloud.assume_data().policy(super::only("p/")).send().await.unwrap();
    let (.., message) = refusal(assume(&cloud.sts_with(session(&held)), VENDOR, "chained").send().await);
    assert!(message.ends_with(" because no session policy allows the sts:AssumeRole action"), "{message}");
}

#[tokio::test]
async fn a_session_is_no_longer_than_its_role_allows() {
    let cloud = Cloud::start().await;
    let (code, _, message) = refusal(cloud.assume_data().duration_seconds(3601).send().await);
    assert!(code == "ValidationError" && message.contains("MaxSessionDuration"), "{message}");
    let before = now();
    let granted = cloud.assume_data().duration_seconds(900).send().await.unwrap();
    let expiration: std::time::SystemTime = (*granted.credentials().unwrap().expiration()).try_into().unwrap();
    let lasts = expiration.duration_since(before).unwrap().as_secs();
    assert!((899..=960).contains(&lasts), "{lasts}");
}

#[tokio::test]
async fn failures_come_in_the_words_of_sts() {
    let cloud = Cloud::start().await;
    cloud.s3.fail("AssumeRole", Failure::SlowDown, 1);
    assert_eq!(refusal(cloud.assume_data().send().await), ("Throttling".to_owned(), 400, "Rate exceeded".to_owned()));
    for (failure, code, status) in [
        (Failure::AccessDenied, "AccessDenied", 403),
        (Failure::ExpiredToken, "ExpiredToken", 403),
        (Failure::InternalError, "InternalFailure", 500),
        (Failure::RequestTimeTooSkewed, "SignatureDoesNotMatch", 403),
    ] {
        cloud.s3.fail("AssumeRole", failure, 1);
        let (said, was, _) = refusal(cloud.assume_data().send().await);
        assert_eq!((said.as_str(), was), (code, status));
    }
    cloud.assume_data().send().await.unwrap();
    assert_eq!(cloud.s3.assume_role_requests().iter().filter(|request| request.granted).count(), 1);
}

#[tokio::test]
async fn a_role_that_trusts_everyone_is_open_to_strangers() {
    let trust = r#"{"Version": "2012-10-17", "Statement":
        {"Effect": "Allow", "Principal": "*", "Action": "sts:AssumeRole"}}"#;
    let cloud = Cloud::with_settings(|settings| {
        let role = settings.roles.iter_mut().find(|role| role.name == "wharfinger").unwrap();
        role.trust = trust.parse().unwrap();
    })
    .await;
    assume(&cloud.sts("stranger"), TENANT, "wharfinger").send().await.unwrap();
}
