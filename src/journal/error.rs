//! The failure of the journal.

/// The journal can't be reached, or took too long. It logs the reason itself, once. The caller continues without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the journal doesn't answer")]
pub struct JournalDown;
