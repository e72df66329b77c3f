//! The policies that a tenant's role has if its owner installs what `wharfinger tenant policy` prints, as the demo's IAM
//! judges them.

use super::{
    Site,
    attempts::{Attempt, AttemptOutcome},
    site::{ACCOUNT, PointAddress, RolePolicies},
};
use crate::support::scope;
use serde_json::Value;
use std::collections::BTreeMap;
use wharfinger::{
    account::{Permission, Permissions, Storage},
    cloud::{RolePolicy, SessionPolicy},
    name::Prefix,
};

/// Actions of the printed policy that the demo's S3 never asks for: it has no versions, and no attempt is about tags.
const NEVER_ASKED: [&str; 3] = ["s3:GetObjectTagging", "s3:GetObjectVersion", "s3:PutObjectTagging"];

/// Acme's storage for a promise, as the config states it.
fn storage(promise: &str) -> Storage {
    Storage {
        prefix: Prefix::parse(&format!("{promise}/acme/")).unwrap(),
        expected_bucket_owner: Some(ACCOUNT.to_owned()),
        ..scope::storage("vendor", "http://127.0.0.1:1", "server", "secret")
    }
}

fn role_policy(storage: &Storage, permissions: Permissions) -> String {
    serde_json::to_string(&RolePolicy::new(storage, permissions, None).unwrap()).unwrap()
}

/// The role with the printed trust policy.
fn role(policy: String) -> RolePolicies {
    RolePolicies::trusting_the_server(ACCOUNT, policy)
}

fn arn(name: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{name}")
}

/// All sets of permissions.
fn permission_sets() -> Vec<Permissions> {
    let sets = Permission::ALL.into_iter().fold(vec![Permissions::NONE], |sets, permission| {
        sets.into_iter().flat_map(|set| [set, set.with(permission)]).collect()
    });
    assert_eq!(sets.len(), 128);
    sets
}

/// Tries everything on acme's own file.
async fn outcomes(site: &Site, client: &aws_sdk_s3::Client) -> Vec<AttemptOutcome> {
    let file = format!("{}file", site.prefix);
    let mut outcomes = Vec::new();
    for attempt in Attempt::ALL {
        site.put(&site.bucket, &file, "acme's").await;
        outcomes.push(attempt.on(site, client, &site.bucket, &file).await);
    }
    let marker = format!("{}directory/", site.prefix);
    outcomes.push(Attempt::Put.on(site, client, &site.bucket, &marker).await);
    outcomes
}

#[tokio::test]
async fn sessions_may_do_the_same_as_under_a_role_that_may_do_everything() {
    let promise = "the_same";
    let storage = storage(promise);
    // Sets with the same session policy also have the same role.
    let mut policies: BTreeMap<String, String> = BTreeMap::new();
    for permissions in permission_sets() {
        let session = SessionPolicy::new(&storage, &storage.prefix, permissions).unwrap();
        let of_role = role_policy(&storage, permissions);
        let known = policies.entry(session.as_str().to_owned()).or_insert_with(|| of_role.clone());
        assert_eq!(*known, of_role, "{permissions:?}");
    }
    assert_eq!(policies.len(), 22, "sets of actions");
    let named: Vec<_> = (0..).map(|number| format!("role-{number}")).zip(policies).collect();
    let roles = named.iter().map(|(name, (_, policy))| (name.clone(), role(policy.clone()))).collect();
    let site = Site::demo_with(promise, roles).await;
    for (name, (session_policy, _)) in &named {
        let under_everything = site.session_under(session_policy).await;
        let under_role = site.session_of(&arn(name), Some(session_policy)).await;
        let (wide, least) = (outcomes(&site, &under_everything).await, outcomes(&site, &under_role).await);
        assert_eq!(wide, least, "{session_policy}");
    }
}

#[tokio::test]
async fn the_role_alone_reaches_nothing_outside_its_prefix() {
    let promise = "the_role_alone";
    let all = role(role_policy(&storage(promise), Permissions::ALL));
    let site = Site::demo_with(promise, vec![("wharfinger".to_owned(), all)]).await;
    reaches_its_prefix_alone(&site).await;
}

