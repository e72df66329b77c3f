//! The documents for the owner of a tenant's bucket, in the forms of AWS's tools. `tenant_documents` holds what they
//! say, and each form has a file.

mod cloudformation;
mod shell_script;
mod tenant_documents;
mod terraform;
mod text;

pub(crate) use tenant_documents::{NoDocuments, TenantDocuments, permissions_of};

/// The form of the documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum DocumentFormat {
    /// One JSON object with every document
    Json,
    /// A CloudFormation template
    Cloudformation,
    /// A Terraform configuration
    Terraform,
    /// A shell script for the AWS CLI
    Cli,
}

/// Writes the documents in a form.
///
/// # Errors
/// [`NoDocuments::NoRole`] and [`NoDocuments::NoAccount`], for every form that makes the role.
pub(crate) fn render(documents: &TenantDocuments, format: DocumentFormat) -> Result<String, NoDocuments> {
    match format {
        DocumentFormat::Json => Ok(text::json(documents) + "\n"),
        DocumentFormat::Cloudformation => cloudformation::template(documents),
        DocumentFormat::Terraform => terraform::configuration(documents),
        DocumentFormat::Cli => shell_script::script(documents),
    }
}

#[cfg(test)]
mod tests;
