//! Reports config files, and files that they name, that others than their owner may write. They decide who gets in, as host
//! keys decide who the server is.
//!
//! Files that every user of the machine may write are refused. A group's are warned about: a group may be the owner's alone,
//! and the server looked at no mode before, so that an upgrade must not keep it from starting. So are another user's, and
//! directories that everyone may write and whose mode this process can't change.

use super::problem::{Report, Spot};
use crate::files::Exposure;
use std::path::Path;

/// Reports a config file, and the directories that it lies in.
pub(super) fn check_file(file: &Path, report: &Report) {
    if let Some(exposure) = Exposure::of_file(file) {
        add(report, &Spot::of(file), &exposure, exposure.to_string());
    }
    check_directories(file, report);
}

/// Reports a file that the key at `spot` names, and the directories that it lies in.
pub(super) fn check_named_file(file: &Path, spot: &Spot, report: &Report) {
    if let Some(exposure) = Exposure::of_file(file) {
        add(report, spot, &exposure, format!("the file {}", exposure.without_path()));
    }
    check_directories(file, report);
}

/// Reports the directory in which every file is a tenant: a file that is added to it lets users in.
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

/// Adds a directory, unless another file in it has added it already.
fn add_directory(report: &Report, exposure: &Exposure) {
    if report.is_first_exposure(exposure.path()) {
        add(report, &Spot::of(exposure.path()), exposure, exposure.to_string());
    }
}

fn add(report: &Report, spot: &Spot, exposure: &Exposure, message: String) {
    if exposure.is_refused() { report.problem(spot, message) } else { report.warning(spot, message) }
}
