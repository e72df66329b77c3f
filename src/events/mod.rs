//! The record of all events. The part that notices an event records it with the party concerned. This module turns it
//! into an owned [`Record`] with an id, a time and the node, and passes it to every sink.
//!
//! The first sink is the spool of the ledger, which outlives a kill of the server. The second is the log. It writes one
//! line for a record, with the same field names everywhere. `limits` keeps clients from flooding it, and `backlog`
//! spreads the lines of a batch over seconds. The other sinks are the subscribers of the bus, which is bounded: a
//! subscriber that is too slow misses the oldest records and learns their number. Recording never fails.

mod backlog;
mod event;
mod ledger_limits;
mod limits;
mod log;
mod name_changes;
mod record;
#[cfg(test)]
mod tests;

pub use event::{ChangeKind, ClientProgram, Event, Outcome, Transfer, TransferredObject};
pub(crate) use log::{long, visible};
pub use name_changes::{ConfigChanges, NameChanges, NameList};
pub use record::{ConnectionPeer, Record, SessionUser, Who};

use ledger_limits::LedgerLimits;
use limits::Limits;
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::{sync::broadcast, time::sleep};

/// The interval at which the log writes the counts of suppressed lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// The number of records that a subscriber may be behind.
const BUS_RECORDS: usize = 4_096;

/// The recorder of events. Cheap to clone; clones share their limits and their subscribers.
#[derive(Clone)]
pub struct Events(Arc<EventsState>);

struct EventsState {
    node: Arc<str>,
    limits: Limits,
    ledger_limits: LedgerLimits,
    spool: OnceLock<Arc<dyn RecordSpool>>,
    bus: broadcast::Sender<Arc<Record>>,
}

/// Takes every record before anything else learns of it, and keeps it across a kill of the server.
pub trait RecordSpool: fmt::Debug + Send + Sync {
    /// Appends a record. Returns when a kill of the server can't lose it any more, and counts it as lost if the spool
    /// can't take it. While the disk takes no write, it returns after a moment, and a kill may lose the record.
    fn append(&self, record: &Record);
}

impl Events {
    /// Creates the recorder of the node with this name.
    #[must_use]
    pub fn new(node: &str) -> Self {
        let (bus, _) = broadcast::channel(BUS_RECORDS);
        Self(Arc::new(EventsState {
            node: node.into(),
            limits: Limits::default(),
            ledger_limits: LedgerLimits::default(),
            spool: OnceLock::new(),
            bus,
        }))
    }

    /// Passes all records from now on to `spool`, too. Call it once, before the first record.
    pub(crate) fn spool_to(&self, spool: Arc<dyn RecordSpool>) {
        // A second spool would get a part of the records.
        let _ = self.0.spool.set(spool);
    }

    /// Records `event` of the party `who`. The log suppresses the line if its source or user has had too many, and
    /// writes it later if the user has had many at once.
    /// Subscribers get every record.
    pub(crate) fn record(&self, who: Who, event: Event) {
        let EventsState { node, limits, .. } = &*self.0;
        let record = self.spooled(Record::new(Arc::clone(node), who, event));
        if log::is_wanted(&record.event) && limits.admit(&record) {
            log::write(&record);
        }
        self.send(record);
    }

    /// Records that `event` happened to `who` for the other sinks than the log, because it has no line, or its line was
    /// suppressed already.
    pub(crate) fn record_unlogged(&self, who: Who, event: Event) {
        self.send(self.spooled(Record::new(Arc::clone(&self.0.node), who, event)));
    }

    /// True if another sink than the log takes records.
    pub(crate) fn has_other_sinks(&self) -> bool {
        self.0.spool.get().is_some() || self.has_subscribers()
    }

    fn spooled(&self, record: Record) -> Record {
        if let Some(spool) = self.0.spool.get()
            && self.0.ledger_limits.admit(&record)
        {
            spool.append(&record);
        }
        record
    }

    /// True if the bus has a subscriber.
    fn has_subscribers(&self) -> bool {
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
                self.0.report();
            }
        };
        tokio::join!(self.0.limits.backlog.write(), report);
    }

    /// Writes all log lines that wait, and the number of those suppressed since the last report: one line for each user
    /// and source.
    pub(crate) fn finish_log(&self) {
        self.0.limits.backlog.write_all();
        self.0.report();
    }
}

impl EventsState {
    fn report(&self) {
        self.limits.report();
        self.ledger_limits.report();
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("node", &self.0.node).finish_non_exhaustive()
    }
}
