//! Writes the one log line of an event.

use super::{
    ClientProgram, ConfigChanges, ConnectionPeer, Event, Outcome, Record, SessionUser, Who,
    event::{MAX_NAME_CHARACTERS, MAX_PATH_CHARACTERS, whole_millis},
};
use crate::{
    name::{TenantName, UserName},
    policy::Source,
};
use std::sync::Arc;
use tracing::{Level, enabled, error, field::display, info, warn};

const QUOTES: [char; 2] = ['"', '\''];

/// Writes the record's line. Escapes text that clients chose (see `visible`), so that no name can forge a line.
pub(crate) fn write(record: &Record) {
    match (&record.who, &record.event) {
        (Who::Session(user), event @ (Event::ConnectionEnded { .. } | Event::ServiceRefused { .. })) => {
            let SessionUser { session, source, vpc_endpoint, .. } = &**user;
            let (connection, vpc_endpoint) = (Some(Arc::clone(session)), vpc_endpoint.clone());
            write_of_connection(Some(user), &ConnectionPeer { connection, source: *source, vpc_endpoint }, event);
        }
        (Who::Session(user), event) => write_of_session(user, event),
        (Who::Connection(peer), event) => write_of_connection(None, peer, event),
        (Who::Maintenance { tenant, user }, event) => write_of_maintenance(tenant, user.as_ref(), event),
        (Who::Server {}, event) => write_of_server(None, event),
    }
}

/// Writes a line of a connection, with the user that is logged in on it.
fn write_of_connection(user: Option<&SessionUser>, peer: &ConnectionPeer, event: &Event) {
    let (tenant, user) = user.map(|user| (display(&user.tenant), display(&user.user))).unzip();
    let ConnectionPeer { connection, source, vpc_endpoint } = peer;
    let (source_ip, vpc_endpoint, connection) =
        (source.ip(), vpc_endpoint.as_deref(), connection.as_ref().map(display));
    match event {
        Event::ConnectionRefused { reason } => {
            warn!(%source_ip, vpc_endpoint, reason, "connection refused");
        }
        Event::LoginRefused { name, method, reason, fingerprint, client } => {
            let (version, algorithms) = program(client);
            warn!(
                user = visible(name), %source_ip, vpc_endpoint, connection, method, reason = visible(reason), fingerprint,
                client = version, algorithms, "login refused"
            );
        }
        Event::ConnectionEnded { reason, client } => {
            let ((version, algorithms), reason) = (program(client), long(reason));
            info!(
                tenant, user, %source_ip, vpc_endpoint, connection, reason, client = version, algorithms,
                "connection ended"
            );
        }
        Event::ServiceRefused { service, is_probe } => {
            let service = visible(service);
            if *is_probe {
                info!(
                    tenant, user, %source_ip, vpc_endpoint, connection, service,
                    "service refused: only sftp is served"
                );
            } else {
                warn!(
                    tenant, user, %source_ip, vpc_endpoint, connection, service,
                    "service refused: only sftp is served"
                );
            }
        }
        // These events belong to a session or to maintenance.
        Event::LoginAccepted { .. }
        | Event::SessionStarted
        | Event::SessionEnded { .. }
        | Event::SessionEndAsked { .. }
        | Event::FileOpened { .. }
        | Event::UploadPublishing { .. }
        | Event::FileClosed { .. }
        | Event::TransferResolved { .. }
        | Event::Changed { .. }
        | Event::RequestFailed { .. }
        | Event::UploadNotAborted { .. }
        | Event::InterruptedUploadAborted { .. }
        | Event::UnknownUploadAborted { .. }
        | Event::OpenUploadsNotListed { .. }
        | Event::RoleOpen { .. }
        | Event::RoleClosed { .. }
        | Event::RenameRepaired { .. }
        | Event::ConfigReloaded { .. }
        | Event::ReloadRefused { .. }
        | Event::TenantRefused { .. } => {}
    }
}

