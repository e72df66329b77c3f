//! The tables of records, and their columns. The statements that fill them are made from this list; a test compares it
//! with the migrations.

use serde::{Deserialize, Serialize};

/// A table of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::ledger) enum RecordTable {
    Logins,
    Sessions,
    Transfers,
    Changes,
    Refusals,
    Operations,
}

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColumnType {
    Text,
    Integer,
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: ColumnType,
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Text }
}

const fn integer(name: &'static str) -> Column {
    Column { name, kind: ColumnType::Integer }
}

/// The columns that every table has: the record, its place in the spool, and the party concerned.
pub(super) const OF_ALL_TABLES: [Column; 11] = [
    text("id"),
    integer("at_ms"),
    text("node"),
    text("process"),
    integer("number"),
    text("tenant"),
    text("user_name"),
    text("session"),
    text("source_ip"),
    integer("source_port"),
    text("vpc_endpoint"),
];

const LOGINS: [Column; 6] =
    [text("result"), text("method"), text("reason"), text("key_fingerprint"), text("client"), text("algorithms")];
const SESSIONS: [Column; 7] = [
    text("event"),
    integer("duration_ms"),
    integer("received_bytes"),
    integer("sent_bytes"),
    integer("suppressed"),
    text("reason"),
    integer("operator_uid"),
];
const TRANSFERS: [Column; 13] = [
    text("direction"),
    text("path"),
    text("bucket"),
    text("object_key"),
    text("etag"),
    text("version_id"),
    text("checksum_crc64nvme"),
    text("request_id"),
    integer("size_bytes"),
    integer("bytes"),
    integer("duration_ms"),
    text("result"),
    text("error"),
];
const CHANGES: [Column; 6] =
    [text("change"), text("path"), text("target"), integer("duration_ms"), text("result"), text("error")];
const REFUSALS: [Column; 6] =
    [text("kind"), text("request"), text("subject"), text("result"), text("error"), text("client")];
const OPERATIONS: [Column; 5] = [text("event"), text("subject"), text("result"), text("error"), text("detail")];

impl RecordTable {
    pub(in crate::ledger) const ALL: [Self; 6] =
        [Self::Logins, Self::Sessions, Self::Transfers, Self::Changes, Self::Refusals, Self::Operations];

    pub(in crate::ledger) fn name(self) -> &'static str {
        match self {
            Self::Logins => "logins",
            Self::Sessions => "sessions",
            Self::Transfers => "transfers",
            Self::Changes => "changes",
            Self::Refusals => "refusals",
            Self::Operations => "operations",
        }
    }

    /// All columns, in the order of the statements.
    pub(super) fn columns(self) -> impl Iterator<Item = Column> {
        OF_ALL_TABLES.into_iter().chain(self.own_columns().iter().copied())
    }

    fn own_columns(self) -> &'static [Column] {
        match self {
            Self::Logins => &LOGINS,
            Self::Sessions => &SESSIONS,
            Self::Transfers => &TRANSFERS,
            Self::Changes => &CHANGES,
            Self::Refusals => &REFUSALS,
            Self::Operations => &OPERATIONS,
        }
    }
}
