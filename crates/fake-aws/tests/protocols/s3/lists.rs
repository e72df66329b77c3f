//! Listings: sorted by bytes, in pages, with directories rolled up.

use super::{BUCKET, S3Site, answer, in_memory_and_in_a_directory, is, refusal};
use aws_sdk_s3::{error::ProvideErrorMetadata, types::EncodingType};

in_memory_and_in_a_directory! {
    async fn a_directory_is_listed_in_pages(site: &S3Site) {
        let keys = ["d-x", "d.txt", "d/", "d/1", "d/2", "d/sub/3", "k", "k/b", "z", "é"];
        for key in keys {
            site.put(key, "x").await;
        }
        let mut seen = Vec::new();
        let mut token = None;
        loop {
            let list = site.client.list_objects_v2().bucket(BUCKET).delimiter("/").max_keys(2);
            let page = list.set_continuation_token(token).send().await.unwrap();
            assert_eq!(page.key_count(), Some(i32::try_from(page.contents().len() + page.common_prefixes().len()).unwrap()));
            seen.extend(page.contents().iter().map(|object| object.key().unwrap().to_owned()));
            seen.extend(page.common_prefixes().iter().map(|common| common.prefix().unwrap().to_owned()));
            assert_eq!(page.is_truncated(), Some(page.next_continuation_token().is_some()));
            token = page.next_continuation_token;
            if token.is_none() {
                break;
            }
        }
        seen.sort_unstable();
        assert_eq!(seen, ["d-x", "d.txt", "d/", "k", "k/", "z", "é"]);

        let below = site.client.list_objects_v2().bucket(BUCKET).prefix("d/").delimiter("/").send().await.unwrap();
        assert_eq!(below.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["d/", "d/1", "d/2"]);
        assert_eq!(below.common_prefixes()[0].prefix(), Some("d/sub/"));
        let after = site.client.list_objects_v2().bucket(BUCKET).start_after("k").send().await.unwrap();
        assert_eq!(after.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["k/b", "z", "é"]);
        let v1 = site.client.list_objects().bucket(BUCKET).delimiter("/").max_keys(3).send().await.unwrap();
        assert_eq!(v1.next_marker(), Some("d/"));
        let v1 = site.client.list_objects().bucket(BUCKET).delimiter("/").marker("d/").send().await.unwrap();
        assert_eq!(v1.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), ["k", "z", "é"]);
    }
}

#[tokio::test]
async fn names_are_encoded_if_the_client_asks() {
    let site = S3Site::in_memory().await;
    site.put("a b+ü\u{1}/%", "x").await;
    let list = site.client.list_objects_v2().bucket(BUCKET).prefix("a b").encoding_type(EncodingType::Url);
    let list = list.send().await.unwrap();
    assert_eq!(list.contents()[0].key(), Some("a%20b%2B%C3%BC%01/%25"));
    assert_eq!(list.prefix(), Some("a%20b"));
}

#[tokio::test]
async fn a_page_has_a_thousand_entries_at_most() {
    let site = S3Site::in_memory().await;
    for number in 0..1001 {
        site.put(&format!("{number:04}"), "").await;
    }
    let list = site.client.list_objects_v2().bucket(BUCKET).max_keys(5000).send().await.unwrap();
    assert_eq!((list.contents().len(), list.max_keys()), (1000, Some(1000)));
    let none = site.client.list_objects_v2().bucket(BUCKET).max_keys(0).send().await.unwrap();
    assert_eq!((none.contents().len(), none.is_truncated()), (0, Some(false)));
    let wrong = site.client.list_objects_v2().bucket(BUCKET).continuation_token("%%").send().await;
    assert_eq!(refusal(wrong), is("InvalidArgument", 400));
}

#[tokio::test]
async fn buckets_are_those_of_the_settings() {
    let site = S3Site::in_memory().await;
    let list = site.client.list_buckets().send().await.unwrap();
    assert_eq!(list.buckets().iter().map(|bucket| bucket.name().unwrap()).collect::<Vec<_>>(), [BUCKET]);
    site.client.head_bucket().bucket(BUCKET).send().await.unwrap();
    site.client.get_bucket_location().bucket(BUCKET).send().await.unwrap();
    let again = site.client.create_bucket().bucket(BUCKET).send().await;
    assert_eq!(refusal(again), is("BucketAlreadyOwnedByYou", 409));
    assert_eq!(refusal(site.client.create_bucket().bucket("other").send().await), is("AccessDenied", 403));
    assert_eq!(refusal(site.client.head_bucket().bucket("other").send().await).1, 404);
    let other = site.client.list_objects_v2().bucket("other").send().await;
    assert_eq!(refusal(other), is("NoSuchBucket", 404));
    let other = site.client.put_object().bucket("other").key("a").send().await;
    assert_eq!(refusal(other), is("NoSuchBucket", 404));
}

#[tokio::test]
async fn operations_that_it_lacks_are_refused_by_name() {
    let site = S3Site::in_memory().await;
    let not_here = |operation: &str| (is("NotImplemented", 501), format!("{operation} is not implemented here"));
    let put = site.client.put_bucket_policy().bucket(BUCKET).policy("{}").send().await.unwrap_err();
    let sentence = put.message().unwrap_or_default().to_owned();
    assert_eq!((refusal(Err::<(), _>(put)), sentence), not_here("PutBucketPolicy"));
    let read = site.client.get_bucket_lifecycle_configuration().bucket(BUCKET).send().await.unwrap_err();
    let sentence = read.message().unwrap_or_default().to_owned();
    assert_eq!((refusal(Err::<(), _>(read)), sentence), not_here("GetBucketLifecycleConfiguration"));
    let unsigned = answer(&site.s3, &format!("GET /{BUCKET}?policy")).await;
    assert!(unsigned.starts_with("HTTP/1.1 403 "), "{unsigned}");
}
