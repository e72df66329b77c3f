//! Issue 17.1: the config is live.

mod clients;
mod day;
mod edge;
mod opens;
pub mod server;
mod sessions;
mod tasks;
