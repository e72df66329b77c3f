//! The wall clock. No other module asks the system for the time of day; `clippy.toml` of the workspace enforces it.

use std::time::SystemTime;

/// Returns the current time.
#[allow(clippy::disallowed_methods, reason = "the one place that asks the system")]
pub(crate) fn now() -> SystemTime {
    SystemTime::now()
}
