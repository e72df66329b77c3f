//! `wharfinger tenant policy`: prints what the owner of a tenant's bucket installs.

use crate::{
    account::{Permission, PrincipalArn, VendorRole},
    cli::edit::told,
    config::overview,
    name::TenantName,
    onboarding::{DocumentFormat, TenantDocuments, render},
    tenants::TenantSetup,
};
use clap::Args;
use std::{io::Write as _, path::Path, process::ExitCode};

#[derive(Debug, Args)]
pub(super) struct PolicyArgs {
    tenant: TenantName,
    /// The form of the documents
    #[arg(long, value_enum, default_value = "json")]
    format: DocumentFormat,
    /// The role or user that the trust policy admits, instead of the vendor's role in the tenant's file, or of
    /// `server_principal` in the server's config file
    #[arg(long, value_name = "ARN")]
    principal: Option<PrincipalArn>,
    /// The permissions to allow, instead of those of the tenant's users; without users, all
    #[arg(long, value_name = "PERMISSION", value_delimiter = ',')]
    permissions: Option<Vec<Permission>>,
    /// The KMS key that encrypts the bucket, instead of `kms_key` in the tenant's file
    #[arg(long, value_name = "ARN")]
    kms_key: Option<String>,
}

impl PolicyArgs {
    /// # Errors
    /// The config can't be read or has no such tenant, or a fact for the documents is missing.
    pub(super) fn run(&self, config: &Path) -> anyhow::Result<ExitCode> {
        let (setup, server_principal) = overview::setup(config, &self.tenant).map_err(|error| told(&error))?;
        let vendor_role = setup.storage.credentials.role.as_ref().and_then(|role| role.via.as_ref());
        let principal =
            self.principal.as_ref().or(vendor_role.map(VendorRole::principal)).or(server_principal.as_ref());
        let permissions = self.permissions.as_ref().map(|words| words.iter().copied().collect());
        let documents = TenantDocuments::new(&setup, principal, permissions, self.kms_key.as_deref())?;
        let text = render(&documents, self.format)?;
        for hint in self.hints(&setup) {
            eprintln!("{hint}");
        }
        std::io::stdout().write_all(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Returns sentences about what the config can't tell.
    fn hints(&self, setup: &TenantSetup) -> Vec<&'static str> {
        let storage = &setup.storage;
        let has_no_key =
            self.kms_key.is_none() && storage.objects.encryption.kms_key().is_none() && storage.id.is_in_aws();
        let is_plain = |character: char| character <= '\u{ff}';
        let is_escaped = matches!(self.format, DocumentFormat::Cloudformation | DocumentFormat::Terraform)
            && !storage.prefix.as_str().chars().all(is_plain);
        let key = "note: if the bucket encrypts with a KMS key, the role needs it: --kms-key ARN";
        let prefix = "note: the prefix has characters that IAM takes only as escapes, which this tool may undo; if AWS refuses \
                      the policy, use --format cli";
        [has_no_key.then_some(key), is_escaped.then_some(prefix)].into_iter().flatten().collect()
    }
}
