//! Limits that are counted across connections. This module decides and does no IO.
//!
//! Check and take are one step, under one lock or in one atomic, and a guard gives back on drop. So no count is doubled or
//! lost.

mod connections;
mod counts;
mod daily_usage;
mod pacing;
mod password_checks;
mod rates;
mod source;
mod tries;
mod unfinished;

pub use connections::{
    Arrival, ConnectionLimits, ConnectionRefusal, Connections, LoggedIn, LoggedInLimits, LoginProgress, Parties,
    Unauthenticated,
};
pub(crate) use counts::{
    ConnectionCounts, CountRefusal, CountTable, HandlePermit, MAX_DATA_BYTES, MAX_HANDLES, MAX_REQUESTS,
    MAX_TENANT_REQUESTS,
};
pub use daily_usage::{DailyLimitReached, DailyUsage, DayTotals, TenantUsage, UtcDay};
pub(crate) use daily_usage::{DayCharge, RequestScope, must_end};
pub use pacing::PacerTable;
pub(crate) use pacing::{S3Pacers, SessionPacers, TakerKind, TenantPacers};
pub use password_checks::{Busy, PasswordCheck, PasswordChecks};
pub(crate) use rates::{Rate, Rates, RefusedTokens};
pub use source::Source;
pub(crate) use tries::LoginTries;
pub use unfinished::LoginRate;
