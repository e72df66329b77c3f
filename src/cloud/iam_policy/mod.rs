//! IAM policy documents: those of sessions, and those that the owner of a bucket installs. All of them name the actions of
//! one table, `actions.rs`.

mod actions;
mod arns;
mod document;
mod no_policy;
mod role;
mod session;

pub use no_policy::{MAX_CHARACTERS, NoPolicy};
pub use role::{BucketPolicy, RolePolicy, RoleTrust, ServerPolicy};
pub use session::SessionPolicy;

pub(crate) use document::{ascii, is_key_arn};
