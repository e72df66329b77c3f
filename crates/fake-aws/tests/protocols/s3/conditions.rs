//! Conditions and checksums: a request whose condition or checksum fails changes nothing.

use super::{BUCKET, S3Site, in_memory_and_in_a_directory, is, refusal};
use aws_sdk_s3::primitives::ByteStream;

in_memory_and_in_a_directory! {
    async fn writes_happen_only_if_their_conditions_hold(site: &S3Site) {
        let put = |key: &str| site.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from_static(b"second"));
        let etag = site.put("a", "first").await;
        assert_eq!(refusal(put("a").if_none_match("*").send().await), is("PreconditionFailed", 412));
        assert_eq!(refusal(put("a").if_match("\"other\"").send().await), is("PreconditionFailed", 412));
        assert_eq!(refusal(put("none").if_match(&etag).send().await), is("NoSuchKey", 404));
        assert_eq!(site.read("a").await, "first");
        put("a").if_match(&etag).send().await.unwrap();
        put("b").if_none_match("*").send().await.unwrap();
        assert_eq!(site.read("a").await, "second");
    }

    async fn reads_are_pinned(site: &S3Site) {
        let old = site.put("a", "first").await;
        let new = site.put("a", "first").await;
        assert_ne!(old, new, "each write has an ETag of its own");
        let get = || site.client.get_object().bucket(BUCKET).key("a").range("bytes=0-1");
        assert_eq!(refusal(get().if_match(&old).send().await), is("PreconditionFailed", 412));
        get().if_match(&new).send().await.unwrap();
        assert_eq!(refusal(get().if_none_match(&new).send().await).1, 304);
        let head = site.client.head_object().bucket(BUCKET).key("a").if_match(&old).send().await;
        assert_eq!(refusal(head).1, 412);
    }

    async fn copies_and_deletes_mean_one_version(site: &S3Site) {
        let old = site.put("a", "old").await;
        let new = site.put("a", "new").await;
        let copy = || site.client.copy_object().bucket(BUCKET).key("b").copy_source(format!("{BUCKET}/a"));
        assert_eq!(refusal(copy().copy_source_if_match(&old).send().await), is("PreconditionFailed", 412));
        copy().copy_source_if_match(&new).if_none_match("*").send().await.unwrap();
        assert_eq!(refusal(copy().if_none_match("*").send().await), is("PreconditionFailed", 412));

        let delete = || site.client.delete_object().bucket(BUCKET).key("a");
        assert_eq!(refusal(delete().if_match(&old).send().await), is("PreconditionFailed", 412));
        assert_eq!(site.read("a").await, "new");
        delete().if_match(&new).send().await.unwrap();
        delete().send().await.unwrap();
        for condition in ["*", &new] {
            assert_eq!(refusal(delete().if_match(condition).send().await), is("NoSuchKey", 404));
        }
        site.put("a", "newest").await;
        delete().if_match("*").send().await.unwrap();
        assert_eq!(refusal(site.client.head_object().bucket(BUCKET).key("a").send().await).1, 404);
    }

    async fn a_body_that_is_not_what_its_checksum_says_is_refused(site: &S3Site) {
        let put = || site.client.put_object().bucket(BUCKET).key("a").body(ByteStream::from_static(b"123456789"));
        let unsigned = put().checksum_crc64_nvme("AAAAAAAAAAA=").customize().disable_payload_signing();
        assert_eq!(refusal(unsigned.send().await), is("BadDigest", 400));
        assert_eq!(refusal(put().checksum_crc64_nvme("AAAA").send().await), is("InvalidRequest", 400));
        assert_eq!(refusal(put().checksum_sha256("A".repeat(43) + "=").send().await), is("BadDigest", 400));
        assert_eq!(refusal(put().content_md5("AAAAAAAAAAAAAAAAAAAAAA==").send().await), is("BadDigest", 400));
        assert_eq!(refusal(site.client.head_object().bucket(BUCKET).key("a").send().await).1, 404);
        let right = put().checksum_crc64_nvme("rosUhgp5mIg=").customize().disable_payload_signing();
        right.send().await.unwrap();
        assert_eq!(site.read("a").await, "123456789");
    }
}

#[tokio::test]
async fn trailing_checksums_are_checked_too() {
    let site = S3Site::in_memory().await;
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), vec![7; 3 << 20]).unwrap();
    // For a body from a file, the SDK sends aws-chunked with its CRC32 in the trailer.
    let body = ByteStream::from_path(file.path()).await.unwrap();
    site.client.put_object().bucket(BUCKET).key("a").body(body).send().await.unwrap();
    assert_eq!(site.read("a").await, vec![7; 3 << 20]);
}
