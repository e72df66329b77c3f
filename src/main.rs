//! The `wharfinger` command.

fn main() {}
