//! Multipart uploads: S3's rules for parts, and an object only after completion.

use super::{BUCKET, S3Site, in_memory_and_in_a_directory, is, pattern, refusal};
use aws_sdk_s3::{
    primitives::ByteStream,
    types::{ChecksumAlgorithm, ChecksumType, CompletedMultipartUpload, CompletedPart},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;

const MIN: usize = 5 << 20;

/// An upload to the key `big`.
struct BigUpload<'a> {
    site: &'a S3Site,
    id: String,
}

impl<'a> BigUpload<'a> {
    async fn begin(site: &'a S3Site, algorithm: Option<ChecksumAlgorithm>) -> Self {
        let create = site.client.create_multipart_upload().bucket(BUCKET).key("big").metadata("mtime", "7");
        let create = create.set_checksum_algorithm(algorithm).send().await.unwrap();
        Self { site, id: create.upload_id.unwrap() }
    }

    async fn part(&self, number: i32, body: Bytes) -> CompletedPart {
        let part = self.site.client.upload_part().bucket(BUCKET).key("big").upload_id(&self.id).part_number(number);
        let part = part.body(ByteStream::from(body)).send().await.unwrap();
        CompletedPart::builder().part_number(number).set_e_tag(part.e_tag).build()
    }

    fn complete(
        &self,
        parts: &[CompletedPart],
    ) -> aws_sdk_s3::operation::complete_multipart_upload::builders::CompleteMultipartUploadFluentBuilder {
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts.to_vec())).build();
        self.site
            .client
            .complete_multipart_upload()
            .bucket(BUCKET)
            .key("big")
            .upload_id(&self.id)
            .multipart_upload(parts)
    }
}

fn crc64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(crc_fast::checksum(crc_fast::CrcAlgorithm::Crc64Nvme, bytes).to_be_bytes())
}

in_memory_and_in_a_directory! {
    async fn the_parts_make_the_object_and_nothing_is_visible_before(site: &S3Site) {
        let body = pattern(2 * MIN + 3);
        let upload = BigUpload::begin(site, Some(ChecksumAlgorithm::Crc64Nvme)).await;
        // Out of order, and part 1 twice: the later one counts.
        let third = upload.part(3, body.slice(2 * MIN..)).await;
        upload.part(1, pattern(9)).await;
        let first = upload.part(1, body.slice(..MIN)).await;
        let second = upload.part(2, body.slice(MIN..2 * MIN)).await;
        assert_eq!(refusal(site.client.head_object().bucket(BUCKET).key("big").send().await).1, 404);
        let parts = [first, second, third];
        let complete = || upload.complete(&parts).checksum_type(ChecksumType::FullObject);
        assert_eq!(refusal(complete().checksum_crc64_nvme("AAAAAAAAAAA=").send().await), is("BadDigest", 400));
        assert_eq!(refusal(complete().mpu_object_size(1).send().await), is("InvalidRequest", 400));
        let size = i64::try_from(body.len()).unwrap();
        let done = complete().checksum_crc64_nvme(crc64(&body)).mpu_object_size(size).send().await.unwrap();
        assert!(done.e_tag().unwrap().ends_with("-3\""));
        let head = site.client.head_object().bucket(BUCKET).key("big").send().await.unwrap();
        assert_eq!((head.e_tag(), head.metadata().unwrap()["mtime"].as_str()), (done.e_tag(), "7"));
        assert_eq!(site.read("big").await, body);
        let across = site.client.get_object().bucket(BUCKET).key("big").range(format!("bytes={}-{}", MIN - 2, 2 * MIN + 1));
        assert_eq!(super::bytes(across.send().await.unwrap()).await, body.slice(MIN - 2..2 * MIN + 2));
        assert_eq!(refusal(complete().send().await), is("NoSuchUpload", 404));
    }

    async fn a_wrong_list_of_parts_is_refused_and_the_upload_stays(site: &S3Site) {
        let upload = BigUpload::begin(site, None).await;
        let small = upload.part(1, pattern(MIN - 1)).await;
        let large = upload.part(2, pattern(MIN)).await;
        let last = upload.part(4, pattern(1)).await;
        let unknown = CompletedPart::builder().part_number(3).set_e_tag(last.e_tag.clone()).build();
        let wrong = CompletedPart::builder().part_number(4).set_e_tag(large.e_tag.clone()).build();
        let refused = async |parts: &[&CompletedPart]| {
            let parts: Vec<_> = parts.iter().copied().cloned().collect();
            refusal(upload.complete(&parts).send().await)
        };
        assert_eq!(refused(&[&small, &large]).await, is("EntityTooSmall", 400));
        assert_eq!(refused(&[&last, &large]).await, is("InvalidPartOrder", 400));
        assert_eq!(refused(&[&large, &large]).await, is("InvalidPartOrder", 400));
        assert_eq!(refused(&[&large, &unknown]).await, is("InvalidPart", 400));
        assert_eq!(refused(&[&large, &wrong]).await, is("InvalidPart", 400));
        assert_eq!(refused(&[]).await, is("MalformedXML", 400));
        upload.complete(&[large, last]).send().await.unwrap();
        assert_eq!(site.read("big").await.len(), MIN + 1);
    }

    async fn parts_with_checksums_are_numbered_without_gaps(site: &S3Site) {
        let upload = BigUpload::begin(site, Some(ChecksumAlgorithm::Crc64Nvme)).await;
        let parts = [upload.part(1, pattern(MIN)).await, upload.part(3, pattern(1)).await];
        assert_eq!(refusal(upload.complete(&parts).send().await), is("InvalidPartOrder", 400));
    }

    async fn an_upload_can_be_conditional(site: &S3Site) {
        let upload = BigUpload::begin(site, None).await;
        let parts = [upload.part(1, pattern(1)).await];
        site.put("big", "there").await;
        assert_eq!(refusal(upload.complete(&parts).if_none_match("*").send().await), is("PreconditionFailed", 412));
        assert_eq!(site.read("big").await, "there");
        site.client.delete_object().bucket(BUCKET).key("big").send().await.unwrap();
        upload.complete(&parts).if_none_match("*").send().await.unwrap();
    }

    async fn an_aborted_upload_is_gone_with_its_parts(site: &S3Site) {
        let upload = BigUpload::begin(site, None).await;
        let other = BigUpload::begin(site, None).await;
        let parts = [upload.part(1, pattern(1)).await];
        let listed = site.client.list_parts().bucket(BUCKET).key("big").upload_id(&upload.id).send().await.unwrap();
        assert_eq!((listed.parts()[0].part_number(), listed.parts()[0].size()), (Some(1), Some(1)));
        let uploads = async || {
            let list = site.client.list_multipart_uploads().bucket(BUCKET).prefix("bi").send().await.unwrap();
            list.uploads().iter().map(|upload| upload.upload_id().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(uploads().await, [upload.id.clone(), other.id.clone()], "two uploads of one key can coexist");
        let abort = async || site.client.abort_multipart_upload().bucket(BUCKET).key("big").upload_id(&upload.id).send().await;
        abort().await.unwrap();
        assert_eq!(refusal(abort().await), is("NoSuchUpload", 404));
        assert_eq!(refusal(upload.complete(&parts).send().await), is("NoSuchUpload", 404));
        let part = site.client.upload_part().bucket(BUCKET).key("big").upload_id(&upload.id).part_number(1);
        assert_eq!(refusal(part.body(ByteStream::from(pattern(1))).send().await), is("NoSuchUpload", 404));
        assert_eq!(uploads().await, [other.id]);
    }
}
