//! The SDK's retries and time-outs for requests that its defaults don't fit.

use aws_sdk_s3::{
    config::{
        self, ConfigBag, Intercept, RuntimeComponents,
        interceptors::{FinalizerInterceptorContextRef, InterceptorContext},
        retry::{ClassifyRetry, RetryAction},
        timeout::TimeoutConfig,
    },
    error::ProvideErrorMetadata,
    operation::{
        complete_multipart_upload::CompleteMultipartUploadError, copy_object::CopyObjectError,
        delete_object::DeleteObjectError, put_object::PutObjectError,
    },
};
use aws_smithy_runtime_api::{box_error::BoxError, client::interceptors::context::Error as Refusal};
use std::{
    error::Error as StdError,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// The limit on one try of a request that S3 answers at once.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(30);
/// The limit on all tries together: clients time out after a minute or two.
const OPERATION_TIMEOUT: Duration = Duration::from_mins(1);

/// For requests that S3 answers at once.
pub(super) fn prompt() -> TimeoutConfig {
    TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_TIMEOUT).operation_timeout(OPERATION_TIMEOUT).build()
}

/// For requests that carry a part: the stalled-stream protection and the client's read time-out limit them. Also for
/// Complete and Copy: S3 takes minutes for many GiB.
pub(super) fn unhurried() -> config::Builder {
    let patient = TimeoutConfig::builder().disable_operation_attempt_timeout().disable_operation_timeout();
    config::Builder::new().timeout_config(patient.build())
}

/// Retries when two conditional writes raced (409 `ConditionalRequestConflict`): the next answer tells which one won.
#[derive(Debug)]
pub(super) struct RetryRaces;

impl ClassifyRetry for RetryRaces {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let refusal = context.output_or_error().and_then(Result::err).and_then(|error| error.as_operation_error());
        match refusal {
            Some(refusal) if code(refusal) == Some("ConditionalRequestConflict") => RetryAction::transient_error(),
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "conditional writes that raced"
    }
}

/// Notes the tries of one request that S3 may have done although no answer said so. If a later try finds the work done,
/// one of these tries did it, or another client at the same moment: S3 offers no way to tell.
#[derive(Clone, Debug, Default)]
pub(super) struct LostAnswers(Arc<AtomicBool>);

impl LostAnswers {
    /// True if there was such a try.
    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Intercept for LostAnswers {
    fn name(&self) -> &'static str {
        "lost answers"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        // A 503 may also come after a deletion that was done. To take it for not done would lose the file that was
        // renamed.
        let is_answered = context.response().is_some_and(|answer| !answer.status().is_server_error());
        if !is_answered {
            self.0.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The code of a refusal of one of the writes that take a condition.
fn code(refusal: &Refusal) -> Option<&str> {
    fn of<E: ProvideErrorMetadata + StdError + Send + Sync + 'static>(refusal: &Refusal) -> Option<&str> {
        refusal.downcast_ref::<E>().and_then(ProvideErrorMetadata::code)
    }
    of::<PutObjectError>(refusal)
        .or_else(|| of::<CompleteMultipartUploadError>(refusal))
        .or_else(|| of::<CopyObjectError>(refusal))
        .or_else(|| of::<DeleteObjectError>(refusal))
}
