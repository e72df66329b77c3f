//! `wharfinger serve`: the server.

use super::{ConfigFile, check::print_problems, start_log};
use crate::{
    app::{App, signals},
    config,
};
use std::process::ExitCode;
use tracing::warn;

/// Run the server
///
/// SIGTERM or Ctrl-C stops it: it takes no new connections, lets open transfers finish for drain_timeout, then cuts off
/// the rest; nothing of those is published. A second signal cuts them off at once.
#[derive(Debug, clap::Args)]
pub(super) struct Serve {
    #[command(flatten)]
    pub(super) config: ConfigFile,
}

impl Serve {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let loaded = match config::load(&self.config.path) {
            Ok(loaded) => loaded,
            Err(problems) => {
                print_problems(&problems);
                return Ok(ExitCode::FAILURE);
            }
        };
        start_log(loaded.config.server.log);
        for warning in &loaded.warnings {
            warn!("{warning}");
        }
        let runtime = tokio::runtime::Runtime::new()?;
        runtime.block_on(async {
            let (stop, hurry) = signals()?;
            App::build(&loaded.config).await?.run(stop, hurry).await;
            Ok(ExitCode::SUCCESS)
        })
    }
}
