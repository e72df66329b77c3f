//! The way of a tenant's bucket into the service: the documents that the bucket's owner installs.
//!
//! The policies themselves are made in `cloud`, from the table of actions that session policies have too. This module
//! writes them in the forms that AWS's tools read. It connects to nothing.

mod documents;

pub(crate) use documents::{DocumentFormat, TenantDocuments, render};
