//! The records of one tree. Each carries the user and the id of the session.

use super::{is_ordinary, limits::SessionLimits, outcome};
use crate::{
    events::{ChangeKind, Event, Events, Outcome, SessionUser, Who},
    name::{Key, Prefix, TransferId, VirtualPath},
    vfs::{Error, LeftoverObserver, Publication, SessionObserver},
};
use std::{fmt, sync::Arc, time::Duration};

/// The recorder of one tree's events.
#[derive(Debug)]
pub(super) struct SessionAudit {
    who: Arc<SessionUser>,
    events: Events,
    limits: SessionLimits,
}

impl SessionAudit {
    pub(super) fn new(who: Arc<SessionUser>, events: Events) -> Self {
        Self { who, events, limits: SessionLimits::new() }
    }

    pub(super) fn who(&self) -> &SessionUser {
        &self.who
    }

    pub(super) fn record(&self, event: Event) {
        self.events.record(Who::Session(Arc::clone(&self.who)), event);
    }

    /// Records a change. A change that failed or was abandoned has a log line while the limits allow one.
    pub(super) fn record_change(
        &self,
        change: ChangeKind,
        path: &VirtualPath,
        target: Option<&VirtualPath>,
        duration: Duration,
        outcome: Outcome,
    ) {
        let is_done = outcome == Outcome::Done;
        let event = || Event::Changed {
            change,
            path: path.as_str().to_owned(),
            target: target.map(|target| target.as_str().to_owned()),
            duration,
            outcome,
        };
        if is_done { self.record(event()) } else { self.record_failed(event) }
    }

    /// Records the failure of `request`, unless the error is an ordinary answer to a query.
    pub(super) fn record_failure(&self, request: &'static str, path: &VirtualPath, error: &Error) {
        if !is_ordinary(error) {
            self.record_request(request, path.as_str(), error);
        }
    }

    /// Records that the argument of `request` is not a path.
    pub(super) fn record_no_path(&self, request: &'static str, raw: &[u8], error: &Error) {
        self.record_request(request, &String::from_utf8_lossy(raw), error);
    }

    /// Records the end of the session.
    pub(super) fn record_end(&self, duration: Duration, received_bytes: u64, sent_bytes: u64, reason: Option<String>) {
        let suppressed = self.limits.suppressed_failures();
        self.record(Event::SessionEnded { duration, received_bytes, sent_bytes, suppressed, reason });
    }

    fn record_request(&self, request: &'static str, path: &str, error: &Error) {
        self.record_failed(|| Event::RequestFailed { request, path: path.to_owned(), outcome: outcome(error) });
    }

    /// Records a failure. It has a log line while the limits allow one.
    fn record_failed(&self, event: impl FnOnce() -> Event) {
        if self.limits.take_failure() {
            self.record(event());
        } else if self.events.has_other_sinks() {
            self.events.record_unlogged(Who::Session(Arc::clone(&self.who)), event());
        }
    }
}

/// Records the uploads of a tree that S3 is about to publish, and those that S3 didn't abort. It outlives the tree: the
/// last uploads end after their session.
#[derive(Debug)]
pub(super) struct UploadRecorder {
    who: Arc<SessionUser>,
    events: Events,
}

impl UploadRecorder {
    pub(super) fn new(who: Arc<SessionUser>, events: Events) -> Self {
        Self { who, events }
    }
}

impl SessionObserver for UploadRecorder {
    fn publishing(&self, transfer_id: TransferId, path: &VirtualPath, mount: &Prefix, publication: Publication<'_>) {
        if !self.events.has_other_sinks() {
            return;
        }
        let Publication { bucket, key, token, size } = publication;
        let event = Event::UploadPublishing {
            transfer_id,
            path: path.as_str().to_owned(),
            bucket: bucket.clone(),
            mount: mount.clone(),
            key: key.clone(),
            token: token.to_owned(),
            size,
        };
        self.events.record_unlogged(Who::Session(Arc::clone(&self.who)), event);
    }
}

impl LeftoverObserver for UploadRecorder {
    fn not_aborted(&self, key: &Key, upload: &str, error: &dyn fmt::Display) {
        let (id, key, outcome) = (upload.to_owned(), key.as_str().to_owned(), Outcome::Failed(error.to_string()));
        self.events.record(Who::Session(Arc::clone(&self.who)), Event::UploadNotAborted { id, key, outcome });
    }
}
