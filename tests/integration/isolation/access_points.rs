//! The server's own requests in a session through an access point, which the demo's IAM judges by the access point's ARN.

use super::{
    Site,
    site::{ACCOUNT, PointAddress},
};
use bytes::Bytes;
use crc_fast::CrcAlgorithm::Crc64Nvme;
use wharfinger::{
    account::{ObjectSettings, Permissions},
    name::Prefix,
    store::{Condition, ListScope, NewObject, Payload, Pin},
};

fn payload() -> Payload {
    Payload { pieces: vec![Bytes::from_static(b"goods")], crc64: crc_fast::checksum(Crc64Nvme, b"goods") }
}

#[tokio::test]
async fn the_server_does_everything_through_an_alias() {
    let site = Site::demo("server").await.with_access_point(PointAddress::Alias).await;
    let role = format!("arn:aws:iam::{ACCOUNT}:role/tenants");
    let bucket = site.bucket_through(&role, ObjectSettings::default(), Permissions::ALL).await;
    let below = Prefix::parse(&site.prefix).unwrap();
    let [put, copy, upload] = ["put", "copy", "upload"].map(|name| below.key(name).unwrap());
    let object = NewObject::default();
    bucket.put(&put, payload(), &object, Condition::Always).await.unwrap();
    let pin = |etag| Pin { etag, version: None };
    let source = pin(bucket.head(&put).await.unwrap().pin.etag);
    bucket.copy(&put, &source, &copy, None, Condition::Always).await.unwrap();
    let id = bucket.create_upload(&upload, &object).await.unwrap();
    let part = bucket.upload_part(&upload, &id, 1, payload()).await.unwrap();
    assert!(bucket.list_parts(&upload, &id, 0).await.is_ok());
    bucket.complete_upload(&upload, &id, &[part], Condition::Always).await.unwrap();
    let listed = bucket.list(ListScope::Below(&below), None, 10).await.unwrap();
    // Beside them is the object behind the two other names of the bucket.
    assert_eq!(listed.objects.len(), 4);
    let mut pins = Vec::new();
    for key in [put, copy, upload] {
        assert_eq!(site.content("vendor", key.as_str()).await.as_deref(), Some("goods"), "{key:?}");
        let etag = bucket.head(&key).await.unwrap().pin.etag;
        pins.push((key, pin(etag)));
    }
    assert!(bucket.remove_many(&pins).await.unwrap().iter().all(Result::is_ok));
    assert_eq!(bucket.list(ListScope::Below(&below), None, 10).await.unwrap().objects.len(), 1);
    let outside = Prefix::parse("server/").unwrap().key("secret").unwrap();
    assert!(bucket.head(&outside).await.is_err());
}
