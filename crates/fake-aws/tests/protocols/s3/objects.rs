//! Single objects: a read returns the bytes and attributes of the PUT, under whatever name.

use super::{BUCKET, S3Site, bytes, in_memory_and_in_a_directory, is, pattern, refusal};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumMode, Delete, MetadataDirective, ObjectIdentifier},
};

in_memory_and_in_a_directory! {
    async fn what_is_put_is_read_with_all_that_was_said_of_it(site: &S3Site) {
        let body = pattern(3 << 20);
        let put = site.client.put_object().bucket(BUCKET).key("in/a.bin").body(ByteStream::from(body.clone()));
        let put = put.content_type("text/x-odd").metadata("mtime", "1700000000").metadata("name", "é");
        let etag = put.send().await.unwrap().e_tag.unwrap();
        assert!(etag.contains('-'), "{etag} could be taken for an MD5");

        let head = site.client.head_object().bucket(BUCKET).key("in/a.bin").send().await.unwrap();
        assert_eq!((head.content_length, head.e_tag.as_deref()), (Some(3 << 20), Some(etag.as_str())));
        assert_eq!(head.content_type.as_deref(), Some("text/x-odd"));
        assert_eq!(head.metadata.as_ref().unwrap()["mtime"], "1700000000");
        assert_eq!(head.metadata.unwrap()["name"], "=?UTF-8?B?w6k=?=", "what ASCII can't say comes as RFC 2047");
        assert!(head.last_modified.unwrap().secs() > 1_700_000_000);

        let get = site.client.get_object().bucket(BUCKET).key("in/a.bin").checksum_mode(ChecksumMode::Enabled);
        let get = get.send().await.unwrap();
        assert!(get.checksum_crc64_nvme.is_some());
        assert_eq!((get.content_range.as_deref(), get.e_tag.as_deref()), (None, Some(etag.as_str())));
        assert_eq!(bytes(get).await, body);
    }

    async fn ranges_are_truncated_at_the_end_and_refused_behind_it(site: &S3Site) {
        let body = pattern((2 << 20) + 17);
        let size = body.len();
        site.put("a", body.clone()).await;
        site.put("empty", "").await;
        let read = async |key: &str, range: String| site.client.get_object().bucket(BUCKET).key(key).range(range).send().await;
        for (first, last) in [(0, 0), (1, 1 << 20), ((1 << 20) - 1, 1 << 20), (5, size - 1), (size - 1, size + 99)] {
            let get = read("a", format!("bytes={first}-{last}")).await.unwrap();
            let end = size.min(last + 1);
            assert_eq!(get.content_range.clone().unwrap(), format!("bytes {first}-{}/{size}", end - 1));
            assert_eq!(bytes(get).await, body.slice(first..end));
        }
        assert_eq!(bytes(read("a", "bytes=-7".to_owned()).await.unwrap()).await, body.slice(size - 7..));
        for (key, size) in [("a", size), ("empty", 0)] {
            let error = read(key, format!("bytes={size}-")).await.unwrap_err();
            let response = error.raw_response().unwrap();
            assert_eq!(response.status().as_u16(), 416);
            assert_eq!(response.headers().get("content-range"), Some(format!("bytes */{size}").as_str()));
        }
        assert_eq!(site.read("empty").await.len(), 0);
    }

    async fn odd_names_are_names_like_any_other(site: &S3Site) {
        let long = "l".repeat(1024);
        let odd = ["a b", "a?b", "a#b", "a%b", "a%2Fb", "a+b", r"a\b", "ü/漢字/🚢", "'\"<>&", "..", "a//b", "a/", "~!*()", &long];
        for key in odd {
            site.put(key, key.to_owned()).await;
        }
        for key in odd {
            assert_eq!(site.read(key).await, key.as_bytes(), "{key:?}");
            let source = format!("{BUCKET}/{}", percent_encoding::utf8_percent_encode(key, percent_encoding::NON_ALPHANUMERIC));
            site.client.copy_object().bucket(BUCKET).key("copy").copy_source(source).send().await.unwrap();
            assert_eq!(site.read("copy").await, key.as_bytes(), "{key:?}");
        }
        let list = site.client.list_objects_v2().bucket(BUCKET).send().await.unwrap();
        let mut expected: Vec<_> = odd.into_iter().chain(["copy"]).collect();
        expected.sort_unstable();
        assert_eq!(list.contents().iter().map(|object| object.key().unwrap()).collect::<Vec<_>>(), expected);
        let put = site.client.put_object().bucket(BUCKET).key("l".repeat(1025)).send().await;
        assert_eq!(refusal(put), is("KeyTooLongError", 400));
    }

    async fn a_copy_keeps_or_replaces_what_is_said_of_the_object(site: &S3Site) {
        let put = site.client.put_object().bucket(BUCKET).key("source").body(ByteStream::from_static(b"bytes"));
        put.metadata("mtime", "1").content_type("a/b").send().await.unwrap();
        let copy = |key: &str| site.client.copy_object().bucket(BUCKET).key(key).copy_source(format!("{BUCKET}/source"));

        copy("kept").send().await.unwrap();
        let replaced = copy("replaced").metadata_directive(MetadataDirective::Replace).metadata("mtime", "2");
        replaced.send().await.unwrap();
        let head = async |key: &str| site.client.head_object().bucket(BUCKET).key(key).send().await.unwrap();
        let kept = head("kept").await;
        assert_eq!((kept.content_type(), kept.metadata().unwrap()["mtime"].as_str()), (Some("a/b"), "1"));
        let replaced = head("replaced").await;
        assert_eq!(replaced.content_type(), Some("binary/octet-stream"));
        assert_eq!(replaced.metadata().unwrap()["mtime"], "2");

        assert_eq!(refusal(copy("source").send().await), is("InvalidRequest", 400));
        copy("source").metadata_directive(MetadataDirective::Replace).send().await.unwrap();
        site.client.delete_object().bucket(BUCKET).key("source").send().await.unwrap();
        assert_eq!(refusal(copy("none").send().await), is("NoSuchKey", 404));
        assert_eq!(site.read("kept").await, "bytes");
    }

    async fn what_is_deleted_is_gone_and_deleting_nothing_is_no_error(site: &S3Site) {
        for key in ["a", "b", "c"] {
            site.put(key, "x").await;
        }
        let delete = async |key: &str| site.client.delete_object().bucket(BUCKET).key(key).send().await;
        delete("a").await.unwrap();
        delete("a").await.unwrap();
        assert_eq!(refusal(site.client.head_object().bucket(BUCKET).key("a").send().await), is("NotFound", 404));
        let key = |key: &str, etag: Option<&str>| {
            ObjectIdentifier::builder().key(key).set_e_tag(etag.map(str::to_owned)).build().unwrap()
        };
        let objects = [key("b", None), key("c", Some("other")), key("nothing", None)];
        let deletes = Delete::builder().set_objects(Some(objects.into())).build().unwrap();
        let answer = site.client.delete_objects().bucket(BUCKET).delete(deletes).send().await.unwrap();
        assert_eq!(answer.deleted().len(), 2);
        assert_eq!(answer.errors()[0].code(), Some("PreconditionFailed"));
        assert_eq!(site.read("c").await, "x");
    }

    async fn a_read_continues_when_its_object_is_replaced_or_removed(site: &S3Site) {
        let body = pattern(8 << 20);
        for key in ["replaced", "removed"] {
            site.put(key, body.clone()).await;
        }
        let replaced = site.client.get_object().bucket(BUCKET).key("replaced").send().await.unwrap();
        let removed = site.client.get_object().bucket(BUCKET).key("removed").send().await.unwrap();
        site.put("replaced", "new").await;
        site.client.delete_object().bucket(BUCKET).key("removed").send().await.unwrap();
        assert_eq!(bytes(replaced).await, body);
        assert_eq!(bytes(removed).await, body);
        assert_eq!(site.read("replaced").await, "new");
    }
}
