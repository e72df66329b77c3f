//! The `wharfinger` command.

use clap::Parser as _;
use std::process::ExitCode;

// glibc doesn't return the memory of past transfers to the system. `.cargo/config.toml` holds this allocator's
// settings.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    wharfinger::cli::Cli::parse().run()
}
