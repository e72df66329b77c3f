//! GetCallerIdentity, and access keys that no principal has.

use super::{Cloud, TENANT, VENDOR, keys, refusal, session};
use aws_sdk_s3::config::{Credentials, endpoint::EndpointFuture};
use aws_smithy_types::Document;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[tokio::test]
async fn everyone_may_ask_who_they_are() {
    let cloud = Cloud::start().await;
    let user = cloud.sts("reader").get_caller_identity().send().await.unwrap();
    assert_eq!(user.arn(), Some(format!("arn:aws:iam::{VENDOR}:user/reader").as_str()));
    assert_eq!(user.account(), Some(VENDOR));
    let assumed = cloud.assume_tenant_role().policy(super::only("p/")).send().await.unwrap();
    let identity = cloud.sts_with(session(&assumed)).get_caller_identity().send().await.unwrap();
    assert_eq!(identity.arn(), Some(assumed.assumed_role_user().unwrap().arn()));
    assert_eq!(identity.user_id(), Some(assumed.assumed_role_user().unwrap().assumed_role_id()));
    assert_eq!(identity.account(), Some(TENANT));
    assert_eq!(cloud.s3.requests()["GetCallerIdentity"], 2);
}

#[tokio::test]
async fn unknown_keys_wrong_secrets_and_tokens_of_nobody_are_refused_in_the_words_of_sts() {
    let cloud = Cloud::start().await;
    let ask = async |credentials: Credentials| {
        let (code, status, _) = refusal(cloud.sts_with(credentials).get_caller_identity().send().await);
        (code, status)
    };
    let key = |id: &str, secret: &str, token: Option<&str>| {
        Credentials::new(id, secret, token.map(str::to_owned), None, "test")
    };
    assert_eq!(ask(key("AKNOBODY", "x", None)).await, ("InvalidClientTokenId".to_owned(), 403));
    assert_eq!(ask(key("AKSERVER", "x", None)).await, ("SignatureDoesNotMatch".to_owned(), 403));
    let secret = keys("server").secret_access_key().to_owned();
    assert_eq!(ask(key("AKSERVER", &secret, Some("token"))).await, ("InvalidClientTokenId".to_owned(), 403));
    assert_eq!(cloud.s3.assume_role_requests(), []);
}

/// An endpoint whose requests are signed for the given service.
#[derive(Debug)]
pub(super) struct SignedFor {
    service: &'static str,
    region: &'static str,
    url: String,
}

impl SignedFor {
    fn new(service: &'static str, cloud: &Cloud) -> Self {
        Self { service, region: "us-east-1", url: format!("http://{}", cloud.s3.address) }
    }

    pub(super) fn iam(cloud: &Cloud) -> Self {
        Self::new("iam", cloud)
    }

    pub(super) fn in_region(self, region: &'static str) -> Self {
        Self { region, ..self }
    }

    fn endpoint(&self) -> aws_smithy_types::endpoint::Endpoint {
        let scheme = [("name", "sigv4"), ("signingName", self.service), ("signingRegion", self.region)];
        let scheme = scheme.map(|(key, value)| (key.to_owned(), Document::String(value.to_owned())));
        let schemes = vec![Document::Object(scheme.into_iter().collect())];
        aws_smithy_types::endpoint::Endpoint::builder().url(self.url.clone()).property("authSchemes", schemes).build()
    }
}

impl aws_sdk_s3::config::endpoint::ResolveEndpoint for SignedFor {
    fn resolve_endpoint(&self, _: &aws_sdk_s3::config::endpoint::Params) -> EndpointFuture<'_> {
        EndpointFuture::ready(Ok(self.endpoint()))
    }
}

impl aws_sdk_sts::config::endpoint::ResolveEndpoint for SignedFor {
    fn resolve_endpoint(&self, _: &aws_sdk_sts::config::endpoint::Params) -> EndpointFuture<'_> {
        EndpointFuture::ready(Ok(self.endpoint()))
    }
}

#[tokio::test]
async fn a_signature_for_one_service_is_none_for_the_other() {
    let cloud = Cloud::start().await;
    let signed_for = |service| SignedFor::new(service, &cloud);
    let buckets = async |service| {
        let config = cloud.s3_with(keys("server")).config().to_builder().endpoint_resolver(signed_for(service));
        aws_sdk_s3::Client::from_conf(config.build()).list_buckets().send().await
    };
    buckets("s3").await.unwrap();
    let (code, status, _) = refusal(buckets("sts").await);
    assert_eq!((code.as_str(), status), ("AuthorizationHeaderMalformed", 400));
    let identity = async |service| {
        let config = cloud.sts("server").config().to_builder().endpoint_resolver(signed_for(service));
        aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().send().await
    };
    identity("sts").await.unwrap();
    let (code, status, message) = refusal(identity("s3").await);
    assert_eq!((code.as_str(), status), ("SignatureDoesNotMatch", 403));
    assert!(message.contains("correct service: 'sts'"), "{message}");
}

#[tokio::test]
async fn what_is_not_signed_or_not_known_is_refused() {
    let cloud = Cloud::start().await;
    let mut stream = TcpStream::connect(cloud.s3.address).await.unwrap();
    let form = "Action=GetCallerIdentity&Version=2011-06-15";
    let request = format!(
        "POST / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        cloud.s3.address,
        form.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("<Code>MissingAuthenticationToken</Code>"),
        "{answer}"
    );

    let (code, status, _) = refusal(cloud.sts("server").get_session_token().send().await);
    assert_eq!((code.as_str(), status), ("InvalidAction", 400));
}
