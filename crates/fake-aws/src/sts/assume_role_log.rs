//! A record of the AssumeRole requests, for tests.

use super::parameters::Parameters;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;

/// Limit on the requests that the log holds.
const MAX_REQUESTS: usize = 10_000;

/// An AssumeRole request with a valid signature, as it arrived.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AssumeRoleRequest {
    /// ARN of the caller.
    pub caller: String,
    /// `RoleArn`.
    pub role_arn: Option<String>,
    /// `RoleSessionName`.
    pub session_name: Option<String>,
    /// `ExternalId`, which may be empty.
    pub external_id: Option<String>,
    /// The text of the session policy.
    pub policy: Option<String>,
    /// `DurationSeconds`.
    pub duration_seconds: Option<String>,
    /// `Tags.member`, as keys and values.
    pub tags: Vec<(String, String)>,
    /// `SourceIdentity`.
    pub source_identity: Option<String>,
    /// True if the request opened a session.
    pub granted: bool,
}

impl AssumeRoleRequest {
    /// Reads the request from `parameters`.
    pub(super) fn of(caller: &str, parameters: &Parameters) -> Self {
        let value = |name: &str| parameters.value(name).map(str::to_owned);
        let tag = |number: usize| {
            let key = value(&format!("Tags.member.{number}.Key"))?;
            Some((key, value(&format!("Tags.member.{number}.Value")).unwrap_or_default()))
        };
        Self {
            caller: caller.to_owned(),
            role_arn: value("RoleArn"),
            session_name: value("RoleSessionName"),
            external_id: value("ExternalId"),
            policy: value("Policy"),
            duration_seconds: value("DurationSeconds"),
            tags: (1..).map_while(tag).collect(),
            source_identity: value("SourceIdentity"),
            granted: false,
        }
    }
}

/// The latest requests, oldest first.
#[derive(Debug, Default)]
pub(crate) struct AssumeRoleLog(Mutex<VecDeque<AssumeRoleRequest>>);

impl AssumeRoleLog {
    pub(crate) fn keep(&self, request: AssumeRoleRequest) {
        let mut requests = self.0.lock();
        if requests.len() == MAX_REQUESTS {
            requests.pop_front();
        }
        requests.push_back(request);
    }

    pub(crate) fn all(&self) -> Vec<AssumeRoleRequest> {
        self.0.lock().iter().cloned().collect()
    }
}
