//! Wharfinger: a managed, multi-tenant SFTP server whose storage is Amazon S3.
//!
//! The path of the bytes, which is also a good order for reading the code:
//!
//! ```text
//! socket → ssh (russh) → sftp::wire::Request → sftp::channel → vfs → store → aws_sdk_s3 → S3
//! socket ← ssh (russh) ← sftp::wire::Reply   ← vfs::Error ← store::Error ← SdkError
//! ```
//!
//! `name`, `account` and `clock` are the ground: parsed names, plain data about tenants and users, and the wall clock.
//! `vfs` joins accounts and storage into a user's tree; `sftp` speaks SFTP over it; `ssh` is the edge that uses russh,
//! `cloud` the module that holds credentials, `ledger` the one that uses SQL. `app` assembles all parts.
//! `tests/integration/layering` enforces the order.

pub mod access;
pub mod account;
pub mod app;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod demo;
pub mod events;
pub mod files;
pub mod identity;
pub mod ledger;
pub mod name;
pub mod policy;
pub mod session;
pub mod sftp;
pub mod ssh;
pub mod store;
pub mod vfs;
