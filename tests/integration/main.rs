//! Tests that need more than one module: one binary, one file for each promise.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod access;
mod bucket_address;
mod check;
mod claims;
mod compose;
mod control;
mod crossing;
mod daily_limits;
mod edit;
mod faults;
mod isolation;
mod layering;
mod ledger;
mod locks;
mod model;
mod object_settings;
mod patches;
mod readme;
mod registry;
mod reload;
mod request_path;
mod roles;
mod s3;
mod s3_wire;
mod semantics;
mod session;
mod soak;
mod ssh;
#[path = "../support/mod.rs"]
mod support;
mod verify;
mod words;
