//! Issue 17.1: the config is live.

mod day;
mod server;
mod sessions;
