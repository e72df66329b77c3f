//! The requests of real clients for each way to address a bucket: host, line and signature. Nothing is sent.

mod access_point;

use super::*;
use crate::{
    account::BucketAddress,
    cloud::check_bucket,
    name::{Key, Prefix},
    policy::DailyUsage,
    store::{Bucket as _, Condition, ETag, Pin},
};
use aws_smithy_runtime_api::client::{
    http::{HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
    runtime_components::RuntimeComponents,
};
use parking_lot::Mutex;

const ARN: &str = "arn:aws:s3:eu-central-1:111122223333:accesspoint/acme";
const ALIAS: &str = "acme-1a2b3c4d-s3alias";

/// An HTTP client that records requests, and answers none.
#[derive(Clone, Debug, Default)]
struct HttpRecorder(Arc<Mutex<Vec<HttpRequest>>>);

impl HttpConnector for HttpRecorder {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.0.lock().push(request);
        HttpConnectorFuture::ready(Err(ConnectorError::user("nothing is sent".into())))
    }
}

impl HttpClient for HttpRecorder {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// A request as it would go out.
#[derive(Debug, PartialEq, Eq)]
struct AddressedRequest {
    url: String,
    /// Region and service of the signature.
    signed_for: String,
    copy_source: Option<String>,
}

impl HttpRecorder {
    fn only_request(&self) -> AddressedRequest {
        let mut requests = self.0.lock();
        let request = requests.pop().unwrap();
        assert!(requests.is_empty());
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        let authorization = header("authorization").unwrap();
        // AWS4-HMAC-SHA256 Credential=AKID/20261203/REGION/SERVICE/aws4_request, …
        let scope: Vec<_> = authorization.split('/').collect();
        AddressedRequest {
            url: request.uri().to_owned(),
            signed_for: scope[2..4].join("/"),
            copy_source: header("x-amz-copy-source"),
        }
    }
}

fn storage(bucket: &str) -> Storage {
    Storage { bucket: bucket.to_owned(), ..Storage::of_a_test("in/") }
}

fn identity() -> Identity {
    fixed("AKIDEXAMPLE", &Secret::from("secret".to_owned()))
}

fn key() -> Key {
    Prefix::parse("in/").unwrap().key("a b").unwrap()
}

/// The bucket of `storage`, and the record of its requests.
fn bucket(storage: &Storage) -> (S3Bucket, HttpRecorder) {
    let recorder = HttpRecorder::default();
    let clients = Clients::through(SharedHttpClient::new(recorder.clone()));
    let usage = DailyUsage::default().of(&"acme".parse().unwrap());
    (clients.bucket(&RetryQuotas::default(), &usage, storage, identity()), recorder)
}

/// The request for the head of `in/a b`.
async fn head(storage: &Storage) -> AddressedRequest {
    let (bucket, recorder) = bucket(storage);
    bucket.head(&key()).await.unwrap_err();
    recorder.only_request()
}

#[tokio::test]
async fn a_bucket_and_an_access_point_have_hosts_of_their_own() {
    for (bucket, host) in [
        ("vendor", "vendor.s3.eu-central-1"),
        (ALIAS, "acme-1a2b3c4d-s3alias.s3.eu-central-1"),
        (ARN, "acme-111122223333.s3-accesspoint.eu-central-1"),
    ] {
        let request = head(&storage(bucket)).await;
        assert_eq!(request.url, format!("https://{host}.amazonaws.com/in/a%20b"), "{bucket}");
        assert_eq!(request.signed_for, "eu-central-1/s3", "{bucket}");
    }
    let dotted = head(&storage("files.2024")).await;
    assert_eq!(dotted.url, "https://s3.eu-central-1.amazonaws.com/files.2024/in/a%20b", "no certificate has the host");
}

/// The host of the request for the head of an object, which `check` finds too.
async fn host(storage: &Storage) -> String {
    assert_eq!(check_bucket(storage), Ok(()), "{storage:?}");
    let request = head(storage).await;
    assert_eq!(request.signed_for, format!("{}/s3", storage.region), "{storage:?}");
    let (host, key) = request.url.strip_prefix("https://").unwrap().split_once('/').unwrap();
    assert!(key.ends_with("in/a%20b"), "{}", request.url);
    host.to_owned()
}

fn address(dual_stack: bool, fips: bool) -> BucketAddress {
    BucketAddress { dual_stack, fips, ..BucketAddress::default() }
}

#[tokio::test]
async fn dual_stack_and_fips_choose_the_host_of_s3() {
    for (region, plain, dual_stack, fips, both) in [
        (
            "us-east-1",
            "s3.us-east-1.amazonaws.com",
            "s3.dualstack.us-east-1.amazonaws.com",
            "s3-fips.us-east-1.amazonaws.com",
            "s3-fips.dualstack.us-east-1.amazonaws.com",
        ),
        (
            "us-gov-west-1",
            "s3.us-gov-west-1.amazonaws.com",
            "s3.dualstack.us-gov-west-1.amazonaws.com",
            "s3-fips.us-gov-west-1.amazonaws.com",
            "s3-fips.dualstack.us-gov-west-1.amazonaws.com",
        ),
        (
            "eusc-de-east-1",
            "s3.eusc-de-east-1.amazonaws.eu",
            "s3.dualstack.eusc-de-east-1.amazonaws.eu",
            "s3-fips.eusc-de-east-1.amazonaws.eu",
            "s3-fips.dualstack.eusc-de-east-1.amazonaws.eu",
        ),
    ] {
        let of = |bucket: &str, address| Storage { region: region.to_owned(), address, ..storage(bucket) };
        for (address, wanted) in [
            (address(false, false), plain),
            (address(true, false), dual_stack),
            (address(false, true), fips),
            (address(true, true), both),
        ] {
            for name in ["vendor", ALIAS] {
                assert_eq!(host(&of(name, address.clone())).await, format!("{name}.{wanted}"));
            }
            assert_eq!(host(&of("files.2024", address)).await, wanted);
        }
    }
}

#[tokio::test]
async fn china_has_dual_stack_and_no_fips() {
    let of = |address| Storage { region: "cn-north-1".to_owned(), address, ..storage("vendor") };
    assert_eq!(host(&of(address(false, false))).await, "vendor.s3.cn-north-1.amazonaws.com.cn");
    assert_eq!(host(&of(address(true, false))).await, "vendor.s3.dualstack.cn-north-1.amazonaws.com.cn");
    assert!(check_bucket(&of(address(false, true))).is_err());
}

#[tokio::test]
async fn dual_stack_and_fips_choose_the_host_of_an_access_point() {
    for (address, wanted) in [
        (address(true, false), "s3-accesspoint.dualstack"),
        (address(false, true), "s3-accesspoint-fips"),
        (address(true, true), "s3-accesspoint-fips.dualstack"),
    ] {
        let storage = Storage { address, ..storage(ARN) };
        assert_eq!(host(&storage).await, format!("acme-111122223333.{wanted}.eu-central-1.amazonaws.com"));
    }
}

#[tokio::test]
async fn an_interface_endpoint_has_the_bucket_in_front() {
    let endpoint = |kind: &str| format!("https://{kind}.vpce-0123-abcd.s3.eu-central-1.vpce.amazonaws.com");
    let at = |bucket: &str, kind| Storage { endpoint: Some(endpoint(kind)), ..storage(bucket) };
    let vpce = "vpce-0123-abcd.s3.eu-central-1.vpce.amazonaws.com";
    for (bucket, kind, wanted) in [
        ("vendor", "bucket", format!("vendor.bucket.{vpce}")),
        (ALIAS, "bucket", format!("{ALIAS}.bucket.{vpce}")),
        (ARN, "accesspoint", format!("acme-111122223333.accesspoint.{vpce}")),
    ] {
        assert_eq!(host(&at(bucket, kind)).await, wanted);
    }
    let by_path = Storage { path_style: true, ..at("vendor", "bucket") };
    assert_eq!(head(&by_path).await.url, format!("https://bucket.{vpce}/vendor/in/a%20b"));
}

/// The request for a role: its host, and the scope of its signature.
async fn assume(storage: &Storage, sts_endpoint: Option<&str>) -> (String, String) {
    let role = Role {
        arn: "arn:aws:iam::111122223333:role/acme".parse().unwrap(),
        external_id: "wh-4b6f".parse().unwrap(),
        sts_endpoint: sts_endpoint.map(str::to_owned),
        session_tags: false,
        source_identity: false,
        accept_without_external_id: false,
        via: None,
    };
    let recorder = HttpRecorder::default();
    let clients = Clients::through(SharedHttpClient::new(recorder.clone()));
    let sts = clients.sts(&RetryQuotas::default(), &role, storage, identity());
    sts.assume_role().role_arn(role.arn.as_str()).role_session_name("acme").send().await.unwrap_err();
    let request = recorder.only_request();
    (request.url, request.signed_for)
}

#[tokio::test]
async fn dual_stack_and_fips_choose_the_host_of_sts_too() {
    for (region, dual_stack, fips, wanted) in [
        ("us-east-1", false, false, "sts.us-east-1.amazonaws.com"),
        ("us-east-1", true, false, "sts.us-east-1.api.aws"),
        ("us-east-1", false, true, "sts-fips.us-east-1.amazonaws.com"),
        ("us-east-1", true, true, "sts-fips.us-east-1.api.aws"),
        ("us-gov-west-1", false, true, "sts.us-gov-west-1.amazonaws.com"),
        ("cn-north-1", false, false, "sts.cn-north-1.amazonaws.com.cn"),
    ] {
        let storage = Storage { region: region.to_owned(), address: address(dual_stack, fips), ..storage("vendor") };
        assert_eq!(assume(&storage, None).await, (format!("https://{wanted}/"), format!("{region}/sts")));
    }
    let vpce = "https://vpce-0123-abcd.sts.eu-central-1.vpce.amazonaws.com";
    let (url, signed_for) = assume(&storage("vendor"), Some(vpce)).await;
    assert_eq!((url, signed_for.as_str()), (format!("{vpce}/"), "eu-central-1/sts"));
}

#[tokio::test]
async fn a_copy_names_its_source_as_the_requests_name_the_bucket() {
    let known = BucketAddress { access_point_arn: Some(ARN.to_owned()), ..BucketAddress::default() };
    let pin = Pin { etag: ETag("\"e\"".to_owned()), version: None };
    for (storage, source) in [
        (storage("vendor"), "vendor/in/a%20b"),
        (Storage { address: known, ..storage(ALIAS) }, "acme-1a2b3c4d-s3alias/in/a%20b"),
        (storage(ARN), "arn%3Aaws%3As3%3Aeu-central-1%3A111122223333%3Aaccesspoint/acme/object/in/a%20b"),
    ] {
        let (bucket, recorder) = bucket(&storage);
        bucket.copy(&key(), &pin, &key(), None, Condition::Always).await.unwrap_err();
        assert_eq!(recorder.only_request().copy_source.as_deref(), Some(source), "{}", storage.bucket);
    }
}
