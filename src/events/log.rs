//! The one line of the log that an event is.

use super::{Client, Event, Outcome, Who};
use std::time::Duration;
use tracing::{info, warn};

/// The longest piece of a name that a client chose freely and that goes to the log, in characters.
const MAX_LOGGED_NAME: usize = 256;

/// Writes the line. What clients chose is escaped (see `visible`), so that no name can forge a line.
pub fn write(event: &Event) {
    match event {
        Event::ConnectionRefused { source, vpc_endpoint, reason } => {
            let vpc_endpoint = vpc_endpoint.as_deref();
            warn!(source_ip = %source, vpc_endpoint, reason, "connection refused");
        }
        Event::LoginAccepted { connection, tenant, user, source, vpc_endpoint, method, fingerprint, client } => {
            let (vpc_endpoint, (version, algorithms)) = (vpc_endpoint.as_deref(), program(client));
            info!(
                %tenant, %user, source_ip = %source.ip(), source_port = source.port(), vpc_endpoint, %connection, method,
                fingerprint, client = version, algorithms, "login"
            );
        }
        Event::LoginRefused { connection, user, source, vpc_endpoint, method, reason, fingerprint, client } => {
            let (vpc_endpoint, (version, algorithms)) = (vpc_endpoint.as_deref(), program(client));
            warn!(
                user = visible(user), source_ip = %source.ip(), vpc_endpoint, %connection, method,
                reason = visible(reason), fingerprint, client = version, algorithms, "login refused"
            );
        }
        Event::ConnectionEnded { connection, source, vpc_endpoint, reason, client } => {
            let (vpc_endpoint, (version, algorithms)) = (vpc_endpoint.as_deref(), program(client));
            info!(
                source_ip = %source.ip(), vpc_endpoint, %connection, reason, client = version, algorithms,
                "connection ended"
            );
        }
        Event::ServiceRefused { connection, source, vpc_endpoint, service } => {
            let (vpc_endpoint, service) = (vpc_endpoint.as_deref(), visible(service));
            warn!(source_ip = %source.ip(), vpc_endpoint, %connection, service, "service refused: only sftp is served");
        }
        Event::SessionStarted(who) => session!(info, who, "session started"),
        Event::SessionEnded { who, duration, received_bytes, sent_bytes, unsaid, reason } => {
            let duration_ms = millis(*duration);
            let unsaid = Some(unsaid).filter(|unsaid| **unsaid > 0);
            match reason {
                None => session!(info, who, "session ended", duration_ms, received_bytes, sent_bytes, unsaid),
                Some(reason) => {
                    session!(warn, who, "session ended", duration_ms, received_bytes, sent_bytes, unsaid, reason = %reason);
                }
            }
        }
        Event::FileOpened { who, path, transfer } => {
            session!(info, who, "file opened", path = %path, transfer = %transfer);
        }
        Event::FileClosed { who, path, transfer, bytes, duration, outcome } => {
            let duration_ms = millis(*duration);
            match outcome {
                Outcome::Done => {
                    session!(info, who, "file closed", path = %path, transfer = %transfer, bytes, duration_ms);
                }
                Outcome::Abandoned => {
                    session!(warn, who, "file abandoned", path = %path, transfer = %transfer, bytes, duration_ms);
                }
                Outcome::Failed(error) => {
                    session!(warn, who, "file failed", path = %path, transfer = %transfer, bytes, duration_ms, error = %error);
                }
            }
        }
        Event::Changed { who, change, path, target, duration, outcome } => {
            let duration_ms = millis(*duration);
            let target = target.as_deref();
            match outcome {
                Outcome::Done => session!(info, who, "changed", change = %change, path = %path, target, duration_ms),
                Outcome::Abandoned | Outcome::Failed(_) => {
                    let error = if let Outcome::Failed(error) = outcome { error } else { "abandoned" };
                    session!(warn, who, "change failed", change = %change, path = %path, target, duration_ms, error);
                }
            }
        }
        Event::RequestFailed { who, request, path, error } => {
            session!(warn, who, "request failed", request, path = visible(path), error = %error);
        }
    }
}

/// A line of a session: its identity first, then the event's own fields.
macro_rules! session {
    ($level:ident, $who:expr, $message:literal $(, $($field:tt)*)?) => {{
        let Who { session, tenant, user, source, vpc_endpoint } = $who;
        let vpc_endpoint = vpc_endpoint.as_deref();
        $level!(%tenant, %user, %session, source_ip = %source.ip(), vpc_endpoint, $($($field)*,)? $message);
    }};
}
use session;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn program(client: &Client) -> (Option<String>, Option<&str>) {
    (client.version.as_deref().map(visible), client.algorithms.as_deref())
}

/// `name`, cut and with everything escaped that isn't plainly visible.
fn visible(name: &str) -> String {
    name.chars().take(MAX_LOGGED_NAME).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_forge_lines_or_flood_the_log() {
        assert_eq!(visible("a\nINFO login\u{202e}\x1b[0m"), "a\\nINFO login\\u{202e}\\u{1b}[0m");
        assert_eq!(visible(&"x".repeat(5_000)).len(), MAX_LOGGED_NAME);
    }
}
