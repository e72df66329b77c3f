//! Issue 17.1: the config is live.

mod server;
mod sessions;
