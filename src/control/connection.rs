//! One connection to the control socket: the peer is checked, one request is read, its answer is written.

use super::protocol::{
    ConfigStatus, ControlAnswer, ControlRequest, EndTarget, MAX_REQUEST_BYTES, RequestError, ServerStatus,
    SessionAnswer, SpoolUse, TenantBuffers, answers_of,
};
use crate::{
    app::Operator,
    clock::{Clock as _, SystemClock},
    session::EndSelection,
};
use std::{process, time::Duration};
use time::OffsetDateTime;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::UnixStream,
    time::timeout,
};
use tracing::{debug, warn};

/// The time in which a peer must have sent its request, and in which it must take each line of the answer.
const PEER_TIMEOUT: Duration = Duration::from_secs(3);
/// The most tenants whose memory the status lists.
const MAX_LISTED_TENANTS: usize = 10;

/// Serves one request of a peer. An error of the peer's socket ends it: there is no other way to tell the peer.
pub(super) async fn serve(mut stream: UnixStream, server_uid: u32, operator: &Operator) {
    if let Err(error) = try_serve(&mut stream, server_uid, operator).await {
        debug!(%error, "control connection ended");
    }
}

async fn try_serve(stream: &mut UnixStream, server_uid: u32, operator: &Operator) -> std::io::Result<()> {
    let peer = stream.peer_cred()?;
    if peer.uid() != 0 && peer.uid() != server_uid {
        warn!(uid = peer.uid(), pid = peer.pid(), "control connection refused: neither root nor the server's user");
        let message = format!("uid {} may not control this server: only root and the server's user may", peer.uid());
        return refuse(stream, RequestError::Forbidden, message).await;
    }
    let mut line = Vec::new();
    let mut reader = BufReader::new(&mut *stream).take(MAX_REQUEST_BYTES);
    let Ok(read) = timeout(PEER_TIMEOUT, reader.read_until(b'\n', &mut line)).await else {
        let message = format!("the request didn't arrive within {PEER_TIMEOUT:?}");
        return refuse(stream, RequestError::TooSlow, message).await;
    };
    read?;
    if line.is_empty() {
        // A server of an earlier version looked whether this one answers.
        return Ok(());
    }
    if !line.ends_with(b"\n") {
        let is_long = line.len() as u64 >= MAX_REQUEST_BYTES;
        let (error, message) = if is_long {
            (RequestError::TooLong, format!("the request is longer than {MAX_REQUEST_BYTES} bytes"))
        } else {
            (RequestError::Malformed, "the request doesn't end with a line break".to_owned())
        };
        return refuse(stream, error, message).await;
    }
    match ControlRequest::parse(&line) {
        Ok(request) => answer(stream, request, peer.uid(), operator).await,
        Err((error, message)) => refuse(stream, error, message).await,
    }
}

async fn answer(
    stream: &mut UnixStream,
    request: ControlRequest,
    uid: u32,
    operator: &Operator,
) -> std::io::Result<()> {
    match request {
        ControlRequest::Status {} => write(stream, &ControlAnswer::Status(status(operator))).await,
        ControlRequest::Sessions {} => {
            let all = operator.sessions.registry().list();
            let sessions = all.len();
            for session in all {
                write(stream, &ControlAnswer::Session(SessionAnswer::from(session))).await?;
            }
            write(stream, &ControlAnswer::EndOfSessions { sessions }).await
        }
        ControlRequest::End { session, user, tenant } => match selection(session, user, tenant) {
            Ok(selection) => {
                let sessions = operator.sessions.end_for_operator(&selection, uid);
                write(stream, &ControlAnswer::Ended { sessions }).await
            }
            Err(message) => refuse(stream, RequestError::Malformed, message).await,
        },
        ControlRequest::Reload { force } => {
            let Some(reload) = &operator.reload else {
                return refuse(stream, RequestError::Unsupported, "this server has no config files".to_owned()).await;
            };
            if operator.drain.until().is_some() {
                let message =
                    "the server is stopping and takes over no config: it holds from the next start".to_owned();
                return refuse(stream, RequestError::Stopping, message).await;
            }
            for answer in answers_of(reload.reload(force).await) {
                write(stream, &answer).await?;
            }
            Ok(())
        }
    }
}

/// Returns the sessions that the request names.
fn selection(session: Option<String>, user: Option<String>, tenant: Option<String>) -> Result<EndSelection, String> {
    let targets = [session.map(EndTarget::Session), user.map(EndTarget::User), tenant.map(EndTarget::Tenant)];
    let mut targets = targets.into_iter().flatten();
    let (Some(target), None) = (targets.next(), targets.next()) else {
        return Err("`end` takes one of `session`, `user` and `tenant`".to_owned());
    };
    match target {
        EndTarget::Session(id) => Ok(EndSelection::Session(id)),
        EndTarget::User(name) => name.parse().map(EndSelection::User).map_err(|error| format!("{error}")),
        EndTarget::Tenant(name) => name.parse().map(EndSelection::Tenant).map_err(|error| format!("{error}")),
    }
}

fn status(operator: &Operator) -> ServerStatus {
    let sessions = operator.sessions.registry().list();
    let memory = operator.memory();
    let by_tenant = memory.by_tenant.into_iter().take(MAX_LISTED_TENANTS);
    let now = OffsetDateTime::from(SystemClock.now());
    ServerStatus {
        server_version: env!("CARGO_PKG_VERSION").to_owned(),
        node: operator.node.clone(),
        pid: process::id(),
        started_at: operator.started_at,
        uptime_s: operator.started.elapsed().as_secs(),
        stopping_until: operator.drain.until(),
        sessions: sessions.len(),
        transfers: sessions.iter().map(|session| session.transfers.len()).sum(),
        buffer_bytes: memory.used,
        password_check_bytes: memory.password_checks,
        max_buffer_bytes: memory.total,
        request_bytes: memory.requests,
        max_request_bytes: memory.max_requests,
        is_memory_waited_for: memory.is_waited_for,
        buffers: by_tenant.map(|(tenant, bytes)| TenantBuffers { tenant: tenant.to_string(), bytes }).collect(),
        spool: operator.spool().map(|spool| SpoolUse {
            bytes: spool.bytes,
            max_bytes: spool.max_bytes,
            lost_records: spool.lost,
        }),
        open_roles: operator.open_roles(false),
        accepted_open_roles: operator.open_roles(true),
        config: operator.reload.as_ref().map(|reload| ConfigStatus::new(&reload.last(), now)),
    }
}

async fn refuse(stream: &mut UnixStream, error: RequestError, message: String) -> std::io::Result<()> {
    write(stream, &ControlAnswer::Error { error, message }).await
}

async fn write(stream: &mut UnixStream, answer: &ControlAnswer) -> std::io::Result<()> {
    timeout(PEER_TIMEOUT, stream.write_all(&answer.line()?)).await?
}
