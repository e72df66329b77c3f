//! The ways to address a bucket, on the wire: the line, the headers and the scope of the signature.

use crate::support::{
    scope,
    wire::{RecordedRequest, Wire, answer},
};
use wharfinger::{
    account::{BucketAddress, Storage},
    name::{Key, Prefix},
    store::{Condition, ETag, NewObject, Payload, Pin},
};

const ARN: &str = "arn:aws:s3:eu-central-1:111122223333:accesspoint/acme";
const ALIAS: &str = "acme-1a2b3c4d-s3alias";

#[tokio::test]
async fn an_alias_with_an_arn_is_addressed_by_the_alias() {
    let stored = || answer(200, &[("etag", "\"e\"")], "");
    let copied = answer(200, &[], "<CopyObjectResult><ETag>\"e\"</ETag></CopyObjectResult>");
    let wire = Wire::answering([stored(), copied]).await;
    let address = BucketAddress { access_point_arn: Some(ARN.to_owned()), ..BucketAddress::default() };
    let bucket = scope::bucket(Storage { address, ..at(&wire, ALIAS) }, "").await;
    let payload = Payload { pieces: Vec::new(), crc64: 0 };
    bucket.put(&key(), payload, &NewObject::default(), Condition::Always).await.unwrap();
    let pin = Pin { etag: ETag("\"e\"".to_owned()), version: None };
    bucket.copy(&key(), &pin, &key(), None, Condition::Always).await.unwrap();
    let [put, copy] = &wire.asked()[..] else { panic!("two requests") };
    assert_eq!(put.line, format!("PUT /{ALIAS}/in/a%20b?x-id=PutObject"));
    assert_eq!(copy.line, format!("PUT /{ALIAS}/in/a%20b?x-id=CopyObject"));
    assert_eq!(copy.header("x-amz-copy-source"), Some("acme-1a2b3c4d-s3alias/in/a%20b"));
    for request in [put, copy] {
        assert_eq!(signed_for(request), "eu-central-1/s3");
        assert!(request.headers.values().all(|value| !value.contains("accesspoint")), "{request:?}");
    }
}

fn at(wire: &Wire, bucket: &str) -> Storage {
    let region = "eu-central-1".to_owned();
    Storage { region, ..scope::storage(bucket, &wire.endpoint(), "AKIDEXAMPLE", "secret") }
}

fn key() -> Key {
    Prefix::parse("in/").unwrap().key("a b").unwrap()
}

/// Region and service in the scope of the signature.
fn signed_for(request: &RecordedRequest) -> String {
    let scope: Vec<_> = request.headers["authorization"].split('/').collect();
    scope[2..4].join("/")
}
