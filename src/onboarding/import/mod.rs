//! Tenants from the descriptions of another SFTP service: AWS Transfer Family.
//!
//! A plan is made from text alone: this module reads no file and connects to nothing. Invariant: no user of a plan may
//! do more than before. If a restriction of the user has no counterpart here, the user is disabled, or left out.

mod documents;
mod export_file;
mod home;
mod plan;
mod transfer_family;

pub(crate) use export_file::{ExportFile, MAX_EXPORT_BYTES};
pub(crate) use plan::{ImportPlan, ImportedTenant, ImportedUser};

use export_file::ImportError;

/// Plans the tenants of AWS Transfer Family from the output of `aws transfer describe-server`, `list-users` and
/// `describe-user`. `region` is that of the buckets, or `None` for that of the server.
///
/// # Errors
/// A file isn't such output, or two files contradict each other.
pub(crate) fn transfer_family(files: &[ExportFile], region: Option<&str>) -> Result<ImportPlan, ImportError> {
    transfer_family::plan(files, region)
}

#[cfg(test)]
mod tests;
