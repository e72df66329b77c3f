//! Conditions and checksums: a request whose condition or checksum fails changes nothing.

use super::{BUCKET, DemoS3, in_memory_and_in_a_directory, is, refusal};
use aws_sdk_s3::primitives::ByteStream;

in_memory_and_in_a_directory! {
    async fn writes_happen_only_if_their_conditions_hold(demo: &DemoS3) {
        let put = |key: &str| demo.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"second"));
        let etag = demo.put("a", "first").await;
        assert_eq!(refusal(put("a").if_none_match("*").send().await), is("PreconditionFailed", 412));
        assert_eq!(refusal(put("a").if_match("\"other\"").send().await), is("PreconditionFailed", 412));
        assert_eq!(refusal(put("none").if_match(&etag).send().await), is("NoSuchKey", 404));
        assert_eq!(demo.read("a").await, "first");
        put("a").if_match(&etag).send().await.unwrap();
        put("b").if_none_match("*").send().await.unwrap();
        assert_eq!(demo.read("a").await, "second");
    }

    async fn reads_are_pinned(demo: &DemoS3) {
        let old = demo.put("a", "first").await;
        let new = demo.put("a", "first").await;
        assert_ne!(old, new, "each write has an ETag of its own");
        let get = || demo.client.get_object().bucket(BUCKET).key("a").range("bytes=0-1");
        assert_eq!(refusal(get().if_match(&old).send().await), is("PreconditionFailed", 412));
        get().if_match(&new).send().await.unwrap();
        assert_eq!(refusal(get().if_none_match(&new).send().await).1, 304);
        let head = demo.client.head_object().bucket(BUCKET).key("a").if_match(&old).send().await;
        assert_eq!(refusal(head).1, 412);
    }

    async fn copies_and_deletes_mean_one_version(demo: &DemoS3) {
        let old = demo.put("a", "old").await;
        let new = demo.put("a", "new").await;
        let copy = || demo.client.copy_object().bucket(BUCKET).key("b").copy_source(format!("{BUCKET}/a"));
        assert_eq!(refusal(copy().copy_source_if_match(&old).send().await), is("PreconditionFailed", 412));
        copy().copy_source_if_match(&new).if_none_match("*").send().await.unwrap();
        assert_eq!(refusal(copy().if_none_match("*").send().await), is("PreconditionFailed", 412));

        let delete = || demo.client.delete_object().bucket(BUCKET).key("a");
        assert_eq!(refusal(delete().if_match(&old).send().await), is("PreconditionFailed", 412));
        assert_eq!(demo.read("a").await, "new");
        delete().if_match(&new).send().await.unwrap();
        delete().send().await.unwrap();
        for condition in ["*", &new] {
            assert_eq!(refusal(delete().if_match(condition).send().await), is("NoSuchKey", 404));
        }
        demo.put("a", "newest").await;
        delete().if_match("*").send().await.unwrap();
        assert_eq!(refusal(demo.client.head_object().bucket(BUCKET).key("a").send().await).1, 404);
    }

    async fn a_body_that_is_not_what_its_checksum_says_is_refused(demo: &DemoS3) {
        let put = || demo.client.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"123456789"));
        let unsigned = put().checksum_crc64_nvme("AAAAAAAAAAA=").customize().disable_payload_signing();
        assert_eq!(refusal(unsigned.send().await), is("BadDigest", 400));
        assert_eq!(refusal(put().checksum_crc64_nvme("AAAA").send().await), is("InvalidRequest", 400));
        assert_eq!(refusal(put().checksum_sha256("A".repeat(43) + "=").send().await), is("BadDigest", 400));
        assert_eq!(refusal(put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await), is("BadDigest", 400));
        assert_eq!(refusal(demo.client.head_object().bucket(BUCKET).key("a").send().await).1, 404);
        let right = put().checksum_crc64_nvme("rosUhgp5mIg=").customize().disable_payload_signing();
        right.send().await.unwrap();
        assert_eq!(demo.read("a").await, "123456789");
    }
}

#[tokio::test]
async fn trailing_checksums_are_checked_too() {
    let demo = DemoS3::in_memory().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 3 << 20]).unwrap();
    // For a body from a file, the SDK sends aws-chunked with its CRC32 in the trailer.
    let body = ByteStream::from_path(file.path()).await.unwrap();
    demo.client.put_object().bucket(BUCKET).key("a").body(body).send().await.unwrap();
    assert_eq!(demo.read("a").await, vec![7; 3 << 20]);
}
