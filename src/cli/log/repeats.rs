//! The limit on warnings from one place in the source: 2,000 uploads that can't be aborted become a few lines and a
//! count. It applies to our warnings and errors and to those of libraries. Events have limits of their own, by user and
//! source.

use crate::policy::{Rate, Rates};
use std::sync::Arc;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::{Layer, layer::Context};

/// The lines of one place: the burst, then the rate per second.
const RATE: Rate = Rate::new(20, 1);

/// The module whose lines already have a limit.
const EVENTS: &str = "wharfinger::events::log";

/// The module and the line of a warning in the source.
pub(super) type WarningSite = (&'static str, Option<u32>);

/// The token buckets of all places. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Repeats(Arc<Rates<WarningSite>>);

impl Default for Repeats {
    fn default() -> Self {
        Self(Arc::new(Rates::new(RATE)))
    }
}

impl Repeats {
    /// Returns the places whose warnings were suppressed since the last call, and their counts.
    pub(super) fn take_suppressed(&self) -> Vec<(WarningSite, u64)> {
        self.0.take_refused().by_key
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _: Context<'_, S>) -> bool {
        let metadata = event.metadata();
        *metadata.level() > Level::WARN
            || metadata.target() == EVENTS
            || self.0.take(&(metadata.target(), metadata.line()))
    }
}
