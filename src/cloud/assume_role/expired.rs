//! Credentials that S3 reports as expired too early: its clock is ahead of this machine's, or the session was revoked.
//! They are dropped, and the request is retried with new ones.

use super::AssumedRole;
use aws_sdk_s3::config::{
    ConfigBag, Intercept, RuntimeComponents,
    http::HttpResponse,
    interceptors::{BeforeTransmitInterceptorContextRef, FinalizerInterceptorContextRef, InterceptorContext},
    retry::{ClassifyRetry, RetryAction},
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};

/// S3's error code, in the XML of its answer.
const EXPIRED: &[u8] = b"<Code>ExpiredToken</Code>";

/// Drops a session's credentials when S3 reports them as expired.
#[derive(Debug)]
pub(in crate::cloud) struct ForgetExpired(pub(in crate::cloud) AssumedRole);

impl Intercept for ForgetExpired {
    fn name(&self) -> &'static str {
        "forget expired credentials"
    }

    /// Stores the signature, because the request is gone when its answer arrives.
    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let signature = context.request().headers().get("authorization").unwrap_or_default();
        config.interceptor_state().store_put(Signature(signature.to_owned()));
        Ok(())
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let (Some(Signature(signature)), Some(answer)) = (config.load::<Signature>(), context.response())
            && is_expired(answer)
        {
            self.0.0.forget(|credentials| signature.contains(credentials.access_key_id()));
        }
        Ok(())
    }
}

/// The `Authorization` header of a try, which contains the access key's id.
#[derive(Debug)]
struct Signature(String);

impl Storable for Signature {
    type Storer = StoreReplace<Self>;
}

/// Retries requests that S3 refused because of expired credentials.
#[derive(Debug)]
pub(in crate::cloud) struct RetryExpired;

impl ClassifyRetry for RetryExpired {
    fn name(&self) -> &'static str {
        "expired credentials"
    }

    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        match context.response() {
            Some(answer) if is_expired(answer) => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }
}

/// An answer to HEAD has no body, and a 400 without a body hardly has another reason.
fn is_expired(answer: &HttpResponse) -> bool {
    let says = |body: &[u8]| body.is_empty() || body.windows(EXPIRED.len()).any(|window| window == EXPIRED);
    answer.status().as_u16() == 400 && answer.body().bytes().is_some_and(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::primitives::SdkBody;

    fn answer(status: u16, body: &'static str) -> HttpResponse {
        HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body))
    }

    #[test]
    fn only_an_expired_token_is_one() {
        assert!(is_expired(&answer(400, "<Error><Code>ExpiredToken</Code></Error>")));
        assert!(is_expired(&answer(400, "")), "HEAD");
        for (status, body) in [
            (400, "<Error><Code>InvalidToken</Code></Error>"),
            (403, ""),
            (200, ""),
            (404, "<Code>ExpiredToken</Code>"),
        ] {
            assert!(!is_expired(&answer(status, body)), "{status} {body}");
        }
    }
}
