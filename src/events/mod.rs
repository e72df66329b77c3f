//! The record of everything that happens. The part that notices something records an [`Event`] with the party it is
//! about; here it becomes an owned [`Record`] with an id, a time and the node, and goes to every sink.
//!
//! Sinks: the log, which writes one line for a record with the same field names everywhere, and whose lines clients can't
//! flood (see `limits`); and every subscriber of the bus, which is bounded: a subscriber that is too slow misses the
//! oldest records and is told how many. Recording never waits and never fails.

mod event;
mod limits;
mod log;
mod record;
#[cfg(test)]
mod tests;

pub use event::{Change, ClientProgram, Event, Outcome, Transfer};
pub use record::{ConnectionPeer, Record, SessionUser, Who};

use limits::Limits;
use std::{fmt, sync::Arc, time::Duration};
use tokio::{sync::broadcast, time::sleep};

/// The counts of suppressed log lines are written once in this time.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// Records that a subscriber may be behind.
const BUS_RECORDS: usize = 4_096;

/// The recorder of events. Cheap to clone; clones share their limits and their subscribers.
#[derive(Clone)]
pub struct Events(Arc<Shared>);

struct Shared {
    node: Arc<str>,
    limits: Limits,
    bus: broadcast::Sender<Arc<Record>>,
}

impl Events {
    /// Events that happen on the node of this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        let (bus, _) = broadcast::channel(BUS_RECORDS);
        Self(Arc::new(Shared { node: node.into(), limits: Limits::default(), bus }))
    }

    /// Records that `event` happened to `who`. The log suppresses its line if its source or user has had too many;
    /// subscribers get every record.
    pub fn record(&self, who: Who, event: Event) {
        let Shared { node, limits, bus } = &*self.0;
        let record = Record::new(Arc::clone(node), who, event);
        if log::is_wanted(&record.event) && limits.take(&record) {
            log::write(&record);
        }
        if bus.receiver_count() > 0 {
            // Fails only if the last subscriber has gone meanwhile.
            let _ = bus.send(Arc::new(record));
        }
    }

    /// Returns the receiving end of the bus: every record from now on, of which the last 4,096 wait. One that comes too
    /// late is told how many it missed (`RecvError::Lagged`).
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<Record>> {
        self.0.bus.subscribe()
    }

    /// Reports every ten seconds how many log lines were suppressed.
    pub async fn report(self) {
        loop {
            sleep(REPORT_INTERVAL).await;
            self.report_now();
        }
    }

    /// Reports how many log lines were suppressed since the last report: one line for each user and source.
    pub fn report_now(&self) {
        self.0.limits.report();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("node", &self.0.node).finish_non_exhaustive()
    }
}
