//! Stops a build in which russh would lack the patches in `patches/`.

use std::{env, path::Path, process::ExitCode};

const HELP: &str = "russh must be built with the patches in patches/, and this build doesn't call scripts/rustc-patched, \
    which .cargo/config.toml names. Build in a clone of the repository, with it or a directory below it as the working \
    directory (`cargo install --git` and `--manifest-path` from elsewhere don't read .cargo/config.toml). If RUSTC_WRAPPER or \
    CARGO_BUILD_RUSTC_WRAPPER is set, set WHARFINGER_RUSTC_WRAPPER in its place.";

fn main() -> ExitCode {
    for variable in ["RUSTC_WRAPPER", "WHARFINGER_RUSSH_PATCHES"] {
        println!("cargo::rerun-if-env-changed={variable}");
    }
    println!("cargo::rerun-if-changed=build.rs");
    let wrapper = env::var_os("RUSTC_WRAPPER").unwrap_or_default();
    let is_in_force = Path::new(&wrapper).ends_with("scripts/rustc-patched");
    if is_in_force && env::var_os("WHARFINGER_RUSSH_PATCHES").is_some() {
        return ExitCode::SUCCESS;
    }
    println!("cargo::error={HELP}");
    ExitCode::FAILURE
}
