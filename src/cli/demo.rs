//! `wharfinger demo`: an S3, an STS and the server in one process.

use super::log::logged;
use crate::{
    config::Log,
    demo::{self, Demo},
};
use std::{path::PathBuf, process::ExitCode};

/// Try it: an S3, an STS and the server in one process, on this machine alone
///
/// The tenant acme has a prefix of the vendor's bucket, globex a bucket in an account of its own. alice (password
/// alice-demo) belongs to acme, bob (bob-demo) to globex. It listens on 127.0.0.1 and never elsewhere. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// The port of the SFTP server on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = demo::PORT)]
    port: u16,
    /// Keep the objects in this directory. Without it they live in memory and end with the demo
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A public key that alice and bob may log in with, such as ~/.ssh/id_ed25519.pub; may be repeated
    #[arg(long = "key", value_name = "FILE.pub")]
    keys: Vec<PathBuf>,
}

impl DemoArgs {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        logged(Log::default(), || {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(async {
                let (stop, hurry) = crate::app::Signals::listen()?.without_hangups();
                let demo = Demo::start(self.port, self.data, &self.keys).await?;
                println!("{}", demo.tour());
                demo.run(stop, hurry).await;
                Ok(ExitCode::SUCCESS)
            })
        })
    }
}
