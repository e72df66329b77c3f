//! Wharfinger: a managed, multi-tenant SFTP server whose storage is Amazon S3.
//!
//! The way of the bytes, which is also the order to read the code in:
//!
//! ```text
//! socket → ssh (russh) → session → sftp::Request → dispatch → vfs → store → aws_sdk_s3 → S3
//! socket ← ssh (russh) ← session ← sftp::Reply   ← status  ← vfs::Error ← store::Error ← SdkError
//! ```
//!
//! `sftp`, `store`, `account` and `files` know nothing of the rest. `vfs` joins accounts and storage into the tree that a
//! user sees; `session` speaks SFTP over it; `ssh` is the edge that knows russh, `cloud` the one that knows credentials,
//! `ledger` the one that knows SQL.
//! `app` puts it all together. `tests/integration/layering.rs` keeps it so.

pub mod account;
pub mod app;
pub mod cli;
pub mod cloud;
pub mod config;
pub mod demo;
pub mod events;
pub mod files;
pub mod identity;
pub mod ledger;
pub mod policy;
pub mod sftp;
pub mod ssh;
pub mod store;
pub mod vfs;
