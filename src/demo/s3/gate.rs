//! Who may ask: signatures by static keys. Every request whose signature is right passes here once, and is counted.
//!
//! s3s verifies the signature with the secret that [`Gate`] gives it; a request without one arrives in
//! [`S3Access::check`] with no credentials and is refused there.

use super::{Failure, intake, requests::Requests};
use s3s::{
    S3Request, S3Result,
    access::{S3Access, S3AccessContext},
    auth::{S3Auth, SecretKey},
    dto::{PutObjectInput, UploadPartInput},
    s3_error,
};
use std::{collections::BTreeMap, sync::Arc};

/// The account that owns every bucket here, for `x-amz-expected-bucket-owner`.
pub const OWNER: &str = "123456789012";

/// Credentials, and the register of requests.
#[derive(Clone)]
pub struct Gate {
    secrets: Arc<BTreeMap<String, SecretKey>>,
    requests: Arc<Requests>,
}

impl Gate {
    pub fn new(credentials: Vec<(String, String)>, requests: Arc<Requests>) -> Self {
        let secrets = credentials.into_iter().map(|(access, secret)| (access, SecretKey::from(secret))).collect();
        Self { secrets: Arc::new(secrets), requests }
    }
}

#[async_trait::async_trait]
impl S3Auth for Gate {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        self.secrets.get(access_key).cloned().ok_or_else(|| {
            s3_error!(InvalidAccessKeyId, "The access key ID you provided does not exist in our records.")
        })
    }
}

#[async_trait::async_trait]
impl S3Access for Gate {
    async fn check(&self, context: &mut S3AccessContext<'_>) -> S3Result<()> {
        if context.credentials().is_none() {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        // Static keys have no session; s3s itself doesn't look at the token.
        if context.headers().contains_key("x-amz-security-token") {
            return Err(s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."));
        }
        if context.headers().get("x-amz-expected-bucket-owner").is_some_and(|owner| owner != OWNER) {
            return Err(s3_error!(AccessDenied, "Access Denied"));
        }
        let operation = context.s3_op().name();
        let (failure, latency) = self.requests.arrive(operation);
        if !latency.is_zero() {
            tokio::time::sleep(latency).await;
        }
        match failure {
            None => Ok(()),
            // These fail below: a client that is still sending would see a reset instead of the answer.
            Some(failure) if matches!(operation, "PutObject" | "UploadPart") => {
                context.extensions_mut().insert(failure);
                Ok(())
            }
            Some(failure) => Err(failure.into()),
        }
    }

    async fn put_object(&self, request: &mut S3Request<PutObjectInput>) -> S3Result<()> {
        let Some(failure) = request.extensions.remove::<Failure>() else { return Ok(()) };
        intake::drain(request.input.body.take()).await;
        Err(failure.into())
    }

    async fn upload_part(&self, request: &mut S3Request<UploadPartInput>) -> S3Result<()> {
        let Some(failure) = request.extensions.remove::<Failure>() else { return Ok(()) };
        intake::drain(request.input.body.take()).await;
        Err(failure.into())
    }
}
