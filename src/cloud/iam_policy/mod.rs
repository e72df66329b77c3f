//! IAM policy documents. All of them name the actions of one table, `actions.rs`.

mod actions;
mod arns;
mod document;
mod no_policy;
mod session;

pub use no_policy::{MAX_CHARACTERS, NoPolicy};
pub use session::SessionPolicy;
