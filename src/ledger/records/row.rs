//! The row of a record: the table and the value of each column.
//!
//! Columns are found by their names, so that lines of the spool that another version wrote still fit.

use super::table::RecordTable;
use crate::{
    events::{ClientProgram, Event, Outcome, Record, Transfer, TransferredObject, Who},
    name::UserName,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{borrow::Cow, collections::BTreeMap, time::Duration};

/// The most bytes of a text. The problems of a reload can have more.
const MAX_CELL_BYTES: usize = 16 * 1024;

/// The value of a column that isn't `NULL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum CellValue {
    Integer(i64),
    Text(String),
}

/// A row of a table of records. Columns without a value are `NULL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RecordRow {
    pub(super) table: RecordTable,
    pub(super) values: BTreeMap<Cow<'static, str>, CellValue>,
}

impl RecordRow {
    /// Returns the row of `record`. `None` for an event that has no row of its own.
    pub(super) fn of(record: &Record) -> Option<Self> {
        // The event decides the table.
        let mut row = Self { table: RecordTable::Operations, values: BTreeMap::new() };
        row.set_text("id", record.id.to_string());
        row.set_integer("at_ms", i64::try_from(record.at.unix_timestamp_nanos() / 1_000_000).unwrap_or(i64::MAX));
        row.set_text("node", record.node.to_string());
        row.set_who(&record.who);
        row.table = row.set_event(&record.event)?;
        Some(row)
    }

    pub(super) fn set_text(&mut self, column: &'static str, value: impl Into<String>) {
        let mut value = value.into();
        // PostgreSQL's text takes no zero byte.
        if value.contains('\0') {
            value = value.replace('\0', "\u{fffd}");
        }
        value.truncate(value.floor_char_boundary(MAX_CELL_BYTES));
        self.values.insert(column.into(), CellValue::Text(value));
    }

    pub(super) fn set_integer(&mut self, column: &'static str, value: i64) {
        self.values.insert(column.into(), CellValue::Integer(value));
    }

    /// Returns the text in a column.
    pub(super) fn text(&self, column: &str) -> Option<&str> {
        match self.values.get(column) {
            Some(CellValue::Text(text)) => Some(text),
            Some(CellValue::Integer(_)) | None => None,
        }
    }

    /// Returns the integer in a column.
    pub(super) fn integer(&self, column: &str) -> Option<i64> {
        match self.values.get(column) {
            Some(CellValue::Integer(integer)) => Some(*integer),
            Some(CellValue::Text(_)) | None => None,
        }
    }

