//! The way of a tenant's bucket into the service: the documents that the bucket's owner installs, and the proof that they
//! work.
//!
//! The policies themselves are made in `cloud`, from the table of actions that session policies have too. `documents`
//! writes them in the forms that AWS's tools read, and `import` plans the tenants of other services: neither connects to
//! anything. `verify` asks STS and S3.

mod documents;
mod import;
mod verify;

pub(crate) use documents::{DocumentFormat, TenantDocuments, permissions_of, render};
pub(crate) use import::{
    ExportFile, ImportPlan, ImportedTenant, ImportedUser, MAX_EXPORT_BYTES, sftpgo, transfer_family,
};
pub(crate) use verify::{StepOutcome, StepReport, VerifyProgress, VerifyReport, VerifyRequest, verify};
