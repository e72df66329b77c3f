//! Access points: by alias and by ARN, and judged by the ARN in both cases.
//!
//! Source: S3 user guide, "Configuring IAM policies for using access points".

use super::{Cloud, TENANT, VENDOR, allow, denied, keys, only, refusal, session};
use crate::loopback::LoopbackClient;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier},
};
use fake_aws::{BucketSettings, iam::AccessPoint};

const REGION: &str = "eu-central-1";
/// The access point through which the tests go.
const ARN: &str = "arn:aws:s3:eu-central-1:111122223333:accesspoint/acme";
const ALIAS: &str = "acme-1a2b3c4d-s3alias";
/// Another one of the same bucket.
const OTHER_ALIAS: &str = "globex-5e6f-s3alias";
/// One of the same bucket, in the account of the tenant.
const TENANTS_ALIAS: &str = "theirs-7a8b-s3alias";
/// One of a bucket that delegates nothing.
const UNDELEGATED_ALIAS: &str = "closed-9c0d-s3alias";

/// One with a policy that allows everything to everyone.
const OPEN_ALIAS: &str = "open-3a4b-s3alias";
/// One with [`POLICY`].
const SHARED_ALIAS: &str = "shared-1e2f-s3alias";
/// A policy that lets the tenant's account read, a user of its own account write, and nobody delete.
const POLICY: &str = r#"{"Version": "2012-10-17", "Statement": [
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::444455556666:root"}, "Action": "s3:GetObject",
        "Resource": "arn:aws:s3:eu-central-1:111122223333:accesspoint/shared/object/p/*"},
    {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::111122223333:user/reader"}, "Action": "s3:PutObject",
        "Resource": "arn:aws:s3:eu-central-1:111122223333:accesspoint/shared/object/*"},
    {"Effect": "Deny", "Principal": "*", "Action": "s3:DeleteObject",
        "Resource": "arn:aws:s3:eu-central-1:111122223333:accesspoint/shared/object/*"}]}"#;

async fn cloud() -> Cloud {
    let point = |name: &str, account: &str, alias: &str, bucket: &str| AccessPoint {
        name: name.to_owned(),
        account: account.parse().unwrap(),
        region: REGION.to_owned(),
        alias: alias.to_owned(),
        bucket: bucket.to_owned(),
        policy: None,
    };
    let open = allow("s3:*", "arn:aws:s3:eu-central-1:111122223333:accesspoint/open*");
    let open = open.replace("\"Action\"", "\"Principal\": \"*\", \"Action\"");
    Cloud::with_settings(|settings| {
        let delegates_to = [VENDOR, TENANT].map(|account| account.parse().unwrap()).into();
        let vendor = BucketSettings { delegates_to, public_read: true, ..BucketSettings::default() };
        settings.bucket_settings = [("vendor".to_owned(), vendor)].into();
        settings.access_points = vec![
            point("acme", VENDOR, ALIAS, "vendor"),
            point("globex", VENDOR, OTHER_ALIAS, "vendor"),
            point("theirs", TENANT, TENANTS_ALIAS, "vendor"),
            point("closed", VENDOR, UNDELEGATED_ALIAS, "other"),
            AccessPoint { policy: Some(POLICY.parse().unwrap()), ..point("shared", VENDOR, SHARED_ALIAS, "vendor") },
            AccessPoint { policy: Some(open.parse().unwrap()), ..point("open", VENDOR, OPEN_ALIAS, "vendor") },
        ];
    })
    .await
}

/// A client whose requests reach the cloud under the names of hosts. Without an endpoint these are AWS's own.
fn at_hosts(cloud: &Cloud, credentials: Credentials, endpoint: Option<&str>) -> Client {
    let endpoint = endpoint.map(|host| format!("http://{host}:{}", cloud.s3.address.port()));
    let mut config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(REGION))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .http_client(LoopbackClient::new(cloud.s3.address));
    config.set_endpoint_url(endpoint);
    Client::from_conf(config.build())
}

/// Credentials of a session of the vendor's role, which may do everything, with a session policy.
async fn scoped(cloud: &Cloud, policy: String) -> Credentials {
    session(&cloud.assume_data().policy(policy).send().await.unwrap())
}

/// The server's policy for a prefix behind the access point.
fn only_through(prefix: &str) -> String {
    only(prefix).replace("arn:aws:s3:::vendor/", &format!("{ARN}/object/")).replace("arn:aws:s3:::vendor", ARN)
}

