//! Failures and delays that a test injects into requests.

use crate::iam::{MalformedPolicy, Pattern};
use serde::{Deserialize, Serialize};
use std::{str::FromStr, time::Duration};

use super::AwsRequest;

/// A failure that a test injects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Failure {
    /// 403 AccessDenied.
    AccessDenied,
    /// The session has ended: S3's 400 ExpiredToken, STS's 403.
    ExpiredToken,
    /// S3's 500 InternalError, STS's InternalFailure.
    InternalError,
    /// The storage is full: 507, which SDKs don't retry. S3 has no code for it, other stores do. STS's InternalFailure.
    InsufficientStorage,
    /// A clock is wrong: S3's 403 RequestTimeTooSkewed, STS's SignatureDoesNotMatch.
    RequestTimeTooSkewed,
    /// S3's 503 SlowDown, STS's 400 Throttling.
    SlowDown,
}

/// Keys that a [`InjectedFault`] is about. `*` stands for any characters including `/`, and `?` for one.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct KeyPattern(Pattern);

impl FromStr for KeyPattern {
    type Err = MalformedPolicy;

    fn from_str(text: &str) -> Result<Self, MalformedPolicy> {
        Pattern::parse(text).map(Self)
    }
}

impl TryFrom<String> for KeyPattern {
    type Error = MalformedPolicy;

    fn try_from(text: String) -> Result<Self, MalformedPolicy> {
        text.parse()
    }
}

/// The fate of requests that a test chooses. A request gets the first fault that is about it. A fault without a failure
/// and without a delay exempts requests from those behind it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InjectedFault {
    /// Names of operations (`PutObject`, `AssumeRole`). If there are none, it is about every operation.
    pub operations: Vec<String>,
    /// The keys of objects. Without it, it is about requests for any key and for none.
    pub key: Option<KeyPattern>,
    /// The number of a part (`UploadPart`).
    pub part_number: Option<u32>,
    /// A read of a range with this byte of the object.
    pub range_with: Option<u64>,
    /// The answer. Without it, the request is served.
    pub failure: Option<Failure>,
    /// The sentence of S3's answer, in place of the usual one.
    pub message: Option<String>,
    /// Milliseconds before the request is answered or served.
    pub delay_ms: u64,
    /// The number of requests that get it. Without it, all do.
    pub times: Option<u64>,
}

impl InjectedFault {
    /// The next `times` requests of `operation` fail.
    pub(super) fn of_operation(operation: &str, failure: Failure, times: u64) -> Self {
        Self { operations: vec![operation.to_owned()], failure: Some(failure), times: Some(times), ..Self::default() }
    }

    /// True if it is about all requests of one operation alone.
    pub(super) fn is_of_operation(&self, operation: &str) -> bool {
        let narrowed = self.key.is_some() || self.part_number.is_some() || self.range_with.is_some();
        self.operations == [operation] && !narrowed
    }

    /// True if the fault is about the request and isn't used up.
    pub(super) fn is_about(&self, request: &AwsRequest) -> bool {
        self.times != Some(0)
            && (self.operations.is_empty() || self.operations.contains(&request.operation))
            && self.key.as_ref().is_none_or(|pattern| pattern.0.matches(&request.key))
            && self.part_number.is_none_or(|number| request.part_number == Some(number))
            && self.range_with.is_none_or(|byte| request.reads(byte))
    }

    pub(super) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms)
    }
}