fn write_of_session(who: &SessionUser, event: &Event) {
    match event {
        Event::LoginAccepted { method, fingerprint, client } => {
            let SessionUser { session: connection, tenant, user, source, vpc_endpoint } = who;
            let (vpc_endpoint, (version, algorithms)) = (vpc_endpoint.as_deref(), program(client));
            info!(
                %tenant, %user, source_ip = %source.ip(), source_port = source.port(), vpc_endpoint, %connection, method,
                fingerprint, client = version, algorithms, "login"
            );
        }
        Event::SessionStarted => session!(info, who, "session started"),
        Event::SessionEnded { duration, received_bytes, sent_bytes, suppressed, reason } => {
            let duration_ms = whole_millis(*duration);
            let suppressed = Some(suppressed).filter(|suppressed| **suppressed > 0);
            match reason {
                None => session!(info, who, "session ended", duration_ms, received_bytes, sent_bytes, suppressed),
                Some(reason) => {
                    let reason = long(reason);
                    session!(warn, who, "session ended", duration_ms, received_bytes, sent_bytes, suppressed, reason);
                }
            }
        }
        Event::SessionEndAsked { operator_uid } => session!(info, who, "session end asked", operator_uid),
        Event::FileOpened { transfer_id: _, path, transfer } => {
            session!(info, who, "file opened", path = long(path), transfer = %transfer);
        }
        Event::FileClosed { transfer_id: _, path, transfer, bytes, size, duration, outcome, object: _ } => {
            let (path, duration_ms) = (long(path), whole_millis(*duration));
            match outcome {
                Outcome::Done => {
                    session!(info, who, "file closed", path, transfer = %transfer, bytes, size, duration_ms);
                }
                Outcome::Abandoned => {
                    session!(warn, who, "file abandoned", path, transfer = %transfer, bytes, duration_ms);
                }
                Outcome::Refused(error) | Outcome::Failed(error) => {
                    let error = long(error);
                    session!(warn, who, "file failed", path, transfer = %transfer, bytes, duration_ms, error);
                }
            }
        }
        Event::TransferResolved { transfer_id: _, path, transfer, outcome, size, object: _ } => {
            let (path, error) = (long(path), outcome.error());
            session!(info, who, "interrupted transfer resolved", path, transfer = %transfer, size, error);
        }
        Event::Changed { change, path, target, duration, outcome } => {
            let (path, target, duration_ms) = (long(path), target.as_deref().map(long), whole_millis(*duration));
            match outcome {
                Outcome::Done => session!(info, who, "changed", change = %change, path, target, duration_ms),
                Outcome::Refused(_) => {
                    let error = outcome.error();
                    session!(info, who, "change failed", change = %change, path, target, duration_ms, error);
                }
                Outcome::Abandoned | Outcome::Failed(_) => {
                    let error = outcome.error();
                    session!(warn, who, "change failed", change = %change, path, target, duration_ms, error);
                }
            }
        }
        Event::RequestFailed { request, path, outcome } => {
            let (path, error) = (visible(path), outcome.error());
            if matches!(outcome, Outcome::Refused(_)) {
                session!(info, who, "request failed", request, path, error);
            } else {
                session!(warn, who, "request failed", request, path, error);
            }
        }
        Event::UploadNotAborted { id: _, key, outcome } => {
            let (key, error) = (long(key), outcome.error());
            session!(warn, who, "a multipart upload could not be aborted and takes up space", key, error);
        }
        // These events belong to a connection or to maintenance, or the CLOSE has a line.
        Event::UploadPublishing { .. }
        | Event::ConnectionRefused { .. }
        | Event::LoginRefused { .. }
        | Event::ConnectionEnded { .. }
        | Event::ServiceRefused { .. }
        | Event::InterruptedUploadAborted { .. }
        | Event::UnknownUploadAborted { .. }
        | Event::OpenUploadsNotListed { .. }
        | Event::RoleOpen { .. }
        | Event::RoleClosed { .. }
        | Event::RenameRepaired { .. }
        | Event::ConfigReloaded { .. }
        | Event::ReloadRefused { .. }
        | Event::TenantRefused { .. } => {}
    }
}

