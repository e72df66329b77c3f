//! The record of one open file: an event when it is opened, one when it ends, whatever way it ends.

use crate::events::{Event, Events, Outcome, Transfer, Who};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// An open file. Dropped without [`OpenFile::done`] or [`OpenFile::fail`], it was abandoned.
#[derive(Debug)]
pub struct OpenFile {
    who: Who,
    events: Events,
    path: String,
    transfer: Transfer,
    since: Instant,
    bytes: AtomicU64,
    closed: bool,
}

impl OpenFile {
    /// Records that the file was opened.
    pub fn new(who: Who, events: Events, path: String, transfer: Transfer) -> Self {
        events.record(&Event::FileOpened { who: who.clone(), path: path.clone(), transfer });
        Self { who, events, path, transfer, since: Instant::now(), bytes: AtomicU64::new(0), closed: false }
    }

    /// Counts bytes of content that went through.
    pub fn count(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Has the end recorded under another path.
    pub fn rename(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// Records a good end. The file has `size` bytes: an upload that went on with what was stored before counted fewer.
    pub fn done(mut self, size: u64) {
        self.record(Outcome::Done, Some(size));
    }

    /// Records that it failed, or was refused.
    pub fn fail(mut self, outcome: Outcome) {
        self.record(outcome, None);
    }

    fn record(&mut self, outcome: Outcome, size: Option<u64>) {
        self.closed = true;
        self.events.record(&Event::FileClosed {
            who: self.who.clone(),
            path: std::mem::take(&mut self.path),
            transfer: self.transfer,
            bytes: self.bytes.load(Ordering::Relaxed),
            size,
            duration: self.since.elapsed(),
            outcome,
        });
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        if !self.closed {
            self.record(Outcome::Abandoned, None);
        }
    }
}
