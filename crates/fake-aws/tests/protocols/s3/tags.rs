//! Tags of objects: they belong to an object like its metadata, but they can change without a write.

use super::{BUCKET, S3Site, in_memory_and_in_a_directory, is, refusal};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart, Tag, Tagging, TaggingDirective},
};
use std::fs;

fn tagging(tags: &[(&str, &str)]) -> Tagging {
    let tags = tags.iter().map(|(key, value)| Tag::builder().key(*key).value(*value).build().unwrap());
    Tagging::builder().set_tag_set(Some(tags.collect())).build().unwrap()
}

async fn tags(site: &S3Site, key: &str) -> Vec<(String, String)> {
    let tags = site.client.get_object_tagging().bucket(BUCKET).key(key).send().await.unwrap().tag_set;
    tags.into_iter().map(|tag| (tag.key, tag.value)).collect()
}

fn pairs(tags: &[(&str, &str)]) -> Vec<(String, String)> {
    tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

async fn put_tagged(site: &S3Site, key: &str, tags: &str) {
    let put = site.client.put_object().bucket(BUCKET).key(key).tagging(tags);
    put.body(ByteStream::from_static(b"bytes")).send().await.unwrap();
}

in_memory_and_in_a_directory! {
    async fn tags_come_with_the_object_or_later_and_leave_the_rest_alone(site: &S3Site) {
        put_tagged(site, "a", "team=r%C3%B6d&empty=").await;
        assert_eq!(tags(site, "a").await, pairs(&[("empty", ""), ("team", "röd")]));
        let before = site.client.head_object().bucket(BUCKET).key("a").send().await.unwrap();
        assert_eq!(before.tag_count, Some(2));
        let put = site.client.put_object_tagging().bucket(BUCKET).key("a").tagging(tagging(&[("one", "1")]));
        put.send().await.unwrap();
        assert_eq!(tags(site, "a").await, pairs(&[("one", "1")]));
        let get = site.client.get_object().bucket(BUCKET).key("a").send().await.unwrap();
        assert_eq!((get.tag_count, get.e_tag, get.last_modified), (Some(1), before.e_tag, before.last_modified));
        assert_eq!(site.read("a").await, "bytes");
        site.client.delete_object_tagging().bucket(BUCKET).key("a").send().await.unwrap();
        assert_eq!(tags(site, "a").await, []);
        assert_eq!(site.client.head_object().bucket(BUCKET).key("a").send().await.unwrap().tag_count, None);
        put_tagged(site, "a", "x=y").await;
        site.put("a", "new").await;
        assert_eq!(tags(site, "a").await, [], "a write replaces the tags too");
        let missing = site.client.get_object_tagging().bucket(BUCKET).key("b").send().await;
        assert_eq!(refusal(missing), is("NoSuchKey", 404));
    }

    async fn a_copy_has_the_tags_of_its_source_or_its_own(site: &S3Site) {
        put_tagged(site, "a", "x=y").await;
        let copy = |key: &str| site.client.copy_object().bucket(BUCKET).key(key).copy_source(format!("{BUCKET}/a"));
        copy("default").send().await.unwrap();
        copy("copied").tagging_directive(TaggingDirective::Copy).send().await.unwrap();
        copy("own").tagging_directive(TaggingDirective::Replace).tagging("z=1").send().await.unwrap();
        copy("none").tagging_directive(TaggingDirective::Replace).send().await.unwrap();
        assert_eq!(tags(site, "default").await, pairs(&[("x", "y")]));
        assert_eq!(tags(site, "copied").await, pairs(&[("x", "y")]));
        assert_eq!(tags(site, "own").await, pairs(&[("z", "1")]));
        assert_eq!(tags(site, "none").await, []);
        assert_eq!(refusal(copy("odd").tagging("z=1").send().await), is("NotImplemented", 501));
    }

    async fn an_upload_has_the_tags_of_its_creation(site: &S3Site) {
        let create = site.client.create_multipart_upload().bucket(BUCKET).key("big").tagging("x=y").send();
        let id = create.await.unwrap().upload_id.unwrap();
        let part = site.client.upload_part().bucket(BUCKET).key("big").upload_id(&id).part_number(1);
        let part = part.body(ByteStream::from_static(b"x")).send().await.unwrap();
        let part = CompletedPart::builder().part_number(1).set_e_tag(part.e_tag).build();
        let parts = CompletedMultipartUpload::builder().parts(part).build();
        let complete = site.client.complete_multipart_upload().bucket(BUCKET).key("big").upload_id(id);
        complete.multipart_upload(parts).send().await.unwrap();
        assert_eq!(tags(site, "big").await, pairs(&[("x", "y")]));
    }

    async fn tags_beyond_the_limits_are_refused(site: &S3Site) {
        site.put("a", "x").await;
        let names: Vec<String> = (0..11).map(|number| format!("k{number}")).collect();
        let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "v")).collect();
        let put = |tags| site.client.put_object_tagging().bucket(BUCKET).key("a").tagging(tagging(tags)).send();
        put(&many[..10]).await.unwrap();
        assert_eq!(refusal(put(&many).await), is("BadRequest", 400));
        assert_eq!(refusal(put(&[("a", "1"), ("a", "2")]).await), is("InvalidTag", 400));
        assert_eq!(refusal(put(&[(&"k".repeat(129), "")]).await), is("InvalidTag", 400));
        assert_eq!(tags(site, "a").await.len(), 10);
        let twice = site.client.put_object().bucket(BUCKET).key("b").tagging("a=1&a=2").send().await;
        assert_eq!(refusal(twice), is("InvalidArgument", 400));
    }
}

#[tokio::test]
async fn tags_outlive_the_process_and_a_record_without_them_is_read() {
    let directory = tempfile::tempdir().unwrap();
    let site = S3Site::in_directory(directory.path()).await;
    put_tagged(&site, "a", "x=y").await;
    let retag = site.client.put_object_tagging().bucket(BUCKET).key("a").tagging(tagging(&[("z", "1")]));
    retag.send().await.unwrap();
    site.put("plain", "x").await;
    site.s3.stop().await;
    let records = fs::read_dir(directory.path().join("objects").join(BUCKET)).unwrap();
    let texts: Vec<String> = records.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    let tagged = texts.iter().filter(|text| text.contains("tags")).count();
    assert_eq!((texts.len(), tagged), (2, 1), "a record without tags is one of earlier versions");
    let site = S3Site::in_directory(directory.path()).await;
    assert_eq!(tags(&site, "a").await, pairs(&[("z", "1")]));
    assert_eq!(site.read("a").await, "bytes");
    assert_eq!(tags(&site, "plain").await, []);
    site.s3.stop().await;
}
