//! How much may you? Limits that are counted across connections. Decides, does no IO.
//!
//! Check and take are one step under one lock, and what was taken is given back on drop, so that nothing is counted
//! twice or forgotten.

mod complaints;
mod connections;
mod source;
mod tries;

pub use complaints::Complaints;
pub use connections::{ConnectionLimits, Connections, LoggedIn, Refusal, Unauthenticated};
pub use source::Source;
pub use tries::LoginTries;
