//! S3's operations. Each delegates to the file of its kind. Operations that aren't here answer NotImplemented.

use super::{
    caller::{Caller, Forbidden, told},
    error::Error,
    kms::KmsKeys,
    multipart::Uploads,
    store::Store,
};
use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput, CreateBucketOutput,
        CreateMultipartUploadInput, CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput,
        DeleteObjectTaggingInput, DeleteObjectTaggingOutput, DeleteObjectsInput, DeleteObjectsOutput,
        GetBucketLocationInput, GetBucketLocationOutput, GetBucketVersioningInput, GetBucketVersioningOutput,
        GetObjectInput, GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput, HeadBucketInput,
        HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput, ListBucketsOutput,
        ListMultipartUploadsInput, ListMultipartUploadsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
        ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutObjectInput, PutObjectOutput, PutObjectTaggingInput,
        PutObjectTaggingOutput, UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
    },
};
use std::sync::Arc;

#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) store: Arc<Store>,
    pub(crate) uploads: Arc<Uploads>,
    pub(crate) keys: Arc<KmsKeys>,
}

impl Service {
    pub(crate) fn new(store: Store, keys: KmsKeys) -> Self {
        Self { store: Arc::new(store), uploads: Arc::default(), keys: Arc::new(keys) }
    }
}

/// Result type that s3s expects of an operation.
type OperationResult<T> = S3Result<S3Response<T>>;

#[async_trait::async_trait]
impl S3 for Service {
    async fn list_buckets(&self, request: S3Request<ListBucketsInput>) -> OperationResult<ListBucketsOutput> {
        let caller = request.extensions.get::<Caller>().ok_or(Error::AccessDenied)?;
        Ok(S3Response::new(self.buckets(caller)))
    }

    async fn head_bucket(&self, request: S3Request<HeadBucketInput>) -> OperationResult<HeadBucketOutput> {
        self.store.check_bucket(&request.input.bucket)?;
        Ok(S3Response::new(HeadBucketOutput::default()))
    }

    /// Never creates a bucket. rclone sends CreateBucket before its first upload, even if the bucket exists.
    async fn create_bucket(&self, request: S3Request<CreateBucketInput>) -> OperationResult<CreateBucketOutput> {
        let there = self.store.check_bucket(&request.input.bucket).is_ok();
        Err(if there { Error::BucketExists } else { Error::FixedBuckets }.into())
    }

    async fn get_bucket_versioning(
        &self,
        request: S3Request<GetBucketVersioningInput>,
    ) -> OperationResult<GetBucketVersioningOutput> {
        self.store.check_bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketVersioningOutput::default()))
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> OperationResult<GetBucketLocationOutput> {
        self.store.check_bucket(&request.input.bucket)?;
        Ok(S3Response::new(GetBucketLocationOutput::default()))
    }

    async fn list_objects(&self, request: S3Request<ListObjectsInput>) -> OperationResult<ListObjectsOutput> {
        Ok(S3Response::new(self.list_v1(request.input)?))
    }

    async fn list_objects_v2(&self, request: S3Request<ListObjectsV2Input>) -> OperationResult<ListObjectsV2Output> {
        Ok(S3Response::new(self.list_v2(request.input)?))
    }

    async fn head_object(&self, request: S3Request<HeadObjectInput>) -> OperationResult<HeadObjectOutput> {
        let S3Request { input, extensions, .. } = request;
        let bucket = input.bucket.clone();
        Ok(self.head(&extensions, input).map_err(|error| told(&extensions, &bucket, error))?)
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> OperationResult<GetObjectOutput> {
        let S3Request { input, extensions, .. } = request;
        let bucket = input.bucket.clone();
        Ok(S3Response::new(self.read(&extensions, input).map_err(|error| told(&extensions, &bucket, error))?))
    }

    async fn put_object(&self, request: S3Request<PutObjectInput>) -> OperationResult<PutObjectOutput> {
        Ok(S3Response::new(self.put(request).await?))
    }

    async fn copy_object(&self, request: S3Request<CopyObjectInput>) -> OperationResult<CopyObjectOutput> {
        Ok(S3Response::new(self.copy(request).await?))
    }

    async fn delete_object(&self, request: S3Request<DeleteObjectInput>) -> OperationResult<DeleteObjectOutput> {
        let S3Request { input: DeleteObjectInput { bucket, key, if_match, .. }, extensions, .. } = request;
        let removed = self.remove(bucket.clone(), key, if_match).await;
        removed.map_err(|error| told(&extensions, &bucket, error))?;
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, request: S3Request<DeleteObjectsInput>) -> OperationResult<DeleteObjectsOutput> {
        let Forbidden(forbidden) = request.extensions.get().cloned().ok_or(Error::AccessDenied)?;
        Ok(S3Response::new(self.remove_many(request.input, forbidden).await?))
    }

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> OperationResult<GetObjectTaggingOutput> {
        let tags = self.tags(&request.input);
        let output = tags.map_err(|error| told(&request.extensions, &request.input.bucket, error))?;
        Ok(S3Response::new(output))
    }

    async fn put_object_tagging(
        &self,
        request: S3Request<PutObjectTaggingInput>,
    ) -> OperationResult<PutObjectTaggingOutput> {
        let bucket = request.input.bucket.clone();
        self.put_tags(request.input).await.map_err(|error| told(&request.extensions, &bucket, error))?;
        Ok(S3Response::new(PutObjectTaggingOutput::default()))
    }

    async fn delete_object_tagging(
        &self,
        request: S3Request<DeleteObjectTaggingInput>,
    ) -> OperationResult<DeleteObjectTaggingOutput> {
        let bucket = request.input.bucket.clone();
        self.remove_tags(request.input).await.map_err(|error| told(&request.extensions, &bucket, error))?;
        Ok(S3Response::new(DeleteObjectTaggingOutput::default()))
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> OperationResult<CreateMultipartUploadOutput> {
        Ok(S3Response::new(self.create_upload(request)?))
    }

    async fn upload_part(&self, request: S3Request<UploadPartInput>) -> OperationResult<UploadPartOutput> {
        Ok(S3Response::new(self.put_part(request).await?))
    }

    async fn upload_part_copy(&self, request: S3Request<UploadPartCopyInput>) -> OperationResult<UploadPartCopyOutput> {
        Ok(S3Response::new(self.copy_part(request).await?))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> OperationResult<CompleteMultipartUploadOutput> {
        Ok(S3Response::new(self.complete_upload(request).await?))
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> OperationResult<AbortMultipartUploadOutput> {
        self.abort_upload(request.input)?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> OperationResult<ListPartsOutput> {
        Ok(S3Response::new(self.list_upload_parts(request.input)?))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> OperationResult<ListMultipartUploadsOutput> {
        Ok(S3Response::new(self.list_uploads(request.input)?))
    }
}
