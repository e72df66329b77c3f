//! The route of STS requests in s3s: `POST /` with a form.

use super::{Error, Parameters, Sts, Unfit, answer, edge};
use crate::requests::{AwsRequest, Requests};
use hyper::{HeaderMap, Method, Uri, http::Extensions};
use s3s::{Body, S3Request, S3Response, S3Result, route::S3Route};
use std::sync::Arc;

const VERSION: &str = "2011-06-15";

/// Routes STS requests.
#[derive(Clone, Debug)]
pub(crate) struct Route {
    sts: Arc<Sts>,
    requests: Arc<Requests>,
}

impl Route {
    pub(crate) fn new(sts: Arc<Sts>, requests: Arc<Requests>) -> Self {
        Self { sts, requests }
    }

    async fn answer(&self, mut request: S3Request<Body>) -> Result<String, Error> {
        let credentials = request.credentials.as_ref().ok_or(Error::MissingAuthenticationToken)?;
        if request.service.as_deref() != Some("sts") {
            return Err(Error::ForeignScope);
        }
        if let Some(signed) = request.headers.get("x-amz-date") {
            self.sts.clock.check(signed.to_str().unwrap_or_default(), None)?;
        }
        let token = request.headers.get("x-amz-security-token").map(|token| token.to_str().unwrap_or_default());
        let caller = self.sts.principal(&credentials.access_key, token).map_err(|unfit| match unfit {
            Unfit::Token => Error::InvalidClientTokenId,
            Unfit::Expired => Error::ExpiredToken,
        })?;
        let body = request.input.store_all_limited(edge::MAX_FORM_BYTES).await;
        let mut parameters = Parameters::parse(&body.map_err(|error| Error::Validation(error.to_string()))?)?;
        let action = parameters.need("Action", "action")?;
        let version = parameters.need("Version", "version")?;
        if version != VERSION || !matches!(action.as_str(), "AssumeRole" | "GetCallerIdentity") {
            return Err(Error::InvalidAction(format!("{action} for version {version}")));
        }
        let failure = self.requests.arrive(AwsRequest::of(&action)).await.map(|(failure, _)| Error::from(failure));
        if action == "AssumeRole" {
            return self.sts.assume_role(&caller, parameters, failure);
        }
        failure.map_or(Ok(()), Err)?;
        parameters.end()?;
        Ok(answer::identity(&caller))
    }
}

#[async_trait::async_trait]
impl S3Route for Route {
    fn is_match(&self, method: &Method, uri: &Uri, headers: &HeaderMap, _: &mut Extensions) -> bool {
        edge::is_form(method, uri, headers)
    }

    /// Accepts every request: [`S3Route::call`] refuses unknown callers in STS's words.
    async fn check_access(&self, _: &mut S3Request<Body>) -> S3Result<()> {
        Ok(())
    }

    async fn call(&self, request: S3Request<Body>) -> S3Result<S3Response<Body>> {
        Ok(answer::response(self.answer(request).await))
    }
}
