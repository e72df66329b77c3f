//! Tenants from the descriptions of another SFTP service: AWS Transfer Family or SFTPGo.
//!
//! A plan is made from text alone: this module reads no file and connects to nothing. Invariant: no user of a plan may
//! reach more than before. If a restriction of the user has no counterpart here, the user is disabled, or left out. Limits
//! of sizes, counts and speed are named alone.

mod documents;
mod export_file;
mod home;
mod keys;
mod plan;
mod sftpgo;
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

/// Plans the tenants of SFTPGo from a dump. `region` is that of buckets whose region the dump doesn't state.
///
/// # Errors
/// The file isn't such a dump, or has a user twice.
pub(crate) fn sftpgo(file: &ExportFile, region: Option<&str>) -> Result<ImportPlan, ImportError> {
    sftpgo::plan(file, region)
}

#[cfg(test)]
mod tests;
