//! Authorization. Every request with a valid signature, or for a public bucket, passes here once and is counted.
//!
//! s3s only verifies the signature, with the secret that [`Gate`] gives it. The gate checks tokens, accounts and
//! policies. A request without a signature arrives without credentials. It is refused, unless its bucket is public.
//!
//! [`S3Access::check`] judges path and headers. The hook of each operation judges facts that only the parsed request
//! has: a list's prefix, a copy's source, the keys to delete.

use super::{
    body,
    caller::{Caller, Forbidden, RefusalReason},
    operations::{On, S3Operation},
};
use crate::{
    clock::Skew,
    iam::{Principal, RequestContext},
    requests::{AwsRequest, Requests},
    sts::{Sts, Unfit},
};
use hyper::header::{IF_MATCH, RANGE};
use s3s::{
    S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    dto::{
        CopyObjectInput, DeleteObjectsInput, ListObjectsInput, ListObjectsV2Input, ObjectIdentifier, PutObjectInput,
        RequestPayer, UploadPartCopyInput, UploadPartInput,
    },
    s3_error,
};
use std::sync::Arc;

/// Authenticates and authorizes requests, and counts them.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    sts: Arc<Sts>,
    requests: Arc<Requests>,
}

impl Gate {
    pub(crate) fn new(sts: Arc<Sts>, requests: Arc<Requests>) -> Self {
        Self { sts, requests }
    }

    /// Returns the caller if path and headers are allowed.
    fn judge(&self, context: &S3AccessContext<'_>, access_key: &str) -> Result<Caller, RefusalReason> {
        self.check_time(context)?;
        if header(context, "authorization").is_some_and(|authorization| authorization.contains("/sts/aws4_request")) {
            return Err(RefusalReason::ForeignScope);
        }
        let principal = self.sts.principal(access_key, token(context).as_deref()).map_err(|unfit| match unfit {
            Unfit::Token => RefusalReason::InvalidToken,
            Unfit::Expired => RefusalReason::ExpiredToken,
        })?;
        self.permit(context, Some(principal))
    }

    /// Checks the time of a signature in the headers, or in the query of a presigned request.
    fn check_time(&self, context: &S3AccessContext<'_>) -> Result<(), RefusalReason> {
        let clock = &self.sts.clock;
        if let Some(signed) = header(context, "x-amz-date") {
            return clock.check(signed, None).map_err(|_| RefusalReason::Skewed);
        }
        let Some(signed) = parameter(context, "x-amz-date") else { return Ok(()) };
        let expires = parameter(context, "x-amz-expires").and_then(|seconds| seconds.parse().ok());
        clock.check(&signed, expires.map(time::Duration::seconds)).map_err(|skew| match skew {
            Skew::Expired { .. } => RefusalReason::ExpiredRequest,
            Skew::NotYetCurrent { .. } => RefusalReason::Skewed,
        })
    }

    /// Returns the caller if it may do what path and headers ask for. Without a principal, nobody signed the request.
    fn permit(&self, context: &S3AccessContext<'_>, principal: Option<Principal>) -> Result<Caller, RefusalReason> {
        let caller = Caller::new(principal, Arc::clone(&self.sts.register), self.requests.source_vpce());
        let name = context.s3_op().name();
        let operation = S3Operation::named(name).ok_or_else(|| match caller.principal() {
            Ok(_) => RefusalReason::NotServed(name.to_owned()),
            Err(denial) => denial,
        })?;
        let path = context.s3_path();
        let bucket = path.get_bucket_name().unwrap_or_default();
        if caller.goes_through_access_point(bucket) && !operation.through_access_points {
            return Err(RefusalReason::NotThroughAccessPoints);
        }
        caller.expects(bucket, header(context, "x-amz-expected-bucket-owner"))?;
        caller.pays_for(bucket, header(context, "x-amz-request-payer"))?;
        match (operation.on, path.as_object()) {
            (On::Account, _) => caller.may_in_account(operation.action)?,
            (On::Bucket, _) => caller.may(operation.action, bucket, &RequestContext::default())?,
            (On::Object, Some((bucket, key))) => {
                caller.may_with(operation.action, bucket, key)?;
                if header(context, "x-amz-tagging").is_some_and(|tags| !tags.is_empty()) {
                    caller.may_with("s3:PutObjectTagging", bucket, key)?;
                }
                if let Some(acl) = header(context, "x-amz-acl") {
                    caller.may_set_acl(acl, bucket, key)?;
                    // The owner of the bucket owns its objects, as in new buckets of S3, so other ACLs mean nothing.
                    if acl != "bucket-owner-full-control" {
                        return Err(RefusalReason::AclsDisabled);
                    }
                }
                // `If-Match` with an ETag reveals whether the object has it, so S3 also asks for GetObject.
                if header(context, IF_MATCH.as_str()).is_some_and(|etag| etag != "*") {
                    caller.may_with("s3:GetObject", bucket, key)?;
                }
            }
            (On::Object, None) => return Err(RefusalReason::plain()),
            (On::Listing | On::Keys, _) => {}
        }
        Ok(caller)
    }
}

