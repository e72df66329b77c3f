//! The header by which the requester agrees to pay for a request.
//!
//! Invariant: every request of a client with it has the header. A bucket with Requester Pays refuses the requests of other
//! accounts that lack it. Those of its own account need none.
//!
//! Source: S3 user guide, "Using Requester Pays general purpose buckets for storage transfers and usage".

use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextMut};
use aws_smithy_runtime_api::box_error::BoxError;

/// Adds the header before the signature, which covers it.
#[derive(Debug)]
pub(super) struct RequesterPays;

impl Intercept for RequesterPays {
    fn name(&self) -> &'static str {
        "agree to pay for the request"
    }

    fn modify_before_signing(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        context.request_mut().headers_mut().insert("x-amz-request-payer", "requester");
        Ok(())
    }
}
