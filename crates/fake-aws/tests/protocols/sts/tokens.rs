//! A session's key opens nothing without its own token, or after the session has expired.

use super::{Cloud, denied, keys, now, refusal, session};
use aws_sdk_s3::{
    config::Credentials, error::ProvideErrorMetadata, presigning::PresigningConfig, primitives::ByteStream,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn with_token(credentials: &Credentials, token: Option<&str>) -> Credentials {
    let (id, secret) = (credentials.access_key_id(), credentials.secret_access_key());
    Credentials::new(id, secret, token.map(str::to_owned), None, "test")
}

#[tokio::test]
async fn a_missing_a_foreign_and_an_altered_token_are_refused() {
    let cloud = Cloud::start().await;
    let [mine, other] = [cloud.assume_data().send().await.unwrap(), cloud.assume_data().send().await.unwrap()];
    let [mine, other] = [session(&mine), session(&other)];
    let right = mine.session_token().unwrap();
    let altered = format!("{}A", &right[1..]);
    for wrong in [None, Some(""), other.session_token(), Some(altered.as_str()), Some(&right[1..])] {
        let put = cloud.s3_with(with_token(&mine, wrong)).put_object().bucket("vendor").key("a");
        let (code, status, _) = refusal(put.body(ByteStream::from_static(b"x")).send().await);
        assert_eq!((code.as_str(), status), ("InvalidToken", 400), "{wrong:?}");
        let (code, ..) = refusal(cloud.sts_with(with_token(&mine, wrong)).get_caller_identity().send().await);
        assert_eq!(code, "InvalidClientTokenId", "{wrong:?}");
    }
    cloud.s3_with(mine).put_object().bucket("vendor").key("a").send().await.unwrap();
    let static_key = with_token(&keys("server"), other.session_token());
    let (code, ..) = refusal(cloud.s3_with(static_key).list_objects_v2().bucket("vendor").send().await);
    assert_eq!(code, "InvalidToken");
}

#[tokio::test]
async fn a_session_that_ended_is_told_so_in_the_middle_of_a_large_body_too() {
    let cloud = Cloud::start().await;
    let keys = session(&cloud.assume_data().send().await.unwrap());
    let (s3, sts) = (cloud.s3_with(keys.clone()), cloud.sts_with(keys));
    let put = |bytes: usize| s3.put_object().bucket("vendor").key("a").body(ByteStream::from(vec![0; bytes])).send();
    put(1).await.unwrap();
    cloud.s3.end_sessions();
    // Larger than any socket buffer: the client must see the answer nevertheless.
    let (code, status, _) = refusal(put(16 << 20).await);
    assert_eq!((code.as_str(), status), ("ExpiredToken", 400));
    assert_eq!(refusal(s3.list_objects_v2().bucket("vendor").send().await).0, "ExpiredToken");
    let (code, status, _) = refusal(sts.get_caller_identity().send().await);
    assert_eq!((code.as_str(), status), ("ExpiredToken", 403));
    cloud.assume_data().send().await.unwrap();
}

#[tokio::test]
async fn sessions_last_as_long_as_the_test_wants_and_say_so() {
    let cloud = Cloud::with_sessions_of(Some(Duration::ZERO)).await;
    let short = cloud.assume_data().duration_seconds(3600).send().await.unwrap();
    let expiration: std::time::SystemTime = (*short.credentials().unwrap().expiration()).try_into().unwrap();
    assert!(expiration <= now());
    let get = cloud.s3_with(session(&short)).get_object().bucket("vendor").key("a").send().await;
    assert_eq!(get.unwrap_err().code(), Some("ExpiredToken"));
    cloud.s3.set_session_lifetime(None);
    let long = cloud.assume_data().send().await.unwrap();
    cloud.s3_with(session(&long)).list_objects_v2().bucket("vendor").send().await.unwrap();
    cloud.s3.set_session_lifetime(Some(Duration::ZERO));
    let short = cloud.assume_data().send().await.unwrap();
    let list = cloud.s3_with(session(&short)).list_objects_v2().bucket("vendor").send().await;
    assert_eq!(refusal(list).0, "ExpiredToken");
}

#[tokio::test]
async fn a_presigned_request_carries_its_token_in_its_query() {
    let cloud = Cloud::start().await;
    cloud.put("vendor", &["a"]).await;
    let keys = session(&cloud.assume_data().send().await.unwrap());
    let presigned = async |credentials: Credentials| {
        let for_a_minute = PresigningConfig::expires_in(Duration::from_mins(1)).unwrap();
        let get = cloud.s3_with(credentials).get_object().bucket("vendor").key("a").presigned(for_a_minute).await;
        let uri = get.unwrap().uri().split_once("/vendor/").map(|(_, rest)| format!("/vendor/{rest}")).unwrap();
        let mut stream = TcpStream::connect(cloud.s3.address).await.unwrap();
        let request = format!("GET {uri} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", cloud.s3.address);
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    assert!(presigned(keys.clone()).await.starts_with("HTTP/1.1 200 "));
    let without = presigned(with_token(&keys, None)).await;
    assert!(without.starts_with("HTTP/1.1 400 ") && without.contains("InvalidToken"), "{without}");
}

#[tokio::test]
async fn a_key_reaches_only_the_buckets_of_its_account() {
    let cloud = Cloud::start().await;
    cloud.put("tenant", &["a"]).await;
    let server = cloud.s3_with(keys("server"));
    denied(server.get_object().bucket("tenant").key("a").send().await);
    denied(server.list_objects_v2().bucket("tenant").send().await);
    denied(server.copy_object().bucket("vendor").key("stolen").copy_source("tenant/a").send().await);
    let names = server.list_buckets().send().await.unwrap();
    let names: Vec<_> = names.buckets().iter().map(|bucket| bucket.name().unwrap()).collect();
    assert_eq!(names, ["other", "vendor"]);

    let tenant = cloud.s3_with(session(&cloud.assume_tenant_role().send().await.unwrap()));
    tenant.get_object().bucket("tenant").key("a").send().await.unwrap();
    denied(tenant.get_object().bucket("vendor").key("a").send().await);
    denied(tenant.list_buckets().send().await);
    let get = |owner: &str| tenant.get_object().bucket("tenant").key("a").expected_bucket_owner(owner).send();
    get(super::TENANT).await.unwrap();
    denied(get(super::VENDOR).await);
    let copy = |owner: &str| {
        let copy = tenant.copy_object().bucket("tenant").key("b").copy_source("tenant/a");
        copy.expected_source_bucket_owner(owner).send()
    };
    copy(super::TENANT).await.unwrap();
    denied(copy(super::VENDOR).await);
}