    fn set_some(&mut self, column: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.set_text(column, value);
        }
    }

    fn set_count(&mut self, column: &'static str, value: u64) {
        self.set_integer(column, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn set_duration(&mut self, duration: Duration) {
        self.set_integer("duration_ms", i64::try_from(duration.as_millis()).unwrap_or(i64::MAX));
    }

    fn set_outcome(&mut self, outcome: &Outcome) {
        let (result, error) = match outcome {
            Outcome::Done => ("done", None),
            Outcome::Abandoned => ("abandoned", None),
            Outcome::Refused(error) => ("refused", Some(error.as_str())),
            Outcome::Failed(error) => ("failed", Some(error.as_str())),
        };
        self.set_text("result", result);
        self.set_some("error", error);
    }

    fn set_who(&mut self, who: &Who) {
        match who {
            Who::Session(user) => {
                self.set_text("tenant", user.tenant.as_str());
                self.set_text("user_name", user.user.as_str());
                self.set_text("session", &*user.session);
            }
            Who::Connection(peer) => self.set_some("session", peer.connection.as_deref()),
            Who::Maintenance { tenant, user } => {
                self.set_text("tenant", tenant.as_str());
                self.set_some("user_name", user.as_ref().map(UserName::as_str));
            }
            Who::Server {} => {}
        }
        if let Some((source, vpc_endpoint)) = who.peer() {
            self.set_text("source_ip", source.ip().to_canonical().to_string());
            self.set_integer("source_port", source.port().into());
            self.set_some("vpc_endpoint", vpc_endpoint.map(|endpoint| &**endpoint));
        }
    }

    /// Sets the columns of the event, and returns its table. `None` for an event without a row.
    fn set_event(&mut self, event: &Event) -> Option<RecordTable> {
        Some(match event {
            Event::LoginAccepted { method, fingerprint, client } => {
                self.set_login("accepted", method, fingerprint.as_deref(), client);
                RecordTable::Logins
            }
            Event::LoginRefused { name, method, reason, fingerprint, client } => {
                self.set_login("refused", method, fingerprint.as_deref(), client);
                self.set_text("user_name", name.as_str());
                self.set_text("reason", reason.as_ref());
                RecordTable::Logins
            }
            Event::SessionStarted => {
                self.set_text("event", "started");
                RecordTable::Sessions
            }
            Event::SessionEnded { duration, received_bytes, sent_bytes, suppressed, reason } => {
                self.set_text("event", "ended");
                self.set_duration(*duration);
                self.set_count("received_bytes", *received_bytes);
                self.set_count("sent_bytes", *sent_bytes);
                self.set_count("suppressed", *suppressed);
                self.set_some("reason", reason.as_deref());
                RecordTable::Sessions
            }
            Event::SessionEndAsked { operator_uid } => {
                self.set_text("event", "end_asked");
                self.set_integer("operator_uid", i64::from(*operator_uid));
                RecordTable::Sessions
            }
            Event::FileClosed { transfer_id, path, transfer, bytes, size, duration, outcome, object } => {
                self.set_transfer((transfer_id.to_string(), path, *transfer), *size, object.as_deref());
                self.set_count("bytes", *bytes);
                self.set_duration(*duration);
                self.set_outcome(outcome);
                RecordTable::Transfers
            }
            Event::TransferResolved { transfer_id, path, transfer, outcome, size, object } => {
                self.set_transfer((transfer_id.to_string(), path, *transfer), *size, object.as_deref());
                self.set_outcome(outcome);
                RecordTable::Transfers
            }
            Event::Changed { change, path, target, duration, outcome } => {
                self.set_text("change", change.to_string());
                self.set_text("path", path.as_str());
                self.set_some("target", target.as_deref());
                self.set_duration(*duration);
                self.set_outcome(outcome);
                RecordTable::Changes
            }
            Event::ConnectionRefused { reason } => self.set_refusal("connection", reason),
            Event::ConnectionEnded { reason, client } => {
                self.set_some("client", client.version.as_deref());
                self.set_refusal("connection_ended", reason)
            }
            Event::ServiceRefused { service, is_probe: _ } => {
                self.set_text("subject", service.as_str());
                self.set_refusal("service", "only sftp is served")
            }
            Event::RequestFailed { request, path, outcome } => {
                self.set_text("kind", "request");
                self.set_text("request", *request);
                self.set_text("subject", path.as_str());
                self.set_outcome(outcome);
                RecordTable::Refusals
            }
            Event::UploadNotAborted { .. }
            | Event::InterruptedUploadAborted { .. }
            | Event::UnknownUploadAborted { .. }
            | Event::OpenUploadsNotListed { .. }
            | Event::RoleOpen { .. }
            | Event::RoleClosed { .. }
            | Event::RenameRepaired { .. }
            | Event::ConfigReloaded { .. }
            | Event::ReloadRefused { .. }
            | Event::TenantRefused { .. } => self.set_operation(event),
            // The end of the transfer has a row.
            Event::FileOpened { .. } | Event::UploadPublishing { .. } => return None,
        })
    }

    fn set_login(&mut self, result: &'static str, method: &str, fingerprint: Option<&str>, client: &ClientProgram) {
        self.set_text("result", result);
        self.set_text("method", method);
        self.set_some("key_fingerprint", fingerprint);
        self.set_some("client", client.version.as_deref());
        self.set_some("algorithms", client.algorithms.as_deref());
    }

    fn set_refusal(&mut self, kind: &'static str, reason: &str) -> RecordTable {
        self.set_text("kind", kind);
        self.set_text("result", "refused");
        self.set_text("error", reason);
        RecordTable::Refusals
    }

    /// The id of the row is the transfer's, so that a transfer has one row whatever a kill makes the server record twice.
    fn set_transfer(
        &mut self,
        (transfer_id, path, transfer): (String, &str, Transfer),
        size: Option<u64>,
        object: Option<&TransferredObject>,
    ) {
        self.set_text("id", transfer_id);
        self.set_text("path", path);
        self.set_text("direction", transfer.to_string());
        if let Some(size) = size {
            self.set_count("size_bytes", size);
        }
        if let Some(TransferredObject { bucket, key, etag, version, checksum_crc64nvme, request_id }) = object {
            self.set_text("bucket", bucket.as_str());
            self.set_text("object_key", key.as_str());
            // An empty file that was opened for reading has an unknown ETag.
            self.set_some("etag", Some(etag.as_str()).filter(|etag| !etag.is_empty()));
            self.set_some("version_id", version.as_deref());
            self.set_some("checksum_crc64nvme", checksum_crc64nvme.as_deref());
            self.set_some("request_id", request_id.as_deref());
        }
    }

    /// The fields of an operation differ from event to event, so that all of them stand in one column, too.
    fn set_operation(&mut self, event: &Event) -> RecordTable {
        if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
            let text = |name: &str| fields.get(name).and_then(Value::as_str);
            self.set_some("event", text("event"));
            self.set_some("subject", ["upload_id", "rename_id", "role", "file"].into_iter().find_map(text));
            self.set_some("result", text("outcome"));
            self.set_some("error", text("error"));
            self.set_text("detail", Value::Object(fields.clone()).to_string());
        }
        RecordTable::Operations
    }
}
