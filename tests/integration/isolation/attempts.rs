//! Requests that a client may try on a key with another tenant's credentials.

use super::Site;
use aws_sdk_s3::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    types::{CompletedMultipartUpload, CompletedPart, Delete, ObjectIdentifier},
};

/// Result of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// The store performed the request.
    Done,
    /// 403, AccessDenied.
    Denied,
}
use AttemptOutcome::{Denied, Done};

/// A request to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    Head,
    Get,
    Put,
    Delete,
    DeleteMany,
    CopyFrom,
    CopyTo,
    BeginUpload,
    UploadPart,
    ListParts,
    CompleteUpload,
    AbortUpload,
    ListUploads,
    List,
}
use Attempt as A;

impl Attempt {
    /// All requests about one key.
    pub const ALL: [Self; 14] = [
        A::Head,
        A::Get,
        A::Put,
        A::Delete,
        A::DeleteMany,
        A::CopyFrom,
        A::CopyTo,
        A::BeginUpload,
        A::UploadPart,
        A::ListParts,
        A::CompleteUpload,
        A::AbortUpload,
        A::ListUploads,
        A::List,
    ];

    /// Its name in S3's API.
    pub const fn operation(self) -> &'static str {
        match self {
            A::Head => "HeadObject",
            A::Get => "GetObject",
            A::Put => "PutObject",
            A::Delete => "DeleteObject",
            A::DeleteMany => "DeleteObjects",
            A::CopyFrom => "CopyObject from there",
            A::CopyTo => "CopyObject to there",
            A::BeginUpload => "CreateMultipartUpload",
            A::UploadPart => "UploadPart",
            A::ListParts => "ListParts",
            A::CompleteUpload => "CompleteMultipartUpload",
            A::AbortUpload => "AbortMultipartUpload",
            A::ListUploads => "ListMultipartUploads",
            A::List => "ListObjectsV2",
        }
    }

    /// Tries the request as `client` on `key`, which exists. The administrator prepares uploads that the request needs.
    /// A PUT writes the word `forged`.
    pub async fn on(self, site: &Site, client: &Client, bucket: &str, key: &str) -> AttemptOutcome {
        let own = format!("{}own", site.prefix);
        match self {
            A::Head => outcome(client.head_object().bucket(bucket).key(key).send().await),
            A::Get => outcome(client.get_object().bucket(bucket).key(key).send().await),
            A::Put => outcome(client.put_object().bucket(bucket).key(key).body(forged()).send().await),
            A::Delete => outcome(client.delete_object().bucket(bucket).key(key).send().await),
            A::DeleteMany => delete_many(client, bucket, key).await,
            A::CopyFrom => {
                let copy = client.copy_object().bucket(&site.bucket).key(format!("{}stolen", site.prefix));
                outcome(copy.copy_source(copy_source(bucket, key)).send().await)
            }
            A::CopyTo => {
                site.put(&site.bucket, &own, "forged").await;
                let copy = client.copy_object().bucket(bucket).key(key);
                outcome(copy.copy_source(copy_source(&site.bucket, &own)).send().await)
            }
            A::BeginUpload => outcome(client.create_multipart_upload().bucket(bucket).key(key).send().await),
            A::UploadPart => {
                let upload = begin(site, bucket, key).await;
                let part = client.upload_part().bucket(bucket).key(key).upload_id(&upload).part_number(1);
                let done = outcome(part.body(forged()).send().await);
                abort(site, bucket, key, upload).await;
                done
            }
            A::ListParts => {
                let upload = begin(site, bucket, key).await;
                let done = outcome(client.list_parts().bucket(bucket).key(key).upload_id(&upload).send().await);
                abort(site, bucket, key, upload).await;
                done
            }
            A::CompleteUpload => {
                let upload = begin(site, bucket, key).await;
                let part = site.admin(bucket).upload_part().bucket(bucket).key(key).upload_id(&upload).part_number(1);
                let etag = part.body(forged()).send().await.unwrap().e_tag.unwrap();
                let part = CompletedPart::builder().part_number(1).e_tag(etag).build();
                let complete = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(&upload);
                let parts = CompletedMultipartUpload::builder().parts(part).build();
                let done = outcome(complete.multipart_upload(parts).send().await);
                if done == Denied {
                    abort(site, bucket, key, upload).await;
                }
                done
            }
            A::AbortUpload => {
                let upload = begin(site, bucket, key).await;
                let done =
                    outcome(client.abort_multipart_upload().bucket(bucket).key(key).upload_id(&upload).send().await);
                if done == Denied {
                    abort(site, bucket, key, upload).await;
                }
                done
            }
            A::ListUploads => outcome(client.list_multipart_uploads().bucket(bucket).prefix(key).send().await),
            A::List => outcome(client.list_objects_v2().bucket(bucket).prefix(key).send().await),
        }
    }
}

/// The source of a copy, in the form for a bucket or for an access point.
fn copy_source(bucket: &str, key: &str) -> String {
    if bucket.starts_with("arn:") { format!("{bucket}/object/{key}") } else { format!("{bucket}/{key}") }
}

async fn begin(site: &Site, bucket: &str, key: &str) -> String {
    let begun = site.admin(bucket).create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
    begun.upload_id.unwrap()
}

/// Aborts an upload with full access.
async fn abort(site: &Site, bucket: &str, key: &str, upload: String) {
    let abort = site.admin(bucket).abort_multipart_upload().bucket(bucket).key(key).upload_id(upload);
    abort.send().await.unwrap();
}

async fn delete_many(client: &Client, bucket: &str, key: &str) -> AttemptOutcome {
    let keys = Delete::builder().objects(ObjectIdentifier::builder().key(key).build().unwrap()).build().unwrap();
    match client.delete_objects().bucket(bucket).delete(keys).send().await {
        Ok(answer) => match answer.errors() {
            [] => Done,
            [error] => {
                assert_eq!(error.code(), Some("AccessDenied"), "{error:?}");
                Denied
            }
            errors => panic!("{errors:?}"),
        },
        refused => outcome(refused),
    }
}

fn forged() -> aws_sdk_s3::primitives::ByteStream {
    aws_sdk_s3::primitives::ByteStream::from_static(b"forged")
}

/// Classifies the answer. Anything but success and 403 is a defect of the test or of the store, and panics.
pub fn outcome<T, E: ProvideErrorMetadata + std::fmt::Debug>(
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> AttemptOutcome {
    match answer {
        Ok(_) => Done,
        Err(SdkError::ServiceError(refusal)) if refusal.raw().status().as_u16() == 403 => {
            let code = refusal.err().code();
            assert!(code.is_none_or(|code| code == "AccessDenied"), "{refusal:?}");
            Denied
        }
        Err(other) => panic!("{other:?}"),
    }
}
