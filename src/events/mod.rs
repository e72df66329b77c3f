//! The record of all events. The part that notices an event records it with the party concerned. This module turns it
//! into an owned [`Record`] with an id, a time and the node, and passes it to every sink.
//!
//! The first sink is the log. It writes one line for a record, with the same field names everywhere. `limits` keeps
//! clients from flooding it, and `backlog` spreads the lines of a batch over seconds. The other sinks are the
//! subscribers of the bus, which is bounded: a subscriber that is too slow misses the oldest records and learns their
//! number. Recording never waits and never fails.

mod backlog;
mod event;
mod limits;
mod log;
mod name_changes;
mod record;
#[cfg(test)]
mod tests;

pub use event::{ChangeKind, ClientProgram, Event, Outcome, PublishedObject, Transfer};
pub(crate) use log::{long, visible};
pub use name_changes::{ConfigChanges, NameChanges, NameList};
pub use record::{ConnectionPeer, Record, SessionUser, Who};

use crate::name::{TenantName, UserName};
use limits::Limits;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::broadcast, time::sleep};

/// The interval at which the log writes the counts of suppressed lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The number of records that a subscriber may be behind.
const BUS_RECORDS: usize = 4_096;

/// A user of a tenant.
type UserKey = (TenantName, UserName);

/// The recorder of events. Cheap to clone; clones share their limits and their subscribers.
#[derive(Clone)]
pub struct Events(Arc<EventsState>);

struct EventsState {
    node: Arc<str>,
    limits: Limits,
    bus: broadcast::Sender<Arc<Record>>,
}

impl Events {
    /// Creates the recorder of the node with this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        let (bus, _) = broadcast::channel(BUS_RECORDS);
        Self(Arc::new(EventsState { node: node.into(), limits: Limits::default(), bus }))
    }

    /// Records `event` of the party `who`. The log suppresses the line if its source or user has had too many, and
    /// writes it later if the user has had many at once.
    /// Subscribers get every record.
    pub(crate) fn record(&self, who: Who, event: Event) {
        let EventsState { node, limits, .. } = &*self.0;
        let record = Record::new(Arc::clone(node), who, event);
        if log::is_wanted(&record.event) && limits.admit(&record) {
            log::write(&record);
        }
        self.send(record);
    }

    /// Records that `event` happened to `who` for subscribers alone, because its log line was suppressed already.
    pub(crate) fn record_unlogged(&self, who: Who, event: Event) {
        self.send(Record::new(Arc::clone(&self.0.node), who, event));
    }

    /// True if the bus has a subscriber.
    pub(crate) fn has_subscribers(&self) -> bool {
        self.0.bus.receiver_count() > 0
    }

    fn send(&self, record: Record) {
        if self.has_subscribers() {
            // The send fails only if the last subscriber has gone meanwhile.
            let _ = self.0.bus.send(Arc::new(record));
        }
    }

    /// Returns the receiving end of the bus. It gets every record from now on and holds the last 4,096. A slow
    /// subscriber learns the number of missed records (`RecvError::Lagged`).
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Record>> {
        self.0.bus.subscribe()
    }

    /// Writes the log lines that wait, and reports the number of suppressed ones every ten seconds. Runs until it is
    /// dropped.
    pub(crate) async fn run_log(self) {
        let report = async {
            loop {
                sleep(REPORT_INTERVAL).await;
                self.0.limits.report();
            }
        };
        tokio::join!(self.0.limits.backlog.write(), report);
    }

    /// Writes all log lines that wait, and the number of those suppressed since the last report: one line for each user
    /// and source.
    pub(crate) fn finish_log(&self) {
        self.0.limits.backlog.write_all();
        self.0.limits.report();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("node", &self.0.node).finish_non_exhaustive()
    }
}