#[async_trait::async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.sts.secret(access_key).ok_or_else(|| {
            s3_error!(InvalidAccessKeyId, "The access key ID you provided does not exist in our records.")
        })
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        let bucket = context.s3_path().get_bucket_name();
        let judged = match context.credentials() {
            Some(credentials) => self.judge(context, &credentials.access_key),
            None if bucket.is_some_and(|bucket| self.sts.register.is_public(bucket)) => self.permit(context, None),
            None => return Err(RefusalReason::plain().into()),
        };
        let operation = context.s3_op().name();
        let failure = self.requests.arrive(asked(context)).await;
        match failure.map_or(judged, |(failure, sentence)| Err(RefusalReason::Wanted(failure, sentence))) {
            Ok(caller) => {
                context.extensions_mut().insert(caller);
                Ok(())
            }
            // These fail in their hook below: a client that is still sending would see a reset instead of the
            // answer.
            Err(refusal) if matches!(operation, "PutObject" | "UploadPart") => {
                context.extensions_mut().insert(refusal);
                Ok(())
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        let Some(refusal) = request.extensions.remove::<RefusalReason>() else { return Ok(()) };
        body::drain(request.input.body.take()).await;
        Err(refusal.into())
    }

    async fn upload_part(&self, request: &mut S3Request<UploadPartInput>) -> S3Result<()> {
        let Some(refusal) = request.extensions.remove::<RefusalReason>() else { return Ok(()) };
        body::drain(request.input.body.take()).await;
        Err(refusal.into())
    }

    async fn list_objects(&self, request: &mut S3Request<ListObjectsInput>) -> S3Result<()> {
        let ListObjectsInput { bucket, prefix, delimiter, max_keys, .. } = &request.input;
        let context = listing(prefix.as_deref(), delimiter.as_deref(), *max_keys);
        Ok(caller(request)?.may("s3:ListBucket", bucket, &context)?)
    }

    async fn list_objects_v2(&self, request: &mut S3Request<ListObjectsV2Input>) -> S3Result<()> {
        let ListObjectsV2Input { bucket, prefix, delimiter, max_keys, .. } = &request.input;
        let context = listing(prefix.as_deref(), delimiter.as_deref(), *max_keys);
        Ok(caller(request)?.may("s3:ListBucket", bucket, &context)?)
    }

    async fn copy_object(&self, request: &mut S3Request<CopyObjectInput>) -> S3Result<()> {
        let caller = caller(request)?;
        let (bucket, key) = caller.source_of(&request.input.copy_source)?;
        caller.expects(bucket, request.input.expected_source_bucket_owner.as_deref())?;
        caller.pays_for(bucket, request.input.request_payer.as_ref().map(RequestPayer::as_str))?;
        Ok(caller.may_with("s3:GetObject", bucket, key)?)
    }

    async fn upload_part_copy(&self, request: &mut S3Request<UploadPartCopyInput>) -> S3Result<()> {
        let caller = caller(request)?;
        let (bucket, key) = caller.source_of(&request.input.copy_source)?;
        caller.expects(bucket, request.input.expected_source_bucket_owner.as_deref())?;
        caller.pays_for(bucket, request.input.request_payer.as_ref().map(RequestPayer::as_str))?;
        Ok(caller.may_with("s3:GetObject", bucket, key)?)
    }

    async fn delete_objects(&self, request: &mut S3Request<DeleteObjectsInput>) -> S3Result<()> {
        let caller = caller(request)?.clone();
        let DeleteObjectsInput { bucket, delete, .. } = &mut request.input;
        let may = |object: &ObjectIdentifier| {
            let deletes = caller.may_with("s3:DeleteObject", bucket, &object.key).is_ok();
            let conditional = object.e_tag.is_some();
            deletes && (!conditional || caller.may_with("s3:GetObject", bucket, &object.key).is_ok())
        };
        let forbidden = delete.objects.extract_if(.., |object| !may(object)).map(|object| object.key).collect();
        request.extensions.insert(Forbidden(forbidden));
        Ok(())
    }
}

/// Returns the caller that [`S3Access::check`] accepted.
fn caller<T>(request: &S3Request<T>) -> Result<&Caller, RefusalReason> {
    Caller::of(&request.extensions)
}

/// Condition keys of a listing. A key that the request lacks is absent, so no condition on it holds.
fn listing(prefix: Option<&str>, delimiter: Option<&str>, max_keys: Option<i32>) -> RequestContext {
    RequestContext::default().with("s3:prefix", prefix).with("s3:delimiter", delimiter).with("s3:max-keys", max_keys)
}

fn header<'a>(context: &'a S3AccessContext<'_>, name: &str) -> Option<&'a str> {
    context.headers().get(name).map(|value| value.to_str().unwrap_or_default())
}

/// Returns the facts about a request that faults and the record go by.
fn asked(context: &S3AccessContext<'_>) -> AwsRequest {
    let path = context.s3_path();
    let (bucket, key) = path.as_object().unwrap_or((path.get_bucket_name().unwrap_or_default(), ""));
    AwsRequest {
        operation: context.s3_op().name().to_owned(),
        bucket: bucket.to_owned(),
        key: key.to_owned(),
        part_number: parameter(context, "partNumber").and_then(|number| number.parse().ok()),
        range: header(context, RANGE.as_str()).map(str::to_owned),
    }
}

/// Returns the session token from the header, or from the query of a presigned request.
fn token(context: &S3AccessContext<'_>) -> Option<String> {
    let header = header(context, "x-amz-security-token").map(str::to_owned);
    header.or_else(|| parameter(context, "x-amz-security-token"))
}

/// Returns the value of a parameter in the query. Case doesn't matter in its name.
fn parameter(context: &S3AccessContext<'_>, wanted: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(context.uri().query()?.as_bytes());
    pairs.find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.into_owned())
}
