//! `wharfinger serve`: the server.

use super::{
    check::print_problems,
    config_file::ConfigFile,
    descriptors,
    log::{logged, write_problems},
};
use crate::{
    app::{App, Preflight, Signals},
    config::{self, LogFormat, Problem},
    control::{ControlSocket, SocketError},
};
use anyhow::anyhow;
use std::{path::Path, process::ExitCode, sync::Arc};
use tracing::warn;

/// The number of config warnings that get a line each.
const MAX_WARNINGS: usize = 10;

/// Run the server
///
/// SIGHUP reloads the config, as `wharfinger reload` does: sessions continue, but for those whose user, tenant, credential
/// or directory it takes away. SIGTERM or Ctrl-C stops the server: it takes no new connections, lets open transfers finish
/// for drain_timeout, then interrupts the rest. Nothing of those is published, and unfinished uploads can be resumed. A
/// second signal interrupts them at once.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: ConfigFile,
}

impl Serve {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let path = self.config.path();
        let loaded = config::load_to_serve(path).and_then(|mut loaded| {
            let preflight = Preflight::of_files(&loaded, path);
            loaded.warnings.extend(preflight.warnings);
            if preflight.problems.is_empty() { Ok(loaded) } else { Err(preflight.problems) }
        });
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(problems) => {
                match config::log_format(path) {
                    LogFormat::Human => print_problems(&problems),
                    LogFormat::Json => write_problems(&problems),
                }
                return Ok(ExitCode::FAILURE);
            }
        };
        logged(loaded.config.server.log, || {
            warn_of(&loaded.warnings);
            let s3_requests = descriptors::raise_limit(&loaded.config.server.ssh.connections);
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let Signals { stop, hurry, hangups } = Signals::listen()?;
                let app = App::build(&loaded.config, s3_requests).await?;
                let socket = control_socket(&loaded.config.server.control_socket).await?;
                let reload = app.reload(&loaded, path);
                let operator = app.operator(Some(Arc::clone(&reload)));
                let reloading = tokio::spawn(stop.clone().run_until_cancelled_owned(reload.run(hangups)));
                // It answers until the last transfer has ended: an operator wants to see who the server waits for.
                let controlling = socket.map(|socket| tokio::spawn(socket.serve(operator)));
                app.run(stop, hurry).await;
                reloading.abort();
                if let Some(controlling) = controlling {
                    controlling.abort();
                    drop(controlling.await);
                }
                Ok(ExitCode::SUCCESS)
            })
        })
    }
}

/// Makes the control socket. The server runs without it if it can't be made.
///
/// # Errors
/// Another server answers on it.
async fn control_socket(path: &Path) -> anyhow::Result<Option<ControlSocket>> {
    match ControlSocket::bind(path).await {
        Ok(socket) => Ok(Some(socket)),
        Err(error @ SocketError::InUse { .. }) => Err(error.into()),
        Err(error) => {
            let error = format!("{:#}", anyhow!(error));
            warn!(error, "no control socket: `wharfinger reload`, `sessions` and `status` don't reach this server");
            Ok(None)
        }
    }
}

/// Prints the first warnings and the number of the rest: a thousand tenants may share a warning.
fn warn_of(warnings: &[Problem]) {
    let (said, more) = warnings.split_at(warnings.len().min(MAX_WARNINGS));
    for warning in said {
        warn!("{warning}");
    }
    if !more.is_empty() {
        warn!(warnings = more.len(), "more of the config is to be warned of: `wharfinger check` says all of it");
    }
}
