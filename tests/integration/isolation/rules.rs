//! Each rule of the session policy keeps something out. Without the rule the request succeeds under the same role, so
//! nothing else keeps it out.

use super::{
    Site,
    attempts::{Attempt, AttemptOutcome, outcome},
    promises,
    site::PointAddress,
};
use wharfinger::account::{Permission, Permissions};

promises![
    objects_end_at_the_slash,
    objects_are_named_at_all,
    the_bucket_is_named_at_all,
    listings_have_a_prefix,
    listings_end_at_the_slash,
    actions_are_named,
    markers_end_in_a_slash,
];

/// Replaces `rule` in `policy`, which must contain it.
fn without(policy: &str, rule: &str, instead: &str) -> String {
    assert!(policy.contains(rule), "{rule} in {policy}");
    policy.replace(rule, instead)
}

async fn holds(site: &Site, policy: &str, weaker: &str, attempt: Attempt, bucket: &str, key: &str) {
    let (session, weak) = (site.session_under(policy).await, site.session_under(weaker).await);
    assert_eq!(
        attempt.on(site, &session, bucket, key).await,
        AttemptOutcome::Denied,
        "{attempt:?} of {key} under {policy}"
    );
    assert_eq!(attempt.on(site, &weak, bucket, key).await, AttemptOutcome::Done, "{attempt:?} of {key} under {weaker}");
}

async fn objects_end_at_the_slash(site: Site) {
    let (policy, bare) = (site.policy(), site.prefix.trim_end_matches('/'));
    let weaker =
        without(&policy, &format!("{}/{}*\"", site.bucket, site.prefix), &format!("{}/{bare}*\"", site.bucket));
    let neighbour = format!("{bare}-archive/secret");
    for attempt in [Attempt::Get, Attempt::Put, Attempt::CopyFrom, Attempt::BeginUpload, Attempt::Delete] {
        holds(&site, &policy, &weaker, attempt, &site.bucket, &neighbour).await;
    }
}

async fn objects_are_named_at_all(site: Site) {
    let (policy, above) = (site.policy(), site.prefix.trim_end_matches("acme/"));
    let weaker = without(&policy, &format!("{}/{}*\"", site.bucket, site.prefix), &format!("{}/*\"", site.bucket));
    holds(&site, &policy, &weaker, Attempt::Get, &site.bucket, &format!("{above}globex/secret")).await;
}

async fn the_bucket_is_named_at_all(site: Site) {
    let policy = site.policy();
    let weaker = without(&policy, &format!(":::{}", site.bucket), ":::*");
    let there = format!("{}secret", site.prefix);
    holds(&site, &policy, &weaker, Attempt::Get, &site.other, &there).await;
    holds(&site, &policy, &weaker, Attempt::List, &site.other, &site.prefix).await;
}

async fn listings_have_a_prefix(site: Site) {
    let policy = site.policy();
    let condition = format!(r#","Condition":{{"StringLike":{{"s3:prefix":["{}*"]}}}}"#, site.prefix);
    let weaker = without(&policy, &condition, "");
    let (session, weak) = (site.session_under(&policy).await, site.session_under(&weaker).await);
    let all = |client: &aws_sdk_s3::Client| client.list_objects_v2().bucket(&site.bucket).send();
    assert_eq!(outcome(all(&session).await), AttemptOutcome::Denied);
    assert_eq!(outcome(all(&weak).await), AttemptOutcome::Done);
}

async fn listings_end_at_the_slash(site: Site) {
    let (policy, bare) = (site.policy(), site.prefix.trim_end_matches('/'));
    let weaker = without(&policy, &format!(r#"["{}*"]"#, site.prefix), &format!(r#"["{bare}*"]"#));
    holds(&site, &policy, &weaker, Attempt::List, &site.bucket, &format!("{bare}-archive/")).await;
}

async fn actions_are_named(site: Site) {
    let all_but = |without: Permission| site.policy_of(Permissions::NONE.with(Permission::List).with(without));
    let file = format!("{}file", site.prefix);
    for (permission, named, attempt) in [
        (Permission::Read, r#"["s3:GetObject","s3:GetObjectVersion"]"#, Attempt::Put),
        (Permission::Read, r#"["s3:GetObject","s3:GetObjectVersion"]"#, Attempt::Delete),
        (
            Permission::Write,
            r#"["s3:AbortMultipartUpload","s3:ListMultipartUploadParts","s3:PutObject"]"#,
            Attempt::Get,
        ),
        (Permission::Delete, r#"["s3:DeleteObject"]"#, Attempt::Put),
    ] {
        site.put(&site.bucket, &file, "acme's").await;
        let policy = all_but(permission);
        holds(&site, &policy, &without(&policy, named, r#"["s3:*"]"#), attempt, &site.bucket, &file).await;
    }
}

async fn markers_end_in_a_slash(site: Site) {
    let policy = site.policy_of(Permissions::NONE.with(Permission::Mkdir));
    let weaker = without(&policy, &format!("{}*/\"", site.prefix), &format!("{}*\"", site.prefix));
    holds(&site, &policy, &weaker, Attempt::Put, &site.bucket, &format!("{}file", site.prefix)).await;
}

#[tokio::test]
async fn the_access_point_is_named_by_its_arn() {
    for address in PointAddress::ALL {
        let site = Site::demo("point").await.with_access_point(address).await;
        let [_, other] = site.beside_the_access_point().unwrap();
        let (policy, inside) = (site.policy(), format!("{}secret", site.prefix));
        let weaker = without(&policy, "accesspoint/acme", "accesspoint/*");
        for attempt in [Attempt::Get, Attempt::CopyFrom, Attempt::Put, Attempt::List] {
            holds(&site, &policy, &weaker, attempt, other, &inside).await;
        }
        // Under a policy for the bucket or for the alias, nothing works.
        let arn = "arn:aws:s3:us-east-1:111122223333:accesspoint/acme";
        for name in ["vendor", "acme-1a2b3c4d-s3alias"] {
            let wrong = without(&policy, &format!("{arn}/object/"), &format!("arn:aws:s3:::{name}/"));
            let session = site.session_under(&without(&wrong, arn, &format!("arn:aws:s3:::{name}"))).await;
            for attempt in Attempt::ALL {
                let found = attempt.on(&site, &session, &site.bucket, &inside).await;
                assert_eq!(found, AttemptOutcome::Denied, "{attempt:?} under a policy for {name}");
            }
        }
    }
}

/// SeaweedFS doesn't know `${*}`: there a prefix with wildcards reaches nothing.
#[tokio::test]
async fn wildcards_in_a_prefix_are_letters() {
    let site = Site::demo("odd*?$").await;
    let policy = site.policy();
    let weaker = without(&without(&without(&policy, "${*}", "*"), "${?}", "?"), "${$}", "$");
    let neighbour = "odd-x$/acme/secret";
    site.put(&site.bucket, neighbour, "globex's").await;
    let literal = site.session_under(&policy).await;
    let own = format!("{}file", site.prefix);
    site.put(&site.bucket, &own, "acme's").await;
    assert_eq!(Attempt::Get.on(&site, &literal, &site.bucket, &own).await, AttemptOutcome::Done);
    assert_eq!(Attempt::List.on(&site, &literal, &site.bucket, &own).await, AttemptOutcome::Done);
    // IAM refuses a bare `$` as an unknown variable, and so does the demo.
    let weaker = weaker.replace('$', "?");
    for attempt in [Attempt::Get, Attempt::Put, Attempt::List] {
        holds(&site, &policy, &weaker, attempt, &site.bucket, neighbour).await;
    }
}