/// Every way to address the access point: the client, and the name in the bucket's place.
fn doors(cloud: &Cloud, credentials: &Credentials) -> Vec<(Client, &'static str)> {
    vec![
        (cloud.s3_with(credentials.clone()), ALIAS),
        (at_hosts(cloud, credentials.clone(), None), ALIAS),
        (at_hosts(cloud, credentials.clone(), None), ARN),
        (at_hosts(cloud, credentials.clone(), Some("localhost")), ALIAS),
        (at_hosts(cloud, credentials.clone(), Some("localhost")), ARN),
    ]
}

/// Uploads an object in one part.
async fn upload(client: &Client, bucket: &str, key: &str) {
    let begun = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    let id = begun.upload_id.unwrap();
    let listed = client.list_parts().bucket(bucket).key(key).upload_id(&id).send().await.unwrap();
    assert_eq!(listed.parts().len(), 0);
    let part = client.upload_part().bucket(bucket).key(key).upload_id(&id).part_number(1);
    let part = part.body(ByteStream::from_static(b"mine")).send().await.unwrap();
    let part = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag);
    let parts = CompletedMultipartUpload::builder().parts(part.build()).build();
    let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(&id);
    complete.multipart_upload(parts).send().await.unwrap();
}

fn source(bucket: &str, key: &str) -> String {
    if bucket.starts_with("arn:") { format!("{bucket}/object/{key}") } else { format!("{bucket}/{key}") }
}

#[tokio::test]
async fn a_session_does_everything_through_every_door() {
    let cloud = cloud().await;
    let credentials = scoped(&cloud, only_through("p/")).await;
    for (client, point) in doors(&cloud, &credentials) {
        client.put_object().bucket(point).key("p/a b").body(ByteStream::from_static(b"mine")).send().await.unwrap();
        client.head_object().bucket(point).key("p/a b").send().await.unwrap();
        client.copy_object().bucket(point).key("p/c").copy_source(source(point, "p/a%20b")).send().await.unwrap();
        let copy = client.get_object().bucket(point).key("p/c").send().await.unwrap();
        assert_eq!(copy.body.collect().await.unwrap().to_vec(), b"mine");
        upload(&client, point, "p/u").await;
        let list = client.list_objects_v2().bucket(point).prefix("p/").send().await.unwrap();
        let names: Vec<_> = list.contents().iter().map(|object| object.key().unwrap()).collect();
        assert_eq!(names, ["p/a b", "p/c", "p/u"], "{point}");
        assert!(cloud.s3.objects("vendor").unwrap().keys().eq(names), "they are the bucket's");
        client.delete_object().bucket(point).key("p/u").send().await.unwrap();
        let keys = ["p/a b", "p/c"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
        let keys = Delete::builder().set_objects(Some(keys.into())).build().unwrap();
        let deleted = client.delete_objects().bucket(point).delete(keys).send().await.unwrap();
        assert_eq!((deleted.deleted().len(), deleted.errors().len()), (2, 0));
    }
}

#[tokio::test]
async fn a_policy_for_the_access_point_reaches_nothing_else() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a", "p-x/a", "a"]).await;
    let credentials = scoped(&cloud, only_through("p/")).await;
    for (client, point) in doors(&cloud, &credentials) {
        client.get_object().bucket(point).key("p/a").send().await.unwrap();
        for key in ["p-x/a", "a"] {
            denied(client.get_object().bucket(point).key(key).send().await);
            denied(client.put_object().bucket(point).key(key).body(ByteStream::from_static(b"x")).send().await);
            denied(client.copy_object().bucket(point).key("p/c").copy_source(source(point, key)).send().await);
            denied(client.copy_object().bucket(point).key(key).copy_source(source(point, "p/a")).send().await);
        }
        denied(client.list_objects_v2().bucket(point).send().await);
        denied(client.list_objects_v2().bucket(point).prefix("p").send().await);
    }
    let client = cloud.s3_with(credentials);
    for bucket in ["vendor", OTHER_ALIAS] {
        denied(client.put_object().bucket(bucket).key("p/a").body(ByteStream::from_static(b"x")).send().await);
        denied(client.list_objects_v2().bucket(bucket).prefix("p/").send().await);
        denied(client.copy_object().bucket(ALIAS).key("p/c").copy_source(source(bucket, "p/a")).send().await);
    }
}