#[tokio::test]
async fn the_role_of_an_access_point_reaches_nothing_beside_it() {
    let promise = "the_role_of_a_point";
    for address in PointAddress::ALL {
        let all = role(role_policy(&address.storage(storage(promise)), Permissions::ALL));
        let site = Site::demo_with(promise, vec![("wharfinger".to_owned(), all)]).await;
        reaches_its_prefix_alone(&site.with_access_point(address).await).await;
    }
}

/// Tries everything in a session of the role, without a session policy.
async fn reaches_its_prefix_alone(site: &Site) {
    let session = site.session_of(&arn("wharfinger"), None).await;
    for (bucket, key) in site.foreign() {
        for attempt in Attempt::ALL {
            // S3 can't limit a list of uploads to a prefix.
            let is_allowed = attempt == Attempt::ListUploads && bucket == site.bucket;
            let expected = if is_allowed { AttemptOutcome::Done } else { AttemptOutcome::Denied };
            assert_eq!(attempt.on(site, &session, &bucket, &key).await, expected, "{attempt:?} of {bucket}/{key}");
        }
    }
    let own = outcomes(site, &session).await;
    assert!(own.iter().all(|outcome| *outcome == AttemptOutcome::Done), "{own:?}");
}

#[tokio::test]
async fn without_any_one_action_something_fails() {
    let promise = "least";
    let all: Value = serde_json::from_str(&role_policy(&storage(promise), Permissions::ALL)).unwrap();
    let mut roles = Vec::new();
    for (number, statement) in all["Statement"].as_array().unwrap().iter().enumerate() {
        for action in statement["Action"].as_array().unwrap() {
            let mut weaker = all.clone();
            let actions = weaker["Statement"][number]["Action"].as_array_mut().unwrap();
            actions.retain(|other| other != action);
            if actions.is_empty() {
                weaker["Statement"].as_array_mut().unwrap().remove(number);
            }
            roles.push((action.as_str().unwrap().to_owned(), weaker.to_string()));
        }
    }
    assert_eq!(roles.len(), 10);
    let name = |action: &str| action.replace(':', "-");
    let documents = roles.iter().map(|(action, policy)| (name(action), role(policy.clone()))).collect();
    let site = Site::demo_with(promise, documents).await;
    let mut needless = Vec::new();
    for (action, _) in &roles {
        let session = site.session_of(&arn(&name(action)), None).await;
        if !outcomes(&site, &session).await.contains(&AttemptOutcome::Denied) {
            needless.push(action.as_str());
        }
    }
    needless.sort_unstable();
    assert_eq!(needless, NEVER_ASKED);
}

#[tokio::test]
async fn the_role_serves_its_own_account_and_endpoint_alone() {
    let promise = "endpoint";
    let through =
        Storage { source_vpc_endpoints: vec!["vpce-0a".to_owned(), "vpce-0b".to_owned()], ..storage(promise) };
    let foreign = Storage { expected_bucket_owner: Some("444455556666".to_owned()), ..storage(promise) };
    let roles = [("through", &through), ("foreign", &foreign)];
    let roles = roles.map(|(name, storage)| (name.to_owned(), role(role_policy(storage, Permissions::ALL))));
    let site = Site::demo_with(promise, roles.into()).await;
    let session = site.session_of(&arn("through"), None).await;
    for (endpoint, expected) in [
        (None, AttemptOutcome::Denied),
        (Some("vpce-0c"), AttemptOutcome::Denied),
        (Some("vpce-0a"), AttemptOutcome::Done),
        (Some("vpce-0b"), AttemptOutcome::Done),
    ] {
        site.come_through(endpoint);
        let found = outcomes(&site, &session).await;
        assert!(found.iter().all(|outcome| *outcome == expected), "{endpoint:?}: {found:?}");
    }
    let session = site.session_of(&arn("foreign"), None).await;
    let found = outcomes(&site, &session).await;
    assert!(found.iter().all(|outcome| *outcome == AttemptOutcome::Denied), "{found:?}");
}
