//! A user who is in, whatever the protocol.

mod activity;
mod outcome;

pub use activity::{Activity, Serving};
pub use outcome::{detail, is_ordinary, outcome};
