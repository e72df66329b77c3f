//! A hook for the owner of uploads and copies: what they leave in S3.

use crate::name::Key;
use std::fmt;

/// Receives what uploads and copies leave in S3. Their tasks call it, so it must not wait.
pub trait LeftoverObserver: fmt::Debug + Send + Sync {
    /// An upload to `key` or a copy in parts was abandoned, and S3 didn't abort it: its parts take up space. `upload` is
    /// S3's id of it.
    fn not_aborted(&self, key: &Key, upload: &str, error: &dyn fmt::Display);
}

/// The observer of work without an owner.
#[derive(Debug)]
pub struct NoObserver;

impl LeftoverObserver for NoObserver {
    fn not_aborted(&self, _: &Key, _: &str, _: &dyn fmt::Display) {}
}
