//! The requests of real clients for each way to address a bucket: host, line and signature. Nothing is sent.

use super::*;
use crate::{
    account::BucketAddress,
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

#[tokio::test]
async fn a_copy_names_its_source_as_the_requests_name_the_bucket() {
    let known = BucketAddress { access_point_arn: Some(ARN.to_owned()) };
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