fn write_of_maintenance(tenant: &TenantName, user: Option<&UserName>, event: &Event) {
    let user = user.map(display);
    match event {
        Event::InterruptedUploadAborted { id, bucket, name, bytes, outcome } => {
            let name = long(name);
            match outcome {
                Outcome::Done => {
                    info!(id, %tenant, user, %bucket, name, bytes, "interrupted upload aborted");
                }
                Outcome::Refused(_) => {
                    let error = outcome.error();
                    warn!(id, %tenant, user, %bucket, name, error, "interrupted upload left to the bucket's lifecycle rules");
                }
                Outcome::Abandoned | Outcome::Failed(_) => {
                    let error = outcome.error();
                    warn!(id, %tenant, user, %bucket, name, error, "interrupted upload not aborted yet");
                }
            }
        }
        Event::UnknownUploadAborted { id, key, outcome } => {
            let key = long(key);
            match outcome {
                Outcome::Done => info!(%tenant, key, id, "unknown upload aborted"),
                Outcome::Abandoned | Outcome::Refused(_) | Outcome::Failed(_) => {
                    warn!(%tenant, key, id, error = outcome.error(), "unknown upload not aborted yet");
                }
            }
        }
        Event::OpenUploadsNotListed { outcome } => {
            let error = outcome.error();
            if matches!(outcome, Outcome::Refused(_)) {
                info!(%tenant, error, "open uploads can't be looked for: a lifecycle rule of the bucket must do it");
            } else {
                warn!(%tenant, error, "open uploads can't be looked for now");
            }
        }
        Event::RoleOpen { role, granted, is_accepted: false } => {
            warn!(%tenant, role, granted, "role is open: logins of the tenant's users are unavailable");
        }
        Event::RoleOpen { role, granted, is_accepted: true } => {
            info!(%tenant, role, granted, "role is open: the tenant's file accepts it");
        }
        Event::RoleClosed { role } => info!(%tenant, role, "role is no longer open"),
        Event::RenameRepaired { id, bucket, source, target, phase, removed, outcome } => {
            let (source, target) = (long(source), long(target));
            match outcome {
                Outcome::Done => {
                    info!(id, %tenant, user, %bucket, source, target, phase, removed, "rename repaired");
                }
                Outcome::Abandoned | Outcome::Refused(_) | Outcome::Failed(_) => {
                    let error = outcome.error();
                    warn!(id, %tenant, user, %bucket, source, target, phase, error, "rename not repaired yet");
                }
            }
        }
        Event::TenantRefused { .. } => write_of_server(Some(tenant), event),
        // These events belong to a session, a connection or the server.
        Event::ConnectionRefused { .. }
        | Event::LoginAccepted { .. }
        | Event::LoginRefused { .. }
        | Event::ConnectionEnded { .. }
        | Event::ServiceRefused { .. }
        | Event::SessionStarted
        | Event::SessionEnded { .. }
        | Event::SessionEndAsked { .. }
        | Event::FileOpened { .. }
        | Event::UploadPublishing { .. }
        | Event::FileClosed { .. }
        | Event::TransferResolved { .. }
        | Event::Changed { .. }
        | Event::RequestFailed { .. }
        | Event::UploadNotAborted { .. }
        | Event::ConfigReloaded { .. }
        | Event::ReloadRefused { .. } => {}
    }
}

