//! Wharfinger: a managed, multi-tenant SFTP server whose storage is Amazon S3.
//!
//! The path of the bytes, which is also a good order for reading the code:
//!
//! ```text
//! socket → ssh (russh) → access (login) → session
//! socket → ssh (russh) → sftp::wire::Request → sftp::channel → session → vfs → upload → store → aws_sdk_s3 → S3
//! socket ← ssh (russh) ← sftp::wire::Reply   ← sftp::channel ← vfs::Error ← store::Error ← SdkError
//! ```
//!
//! `name`, `account`, `bounded`, `shares` and `clock` are the ground: names that are parsed once, plain data about tenants
//! and users, maps with a limit, permits that tenants share, and the wall clock. `tenants` is the live directory of tenants and users, which other modules ask by name. `vfs` joins
//! accounts and storage into the tree that a user sees. `access` turns credentials into a `session`, which owns the
//! tree's verbs with their records, whatever the protocol; `sftp` speaks SFTP over it. `ssh` is the edge that knows
//! russh, `control` the edge for an operator's commands, `cloud` the module that knows credentials, `ledger` the one that
//! knows SQL. `onboarding` writes the documents that the owners of buckets install. `app` puts it all together.
//!
//! `tests/integration/layering` holds the table of which module may import which.

#![warn(unreachable_pub)]

pub mod access;
pub mod account;
mod app;
mod bounded;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
mod control;
#[cfg(feature = "demo")]
pub mod demo;
pub mod download;
pub mod events;
mod files;
pub mod identity;
pub mod journal;
pub mod ledger;
pub mod memory;
pub mod name;
pub mod objects;
mod onboarding;
pub mod policy;
pub mod session;
pub mod sftp;
mod shares;
pub mod ssh;
pub mod store;
pub mod tenants;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod upload;
pub mod vfs;