#[tokio::test]
async fn a_policy_for_the_bucket_or_the_alias_opens_no_access_point() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a"]).await;
    let of_bucket = only("p/");
    let of_alias = of_bucket.replace(":::vendor", &format!(":::{ALIAS}"));
    for policy in [of_bucket, of_alias] {
        for (client, point) in doors(&cloud, &scoped(&cloud, policy).await) {
            denied(client.get_object().bucket(point).key("p/a").send().await);
            denied(client.list_objects_v2().bucket(point).prefix("p/").send().await);
        }
    }
    // The denial names what a policy must name.
    let client = cloud.s3_with(scoped(&cloud, only("p/")).await);
    let (_, _, sentence) = refusal(client.get_object().bucket(ALIAS).key("p/a").send().await);
    assert!(
        sentence.contains(&format!("on resource: {ARN}/object/p/a because no session policy allows")),
        "{sentence}"
    );
    let (_, _, sentence) = refusal(client.list_objects_v2().bucket(ALIAS).send().await);
    assert!(sentence.contains(&format!("on resource: {ARN} because no session policy allows")), "{sentence}");
}

#[tokio::test]
async fn both_ends_of_a_copy_are_judged() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a"]).await;
    cloud.put("other", &["p/a"]).await;
    let from_bucket = allow("s3:GetObject", "arn:aws:s3:::vendor/p/*");
    let statement = format!(r#"[{{"Effect": "Allow", "Action": "s3:PutObject", "Resource": "{ARN}/object/*"}},"#);
    let client = cloud.s3_with(scoped(&cloud, from_bucket.replacen('[', &statement, 1)).await);
    let copy = |source: String| client.copy_object().bucket(ALIAS).key("q").copy_source(source).send();
    copy(source("vendor", "p/a")).await.unwrap();
    denied(copy(source(ALIAS, "p/a")).await);
    denied(copy(source(ARN, "p/a")).await);
    denied(copy(source("other", "p/a")).await);
    let begun = client.create_multipart_upload().bucket(ALIAS).key("q").send().await.unwrap().upload_id.unwrap();
    let part = |source: String| {
        client.upload_part_copy().bucket(ALIAS).key("q").upload_id(&begun).part_number(1).copy_source(source).send()
    };
    part(source("vendor", "p/a")).await.unwrap();
    denied(part(source(ARN, "p/a")).await);
    // A copy onto itself is one under any two names.
    let server = cloud.s3_with(keys("server"));
    let itself = server.copy_object().bucket(ALIAS).key("p/a").copy_source(source("vendor", "p/a")).send().await;
    assert_eq!(refusal(itself).0, "InvalidRequest");
}

#[tokio::test]
async fn the_account_of_the_access_point_has_access_if_the_bucket_delegates_it() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a"]).await;
    let (server, owner) = (cloud.s3_with(keys("server")), cloud.s3_with(keys("owner")));
    server.get_object().bucket(ALIAS).key("p/a").send().await.unwrap();
    owner.get_object().bucket(TENANTS_ALIAS).key("p/a").send().await.unwrap();
    owner.put_object().bucket(TENANTS_ALIAS).key("p/b").body(ByteStream::from_static(b"x")).send().await.unwrap();
    denied(owner.put_object().bucket("vendor").key("p/b").body(ByteStream::from_static(b"x")).send().await);
    denied(owner.get_object().bucket(ALIAS).key("p/a").send().await);
    denied(server.get_object().bucket(TENANTS_ALIAS).key("p/a").send().await);
    denied(server.get_object().bucket(UNDELEGATED_ALIAS).key("p/a").send().await);
    // The bucket is public, and its access points aren't.
    let get = async |bucket: &str| crate::s3::answer(&cloud.s3, &format!("GET /{bucket}/p/a")).await;
    assert!(get("vendor").await.starts_with("HTTP/1.1 200 "));
    assert!(get(ALIAS).await.starts_with("HTTP/1.1 403 "));
}

#[tokio::test]
async fn a_policy_of_the_access_point_is_judged_with_those_of_the_caller() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a", "q/a"]).await;
    let [server, reader, owner, stranger] =
        ["server", "reader", "owner", "stranger"].map(|user| cloud.s3_with(keys(user)));
    let get = |client: &Client, key: &str| client.get_object().bucket(SHARED_ALIAS).key(key).send();
    let put = |client: &Client| client.put_object().bucket(SHARED_ALIAS).key("p/b").send();
    // Across accounts both policies must allow it.
    get(&owner, "p/a").await.unwrap();
    for denied_get in [get(&owner, "q/a").await, get(&stranger, "p/a").await] {
        denied(denied_get);
    }
    let (_, _, sentence) = refusal(put(&owner).await);
    assert_eq!(sentence, "Access Denied", "another account learns no reason");
    let assumed = cloud.assume_tenant_role().send().await.unwrap();
    denied(get(&cloud.s3_with(session(&assumed)), "p/a").await);
    // Within the account one is enough, and a denial wins. The reader's own policy is about buckets' ARNs alone.
    put(&reader).await.unwrap();
    denied(get(&reader, "p/a").await);
    put(&server).await.unwrap();
    let (_, _, sentence) = refusal(server.delete_object().bucket(SHARED_ALIAS).key("p/a").send().await);
    assert!(sentence.ends_with("with an explicit deny in a resource-based policy"), "{sentence}");
    server.delete_object().bucket("vendor").key("p/a").send().await.unwrap();
}