fn write_of_server(tenant: Option<&TenantName>, event: &Event) {
    let tenant = tenant.map(display);
    match event {
        Event::ConfigReloaded { changes, needs_restart, ended_sessions } => {
            let ConfigChanges { tenants, users, listeners, host_keys, settings } = &**changes;
            let (tenants_added, users_added) = (tenants.added.text(), users.added.text());
            let (tenants_changed, users_changed) = (tenants.changed.text(), users.changed.text());
            let (tenants_removed, users_removed) = (tenants.removed.text(), users.removed.text());
            let (listeners_added, listeners_removed) = (listeners.added.text(), listeners.removed.text());
            let (host_keys_added, host_keys_removed) = (host_keys.added.text(), host_keys.removed.text());
            let settings_changed = Some(settings.join(", ")).filter(|keys| !keys.is_empty());
            let needs_restart = Some(needs_restart.join(", ")).filter(|keys| !keys.is_empty());
            info!(
                tenants_added,
                tenants_changed,
                tenants_removed,
                users_added,
                users_changed,
                users_removed,
                listeners_added,
                listeners_removed,
                host_keys_added,
                host_keys_removed,
                settings_changed,
                ended_sessions,
                needs_restart,
                "config reloaded"
            );
        }
        Event::ReloadRefused { problems } => {
            for error in problems {
                error!(error, "reload refused");
            }
        }
        Event::TenantRefused { file, is_served, problems } => {
            for error in problems {
                if *is_served {
                    error!(tenant, file, error, "tenant file refused: the tenant stays as it was");
                } else {
                    error!(tenant, file, error, "tenant file refused: the tenant is not served");
                }
            }
        }
        // These events belong to a session, a connection or the maintenance of a tenant.
        Event::ConnectionRefused { .. }
        | Event::LoginAccepted { .. }
        | Event::LoginRefused { .. }
        | Event::ConnectionEnded { .. }
        | Event::ServiceRefused { .. }
        | Event::SessionStarted
        | Event::SessionEnded { .. }
        | Event::SessionEndAsked { .. }
        | Event::FileOpened { .. }
        | Event::UploadPublishing { .. }
        | Event::FileClosed { .. }
        | Event::TransferResolved { .. }
        | Event::Changed { .. }
        | Event::RequestFailed { .. }
        | Event::UploadNotAborted { .. }
        | Event::InterruptedUploadAborted { .. }
        | Event::UnknownUploadAborted { .. }
        | Event::OpenUploadsNotListed { .. }
        | Event::RoleOpen { .. }
        | Event::RoleClosed { .. }
        | Event::RenameRepaired { .. } => {}
    }
}

/// True if the level of the log lets the event's line through. An unwanted line takes no token and isn't counted.
pub(crate) fn is_wanted(event: &Event) -> bool {
    let is_warning = match event {
        Event::ConnectionRefused { .. } | Event::LoginRefused { .. } | Event::UploadNotAborted { .. } => true,
        Event::ReloadRefused { .. } | Event::TenantRefused { .. } => return enabled!(Level::ERROR),
        Event::ServiceRefused { is_probe, .. } => !is_probe,
        Event::RoleOpen { is_accepted, .. } => !is_accepted,
        Event::LoginAccepted { .. }
        | Event::ConnectionEnded { .. }
        | Event::SessionStarted
        | Event::FileOpened { .. }
        | Event::UploadPublishing { .. }
        | Event::TransferResolved { .. }
        | Event::SessionEndAsked { .. }
        | Event::RoleClosed { .. }
        | Event::ConfigReloaded { .. } => false,
        Event::SessionEnded { reason, .. } => reason.is_some(),
        Event::FileClosed { outcome, .. }
        | Event::InterruptedUploadAborted { outcome, .. }
        | Event::UnknownUploadAborted { outcome, .. }
        | Event::RenameRepaired { outcome, .. } => *outcome != Outcome::Done,
        Event::Changed { outcome, .. }
        | Event::RequestFailed { outcome, .. }
        | Event::OpenUploadsNotListed { outcome } => !matches!(outcome, Outcome::Done | Outcome::Refused(_)),
    };
    if is_warning { enabled!(Level::WARN) } else { enabled!(Level::INFO) }
}

/// Writes the number of a user's suppressed lines.
pub(crate) fn suppressed_of_user(tenant: &TenantName, user: &UserName, lines: u64) {
    warn!(%tenant, %user, lines, "log lines suppressed");
}

/// Writes the number of suppressed lines about a tenant's maintenance.
pub(crate) fn suppressed_of_tenant(tenant: &TenantName, lines: u64) {
    warn!(%tenant, lines, "log lines suppressed");
}

