//! `wharfinger demo`: an S3, an STS and the server in one process. A build without the feature `demo`, such as a release,
//! says how to get it.

#[cfg(feature = "demo")]
use {super::log::logged, crate::config::Log, crate::demo::Demo};

use std::{path::PathBuf, process::ExitCode};

/// Default port of the SFTP server.
const PORT: u16 = 2222;

/// Try it: an S3, an STS and the server in one process, on this machine alone
///
/// The tenant acme has a prefix of the vendor's bucket, globex a bucket in an account of its own. alice (password
/// alice-demo) belongs to acme, bob (bob-demo) to globex. It listens on 127.0.0.1 and never elsewhere. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {
    /// The port of the SFTP server on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = PORT)]
    port: u16,
    /// Keep the objects in this directory. Without it they live in memory and end with the demo
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// A public key that alice and bob may log in with, such as ~/.ssh/id_ed25519.pub; may be repeated
    #[arg(long = "key", value_name = "FILE.pub")]
    keys: Vec<PathBuf>,
}

impl DemoArgs {
    #[cfg(feature = "demo")]
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

    #[cfg(not(feature = "demo"))]
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Self { port: _, data: _, keys: _ } = self;
        anyhow::bail!(
            "this build has no demo, because it was made without the cargo feature `demo`: run \
             `cargo run --release -- demo` in a clone of the repository"
        )
    }
}

#[cfg(all(test, not(feature = "demo")))]
mod tests {
    use super::*;

    #[test]
    fn a_build_without_the_demo_says_how_to_get_it() {
        let arguments = DemoArgs { port: PORT, data: None, keys: Vec::new() };
        let sentence = arguments.run().unwrap_err().to_string();
        assert!(sentence.starts_with("this build has no demo") && sentence.contains("`cargo run --release -- demo`"));
    }
}
