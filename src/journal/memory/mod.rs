//! A journal in memory: it ends with the process, records the calls to it, and is down when a test says so.
//!
//! `state.rs` has the journal and its state. Each of the other files adds the calls about one kind of rows.

mod attributes;
mod claims;
mod directories;
mod directory_rows;
mod locks;
mod role_verdicts;
mod state;
mod task_rows;
mod tasks;
mod usage;

pub use state::MemoryJournal;