/// Writes the number of a source's suppressed lines.
pub(crate) fn suppressed_of_source(source: &Source, lines: u64) {
    warn!(%source, lines, "log lines suppressed");
}

/// Writes the number of all other users' and sources' suppressed lines.
pub(crate) fn suppressed_of_others(lines: u64) {
    warn!(lines, "log lines suppressed of other users and sources");
}

/// Writes the number of a tenant's failed requests that the ledger didn't get.
pub(crate) fn unrecorded_of_tenant(tenant: &TenantName, records: u64) {
    warn!(%tenant, records, "failed requests not recorded: there were too many");
}

/// Writes the number of all other records that the ledger didn't get.
pub(crate) fn unrecorded_of_others(records: u64) {
    warn!(records, "refused connections and logins not recorded: there were too many");
}

/// A line of a session: its identity first, then the event's own fields.
macro_rules! session {
    ($level:ident, $who:expr, $message:literal $(, $($field:tt)*)?) => {{
        let SessionUser { session, tenant, user, source, vpc_endpoint } = $who;
        let vpc_endpoint = vpc_endpoint.as_deref();
        $level!(%tenant, %user, %session, source_ip = %source.ip(), vpc_endpoint, $($($field)*,)? $message);
    }};
}
use session;

/// Returns the client's program and the algorithms in use, in the log's form.
fn program(client: &ClientProgram) -> (Option<String>, Option<&str>) {
    (client.version.as_deref().map(visible), client.algorithms.as_deref())
}

impl Outcome {
    /// Returns the error of the operation, in the log's form.
    fn error(&self) -> String {
        match self {
            Self::Done => String::new(),
            Self::Abandoned => "abandoned".to_owned(),
            Self::Refused(error) | Self::Failed(error) => long(error),
        }
    }
}

/// Escapes a name or another short text that a client chose.
pub(crate) fn visible(name: &str) -> String {
    escaped(name, MAX_NAME_CHARACTERS)
}

/// Escapes a path, or a text that may quote one.
pub(crate) fn long(text: &str) -> String {
    escaped(text, MAX_PATH_CHARACTERS)
}

/// Returns the first `max` characters of `text`. Escapes every character that isn't plainly visible, and the backslash.
/// Quotes stay, because both log formats quote values themselves.
fn escaped(text: &str, max: usize) -> String {
    let end = text.char_indices().nth(max).map_or(text.len(), |(end, _)| end);
    let mut shown = String::with_capacity(end);
    for piece in text.get(..end).unwrap_or_default().split_inclusive(QUOTES) {
        let body = piece.strip_suffix(QUOTES).unwrap_or(piece);
        shown.extend(body.escape_debug());
        shown.push_str(piece.get(body.len()..).unwrap_or_default());
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_forge_lines_or_flood_the_log() {
        assert_eq!(visible("a\nINFO login\u{202e}\x1b[0m"), "a\\nINFO login\\u{202e}\\u{1b}[0m");
        assert_eq!(visible(&"x".repeat(5_000)).len(), MAX_NAME_CHARACTERS);
    }

    // Issue 12.8: U+2028 and U+202E are escaped.
    #[test]
    fn what_breaks_or_turns_a_line_is_escaped_and_what_is_plain_is_not() {
        for character in
            ["\u{2028}", "\u{2029}", "\u{202e}", "\u{2066}", "\u{200b}", "\u{feff}", "\u{7f}", "\u{85}", "\u{e0001}"]
        {
            let shown = long(&format!("/a{character}b"));
            assert!(shown.is_ascii() && shown.starts_with("/a\\u{"), "{character:?}: {shown}");
        }
        let plain = "/a \"file\" of Zoë's, Zoe\u{308}'s and 東京's";
        assert_eq!(long(plain), plain);
        assert_eq!(long("\\u{202e}"), "\\\\u{202e}", "no escape can be feigned");
        assert_eq!(long(&"ä".repeat(5_000)).chars().count(), MAX_PATH_CHARACTERS);
    }
}
