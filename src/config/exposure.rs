//! Reports config files, and files that they name, that users other than their owner may write to. Such files control
//! who can log in, as host keys control the server's identity.
//!
//! The config refuses files that every user of the machine may write to. It only warns of three cases: files that a
//! group may write to, files that another user owns, and directories that everyone may write to and whose mode this
//! process can't change. A group may be the owner's alone, and earlier versions checked no modes, so an upgrade must
//! not keep the server from starting.

use super::problem::{Report, Spot};
use crate::files::Exposure;
use std::path::Path;

/// Reports a config file and its directories.
pub(super) fn check_file(file: &Path, report: &Report) {
    if let Some(exposure) = Exposure::of_file(file) {
        add(report, &Spot::of(file), &exposure, exposure.to_string());
    }
    check_directories(file, report);
}

/// Reports a file that the key at `spot` names, and its directories.
pub(super) fn check_named_file(file: &Path, spot: &Spot, report: &Report) {
    if let Some(exposure) = Exposure::of_file(file) {
        add(report, spot, &exposure, format!("the file {}", exposure.without_path()));
    }
    check_directories(file, report);
}

/// Reports the directory in which every file is a tenant: an added file lets users log in.
pub(super) fn check_tenants_directory(directory: &Path, report: &Report) {
    if let Some(exposure) = Exposure::of_directory(directory) {
        add_directory(report, &exposure);
    }
}

fn check_directories(file: &Path, report: &Report) {
    for exposure in Exposure::of_its_directories(file) {
        add_directory(report, &exposure);
    }
}

/// Adds a directory, unless another file in it has already added it.
fn add_directory(report: &Report, exposure: &Exposure) {
    if report.is_first_exposure(exposure.path()) {
        add(report, &Spot::of(exposure.path()), exposure, exposure.to_string());
    }
}

fn add(report: &Report, spot: &Spot, exposure: &Exposure, message: String) {
    if exposure.is_refused() { report.problem(spot, message) } else { report.warning(spot, message) }
}
