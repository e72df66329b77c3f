//! The report of a verification.

use super::VerifyStep;
use crate::{name::TenantName, store};
use serde::Serialize;
use std::time::Duration;

/// The report about one tenant.
#[derive(Debug, Serialize)]
pub(crate) struct VerifyReport {
    pub(crate) tenant: TenantName,
    /// True if no step failed, and the operator didn't stop the verification.
    pub(crate) proved: bool,
    pub(crate) stopped: bool,
    pub(crate) steps: Vec<StepReport>,
    /// The objects, versions and uploads that could not be deleted.
    pub(crate) left: Vec<String>,
}

/// The report about one step.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct StepReport {
    pub(crate) step: VerifyStep,
    pub(crate) title: &'static str,
    #[serde(flatten)]
    pub(crate) outcome: StepOutcome,
    #[serde(rename = "duration_ms", serialize_with = "milliseconds")]
    pub(crate) duration: Duration,
}

/// The outcome of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub(crate) enum StepOutcome {
    /// It was so.
    Proved {
        #[serde(skip_serializing_if = "Option::is_none")]
        detail: Option<String>,
    },
    /// It was not so, and the tenant's file accepts that.
    Accepted { reason: String },
    /// It was not so.
    Failed { cause: String, cure: String },
    /// It could not be found out.
    NotTried { reason: String },
}

/// The reason why a step isn't proved.
#[derive(Debug)]
pub(super) enum StepFailure {
    /// A request failed that had to succeed.
    Storage(store::Error),
    /// A request succeeded that had to fail, or had another result.
    Wrong {
        cause: String,
        cure: String,
    },
    Accepted(String),
    NotTried(String),
}

impl StepFailure {
    pub(super) fn wrong(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Self::Wrong { cause: cause.into(), cure: cure.into() }
    }
}

impl From<store::Error> for StepFailure {
    fn from(error: store::Error) -> Self {
        Self::Storage(error)
    }
}

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