#[tokio::test]
async fn an_access_point_that_allows_everything_to_everyone_widens_no_session() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a"]).await;
    for user in ["reader", "owner"] {
        cloud.s3_with(keys(user)).get_object().bucket(OPEN_ALIAS).key("p/a").send().await.unwrap();
    }
    for policy in [only_through("p/"), only("p/")] {
        let client = cloud.s3_with(scoped(&cloud, policy).await);
        denied(client.get_object().bucket(OPEN_ALIAS).key("p/a").send().await);
        denied(client.list_objects_v2().bucket(OPEN_ALIAS).prefix("p/").send().await);
    }
    // The tenant's account, too, must permit what its sessions do elsewhere.
    let assumed = cloud.assume_tenant_role().send().await.unwrap();
    denied(cloud.s3_with(session(&assumed)).get_object().bucket(OPEN_ALIAS).key("p/a").send().await);
}

#[tokio::test]
async fn conditions_know_the_access_point_and_the_owner_of_its_bucket() {
    let cloud = cloud().await;
    cloud.put("vendor", &["p/a"]).await;
    for (key, value, is_met) in [
        ("s3:DataAccessPointArn", ARN, true),
        ("s3:DataAccessPointArn", "arn:aws:s3:eu-central-1:111122223333:accesspoint/globex", false),
        ("s3:DataAccessPointAccount", VENDOR, true),
        ("s3:DataAccessPointAccount", TENANT, false),
        ("s3:ResourceAccount", VENDOR, true),
        ("s3:ResourceAccount", TENANT, false),
    ] {
        let condition = format!(r#""Condition": {{"StringEquals": {{"{key}": "{value}"}}}}, "Resource""#);
        let client = cloud.s3_with(scoped(&cloud, allow("s3:*", "*").replace("\"Resource\"", &condition)).await);
        let get = client.get_object().bucket(ALIAS).key("p/a").send().await;
        assert_eq!(get.is_ok(), is_met, "{key} {value}");
        let get = client.get_object().bucket("vendor").key("p/a").send().await;
        assert_eq!(get.is_ok(), is_met && key == "s3:ResourceAccount", "a bucket is no access point: {key} {value}");
    }
    let server = cloud.s3_with(keys("server"));
    let head = |owner: &str| server.head_bucket().bucket(ALIAS).expected_bucket_owner(owner).send();
    head(VENDOR).await.unwrap();
    denied(head(TENANT).await);
}

#[tokio::test]
async fn access_points_that_are_none_and_operations_that_they_have_not() {
    let cloud = cloud().await;
    let server = at_hosts(&cloud, keys("server"), None);
    let point = ARN.replace("acme", "none");
    let get = |bucket: &str| server.get_object().bucket(bucket).key("a").send();
    let (code, status, _) = refusal(get(&point).await);
    assert_eq!((code.as_str(), status), ("NoSuchAccessPoint", 404));
    let copy = server.copy_object().bucket(ARN).key("b").copy_source(source(&point, "a")).send().await;
    assert_eq!(refusal(copy).0, "NoSuchAccessPoint");
    assert_eq!(refusal(get("none-1a2b-s3alias").await).0, "NoSuchBucket");
    for point in [ALIAS, ARN] {
        let versioning = server.get_bucket_versioning().bucket(point).send().await;
        assert_eq!(refusal(versioning).0, "MethodNotAllowed");
    }
}

#[tokio::test]
async fn an_upload_is_one_under_both_names() {
    let cloud = cloud().await;
    let server = cloud.s3_with(keys("server"));
    let create = async |bucket: &str| server.create_multipart_upload().bucket(bucket).key("u").send().await.unwrap();
    let begun = create("vendor").await.upload_id.unwrap();
    let listed = server.list_multipart_uploads().bucket(ALIAS).send().await.unwrap();
    assert_eq!(listed.uploads()[0].upload_id(), Some(&*begun));
    let parts = server.list_parts().bucket(ALIAS).key("u").upload_id(&begun).send().await.unwrap();
    // Answers about uploads name the bucket.
    assert_eq!([listed.bucket(), parts.bucket(), create(ALIAS).await.bucket()], [Some("vendor"); 3]);
    for (_, id) in cloud.s3.uploads("vendor") {
        server.abort_multipart_upload().bucket(ALIAS).key("u").upload_id(&id).send().await.unwrap();
    }
    assert_eq!(cloud.s3.uploads("vendor"), []);
}
