//! The uses of a ledger before this start.

/// The history of a ledger, as far as it is known before it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum History {
    /// A server has used it.
    Used,
    /// The ledger doesn't exist yet.
    New,
    /// Unknown: the ledger is in PostgreSQL, or its file doesn't tell.
    Unknown,
}
