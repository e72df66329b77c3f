//! The `wharfinger` command.

use clap::Parser as _;
use std::process::ExitCode;

// glibc keeps what transfers have used. `.cargo/config.toml` has the settings of this one.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    wharfinger::cli::Cli::parse().run()
}
