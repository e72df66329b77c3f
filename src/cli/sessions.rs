//! `wharfinger sessions`: lists the sessions of the running server, and ends them.

use super::{
    config_file::ConfigFile,
    table::{json, table},
    units,
};
use crate::{
    control::{EndTarget, SessionAnswer, TransferAnswer, client},
    events::{long, visible},
};
use clap::{Args, Subcommand};
use std::{
    io::{self, ErrorKind, Write as _},
    path::Path,
    process::ExitCode,
};

/// List the sessions of the running server and their open transfers, or end some
///
/// Run it as root or as the server's user.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct SessionsArgs {
    #[command(subcommand)]
    action: Option<SessionAction>,
    #[command(flatten)]
    config: ConfigFile,
    /// Print an array of JSON objects. Decoded, its texts are exact
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum SessionAction {
    End(EndArgs),
}

/// End sessions: acknowledged changes stay, unfinished uploads can be resumed
///
/// Prints the number of sessions. Exits with 1 if no session has the given ID.
#[derive(Debug, Args)]
struct EndArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    target: EndTargetArgs,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct EndTargetArgs {
    /// The session, as `wharfinger sessions` and the log name it
    id: Option<String>,
    /// All sessions of this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// All sessions of this tenant's users
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

impl SessionsArgs {
    /// # Errors
    /// The server doesn't run, or doesn't answer.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.action {
            Some(SessionAction::End(end)) => end.run(),
            None => list(self.config.path(), self.json),
        }
    }
}

impl EndArgs {
    fn run(self) -> anyhow::Result<ExitCode> {
        let EndTargetArgs { id, user, tenant } = self.target;
        let targets = [id.map(EndTarget::Session), user.map(EndTarget::User), tenant.map(EndTarget::Tenant)];
        // The command line has exactly one.
        let Some(target) = targets.into_iter().flatten().next() else { return Ok(ExitCode::FAILURE) };
        let is_one = matches!(target, EndTarget::Session(_));
        let ended = client::end(self.config.path(), target)?;
        if is_one && ended == 0 {
            eprintln!("no session has this ID, or it ends already");
            return Ok(ExitCode::FAILURE);
        }
        println!("{ended} session{} asked to end", if ended == 1 { " was" } else { "s were" });
        Ok(ExitCode::SUCCESS)
    }
}

fn list(config: &Path, is_json: bool) -> anyhow::Result<ExitCode> {
    let sessions = client::sessions(config)?;
    let text = if is_json { json(&sessions)? } else { text(&sessions) };
    match writeln!(io::stdout(), "{text}") {
        // The reader has seen enough, as `head` has.
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Returns the table of the sessions. The open transfers of a session follow its row.
fn text(sessions: &[SessionAnswer]) -> String {
    let header = ["ID", "TENANT", "USER", "SOURCE", "CLIENT", "SINCE", "RECEIVED", "SENT"].map(str::to_owned);
    let rows: Vec<_> = [header].into_iter().chain(sessions.iter().map(row)).collect();
    let table = table(&rows);
    let mut rows = table.lines();
    let mut lines: Vec<String> = rows.next().map(str::to_owned).into_iter().collect();
    for (line, session) in rows.zip(sessions) {
        lines.push(line.to_owned());
        lines.extend(session.transfers.iter().map(|transfer| format!("    {}", progress(transfer))));
        let more = session.open_transfers.saturating_sub(session.transfers.len());
        if more > 0 {
            lines.push(format!("    and {more} more open transfers"));
        }
    }
    lines.join("\n")
}

fn row(session: &SessionAnswer) -> [String; 8] {
    let source = match &session.vpc_endpoint {
        Some(endpoint) => format!("{} ({})", session.source, visible(endpoint)),
        None => session.source.clone(),
    };
    [
        session.id.clone(),
        session.tenant.clone(),
        session.user.clone(),
        source,
        session.client.as_deref().map(visible).unwrap_or_default(),
        units::time(session.since),
        units::bytes(session.received_bytes),
        units::bytes(session.sent_bytes),
    ]
}

fn progress(TransferAnswer { path, transfer, bytes, resumed_bytes, size, .. }: &TransferAnswer) -> String {
    let (path, transfer, done) = (long(path), visible(transfer), units::bytes(*bytes));
    let of = match size {
        Some(size) => {
            let percent = u128::from(*bytes).saturating_mul(100).checked_div(u128::from(*size)).unwrap_or(100);
            format!(" of {} ({percent} %)", units::bytes(*size))
        }
        None => String::new(),
    };
    let resumed = resumed_bytes.map(|bytes| format!(", resumed after {}", units::bytes(bytes))).unwrap_or_default();
    format!("{transfer} {path}: {done}{of}{resumed}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::OffsetDateTime;

    #[test]
    fn a_session_is_a_row_and_each_transfer_a_line_in_which_nothing_can_be_forged() {
        let now = OffsetDateTime::UNIX_EPOCH;
        let transfer = |path: &str, transfer: &str, size, resumed_bytes| TransferAnswer {
            path: path.into(),
            transfer: transfer.into(),
            since: now,
            bytes: 1 << 20,
            resumed_bytes,
            size,
        };
        let transfers = vec![
            transfer("/a\nb", "download", Some(4 << 20), None),
            transfer("/empty", "download", Some(0), None),
            transfer("/\u{1b}[2Jc", "upload\u{9b}", None, Some(8 << 20)),
        ];
        let session = SessionAnswer {
            id: "5f0c9a1be2d34c77".into(),
            tenant: "acme".into(),
            user: "alice".into(),
            source: "192.0.2.7:4711".into(),
            vpc_endpoint: None,
            protocol: "sftp".into(),
            client: Some("SSH-2.0-x\u{1b}]0;t\u{7}\u{202e}".into()),
            since: now,
            received_bytes: 3,
            sent_bytes: 2_048,
            open_transfers: 5,
            transfers,
        };
        let text = text(&[session]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(
            lines[1..],
            [
                "5f0c9a1be2d34c77  acme    alice  192.0.2.7:4711  SSH-2.0-x\\u{1b}]0;t\\u{7}\\u{202e}  1970-01-01 \
                 00:00:00Z  3 B       2.0 KiB",
                "    download /a\\nb: 1.0 MiB of 4.0 MiB (25 %)",
                "    download /empty: 1.0 MiB of 0 B (100 %)",
                "    upload\\u{9b} /\\u{1b}[2Jc: 1.0 MiB, resumed after 8.0 MiB",
                "    and 2 more open transfers",
            ]
        );
    }
}
