//! Who exists and what they may do, in IAM's words: users, roles, policies, and who owns which bucket. Plain and pure:
//! nothing here does IO, looks at a clock or knows a protocol.
//!
//! ```text
//! text → document → policy | trust          (what isn't understood whole is refused)
//! principal + action + resource + context → decision
//! ```
//!
//! It understands less than AWS does, never more: no policies of buckets (so that a principal reaches the buckets of
//! its own account only), no `NotAction`, `NotResource` or policy variables, few condition operators and keys. A policy
//! that holds any of these is malformed here, so that nothing is granted by being overlooked. In two places it is
//! stricter than AWS: an action that it never heard of is refused, and a caller needs the trust policy **and** a policy
//! of its own to assume a role, in its own account too.

mod account;
mod condition;
mod decision;
mod document;
mod pattern;
mod policy;
mod principal;
mod register;
mod trust;
mod vocabulary;

pub use account::{AccountId, NoAccountId};
pub use document::Malformed;
pub use policy::Policy;
pub use register::{Role, User};
pub use trust::TrustPolicy;

pub(super) use condition::Context;
pub(super) use decision::{Denial, Request};
pub(super) use principal::Principal;
pub(super) use register::Register;
