//! Facts in the headers of answers that no operation returns: the clock of AWS, and the encryption of new objects.

use crate::clock::{Clock as _, SystemClock};
use aws_sdk_s3::config::{
    ConfigBag, Intercept, RuntimeComponents, http::HttpResponse, interceptors::FinalizerInterceptorContextRef,
};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_types::{DateTime, date_time::Format};
use parking_lot::Mutex;
use std::sync::Arc;

/// The facts of all answers to one check. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct AnswerFacts(Arc<Mutex<LastFacts>>);

#[derive(Debug, Default)]
struct LastFacts {
    clock_skew: Option<i64>,
    encryption: Option<ReportedEncryption>,
}

/// The encryption of an object, as S3 reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReportedEncryption {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`.
    pub(crate) algorithm: String,
    /// The ARN of the KMS key, if there is one.
    pub(crate) key: Option<String>,
}

impl AnswerFacts {
    /// The seconds by which the clock of S3 or STS is ahead of this machine's, or behind it if they are negative. `None`
    /// before the first answer.
    pub(super) fn clock_skew(&self) -> Option<i64> {
        self.0.lock().clock_skew
    }

    /// Returns the encryption that the last answer with one reported, and forgets it.
    pub(super) fn take_encryption(&self) -> Option<ReportedEncryption> {
        self.0.lock().encryption.take()
    }

    fn read(&self, answer: &HttpResponse) {
        let header = |name| answer.headers().get(name);
        let mut facts = self.0.lock();
        if let Some(date) = header("date").and_then(|date| DateTime::from_str(date, Format::HttpDate).ok()) {
            facts.clock_skew = Some(date.secs().saturating_sub(SystemClock.unix_seconds()));
        }
        if let Some(algorithm) = header("x-amz-server-side-encryption") {
            let key = header("x-amz-server-side-encryption-aws-kms-key-id").map(str::to_owned);
            facts.encryption = Some(ReportedEncryption { algorithm: algorithm.to_owned(), key });
        }
    }
}

impl Intercept for AnswerFacts {
    fn name(&self) -> &'static str {
        "read facts of answers"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        if let Some(answer) = context.response() {
            self.read(answer);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    fn answer(headers: &[(&'static str, &'static str)]) -> HttpResponse {
        let mut answer = HttpResponse::new(StatusCode::try_from(200).unwrap(), SdkBody::empty());
        for (name, value) in headers {
            answer.headers_mut().insert(*name, *value);
        }
        answer
    }

    #[test]
    fn the_clock_is_that_of_the_last_answer() {
        let facts = AnswerFacts::default();
        facts.read(&answer(&[]));
        assert_eq!(facts.clock_skew(), None);
        facts.read(&answer(&[("date", "Thu, 01 Jan 1970 00:00:10 GMT")]));
        let behind = facts.clock_skew().unwrap();
        assert!(behind < -1_700_000_000, "{behind}");
        facts.read(&answer(&[("date", "no date")]));
        assert!(facts.clock_skew().unwrap() >= behind - 1);
    }

    #[test]
    fn the_encryption_is_that_of_one_answer() {
        let facts = AnswerFacts::default();
        let key = "arn:aws:kms:eu-central-1:111122223333:key/1";
        facts.read(&answer(&[
            ("x-amz-server-side-encryption", "aws:kms"),
            ("x-amz-server-side-encryption-aws-kms-key-id", key),
        ]));
        facts.read(&answer(&[]));
        let of_kms = ReportedEncryption { algorithm: "aws:kms".to_owned(), key: Some(key.to_owned()) };
        assert_eq!(facts.take_encryption(), Some(of_kms));
        assert_eq!(facts.take_encryption(), None);
    }
}
