//! IAM's users, roles, policies and owners of buckets. The code is pure: it does no IO, reads no clock and knows no
//! protocol.
//!
//! ```text
//! text → document → policy | trust | policy of a resource          (anything that isn't understood is refused)
//! principal + action + resource + context → decision
//! ```
//!
//! It understands less than AWS does, never more. It has no bucket policies but the one that lets everyone read and
//! the one that delegates access to access points, so a principal reaches only the buckets of its own account, public
//! ones, and access points of other accounts whose policies let it. It has no `NotAction`, `NotResource` or policy
//! variables, and few condition operators and keys. A policy that holds any of these is malformed here, so an overlooked
//! element can grant nothing. In two places it is stricter than AWS. It refuses actions that it doesn't know. To assume a
//! role, a caller needs the role's trust policy **and** a policy of its own, even in its own account.

mod access_point;
mod account;
mod condition;
mod decision;
mod document;
mod kms_key_arn;
mod pattern;
mod policy;
mod principal;
mod principal_statements;
mod register;
mod request;
mod resource_policy;
mod role;
mod role_register;
mod trust;
mod vocabulary;

pub use access_point::AccessPoint;
pub use account::{AccountId, NoAccountId};
pub use document::MalformedPolicy;
pub use kms_key_arn::{KmsKeyArn, NoKmsKeyArn};
pub use policy::Policy;
pub use register::IamUser;
pub use resource_policy::ResourcePolicy;
pub use role::IamRole;
pub use trust::TrustPolicy;

pub(crate) use decision::AccessDenial;
pub(crate) use pattern::Pattern;
pub(crate) use principal::Principal;
pub(crate) use register::{BucketAccess, Register};
pub(crate) use request::{AuthorizationRequest, RequestContext};
pub(crate) use role::RoleDetail;
pub(crate) use role_register::{RoleError, RoleRegister};
