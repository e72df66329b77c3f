//! The `wharfinger` command.

use clap::Parser as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    wharfinger::cli::Cli::parse().run()
}
