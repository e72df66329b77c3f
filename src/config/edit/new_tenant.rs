//! A tenant to add, and its file: commented as the reference config is, for those who edit it later.

use super::document::{NewUser, TenantDocument};
use crate::{
    account::{ExternalId, RoleArn},
    config::{AccessPointArn, AccountId, BucketName, Endpoint, Region},
    name::{BucketId, Prefix, TenantName},
};
use std::fmt::Write as _;
use toml_edit::{TomlError, Value};

/// A tenant to add.
#[derive(Clone, Debug)]
pub(crate) struct NewTenant {
    pub(crate) name: TenantName,
    pub(crate) tier: Option<String>,
    pub(crate) storage: NewStorage,
    pub(crate) users: Vec<NewUser>,
}

/// The bucket of a tenant to add, and the way to reach it.
#[derive(Clone, Debug)]
pub(crate) struct NewStorage {
    pub(crate) bucket: BucketName,
    pub(crate) access_point_arn: Option<AccessPointArn>,
    pub(crate) prefix: Prefix,
    pub(crate) region: Region,
    pub(crate) endpoint: Option<Endpoint>,
    pub(crate) path_style: bool,
    pub(crate) kms_key: Option<String>,
    pub(crate) expected_bucket_owner: Option<AccountId>,
    /// Without a role, sessions use the server's own identity.
    pub(crate) role: Option<NewRole>,
    /// Without an access key, the server's identity is that of the SDK's default chain.
    pub(crate) access_key: Option<NewAccessKey>,
}

/// The role of a tenant to add.
#[derive(Clone, Debug)]
pub(crate) struct NewRole {
    pub(crate) arn: RoleArn,
    pub(crate) external_id: ExternalId,
    pub(crate) sts_endpoint: Option<Endpoint>,
}

/// The access key of a tenant to add.
#[derive(Clone, Debug)]
pub(crate) struct NewAccessKey {
    pub(crate) id: String,
    /// The file with the secret, relative to the tenants' directory.
    pub(crate) secret_file: String,
}

impl NewStorage {
    /// Sets the account that must own the bucket to that of the role, unless it is stated. In other stores than AWS an ARN's
    /// account means nothing.
    pub(crate) fn expect_the_owner_of_the_role(&mut self) {
        if self.expected_bucket_owner.is_none() && self.bucket_id().is_in_aws() {
            self.expected_bucket_owner = self.role.as_ref().and_then(|role| role.arn.account().parse().ok());
        }
    }

    pub(crate) fn bucket_id(&self) -> BucketId {
        BucketId::new(&self.bucket.0, self.endpoint.as_ref().map(|endpoint| endpoint.0.as_str()))
    }

    fn write(&self, file: &mut FileText) {
        file.table("", "storage");
        file.key("The name of a bucket, or the ARN or alias of an access point.", "bucket", &self.bucket.0);
        if let Some(arn) = &self.access_point_arn {
            file.key(
                "The ARN of the access point, if `bucket` is an alias. S3 judges requests by it, so that policies must name it, \
                 and the alias doesn't reveal it.",
                "access_point_arn",
                &arn.0,
            );
        }
        file.key(
            "The prefix of all files of the tenant. It ends in `/`. \"\" is the whole bucket.",
            "prefix",
            self.prefix.as_str(),
        );
        file.key("The bucket's region.", "region", &self.region.0);
        if let Some(endpoint) = &self.endpoint {
            file.key(
                "Another endpoint than the region's own: a VPC interface endpoint, or an S3-compatible store.",
                "endpoint",
                &endpoint.0,
            );
        }
        if self.path_style {
            file.key(
                "`true` puts the bucket's name into the path of URLs instead of the host name. S3-compatible stores often \
                 need it.",
                "path_style",
                true,
            );
        }
        if let Some(key) = &self.kms_key {
            file.key(
                "The KMS key that encrypts new objects. Without it the bucket's own default applies.",
                "kms_key",
                key,
            );
        }
        if let Some(owner) = &self.expected_bucket_owner {
            file.key(
                "The account that must own the bucket; S3 refuses every request otherwise.",
                "expected_bucket_owner",
                &owner.0,
            );
        }
        if let Some(role) = &self.role {
            role.write(file);
        }
        file.table(
            match self.role {
                Some(_) => "The identity that asks for the role.",
                None => {
                    "The identity of all sessions. No role narrows it, so that this server alone keeps tenants apart: its \
                     policy should allow no more than the tenant's prefix."
                }
            },
            "storage.credentials",
        );
        match &self.access_key {
            Some(key) => {
                file.entry("access_key_id", key.id.as_str());
                file.entry("secret_access_key_file", key.secret_file.as_str());
                file.gap();
            }
            None => file.key(
                "This is the AWS SDK's default chain: environment, profile, web identity (EKS), ECS, EC2 instance metadata.",
                "default_chain",
                true,
            ),
        }
    }
}

impl NewRole {
    fn write(&self, file: &mut FileText) {
        file.table(
            "The role that sessions work as. Each session has credentials that S3 itself restricts to one user's mount: a \
             session policy allows the actions that the user's permissions need, below the mount's prefix, for an hour.",
            "storage.assume_role",
        );
        file.entry("role_arn", self.arn.as_str());
        file.gap();
        file.key(
            "The external ID that the role's trust policy requires (`sts:ExternalId`). It isn't secret.",
            "external_id",
            self.external_id.as_str(),
        );
        if let Some(endpoint) = &self.sts_endpoint {
            file.key(
                "Another endpoint of STS than the region's own: a VPC interface endpoint, or that of an S3-compatible store.",
                "sts_endpoint",
                &endpoint.0,
            );
        }
    }
}

impl NewTenant {
    /// Returns the text of the tenant's file.
    ///
    /// # Errors
    /// Never: the text is TOML.
    pub(crate) fn text(&self) -> Result<String, TomlError> {
        let (mut file, name) = (FileText::default(), self.name.as_str());
        file.comment(&format!(
            "The tenant `{name}`. docs/onboarding.md leads to its first login, and `wharfinger tenant policy {name}` prints what \
             its role allows. config/tenants/acme.toml of the repository explains every key.",
        ));
        file.gap();
        file.key("The file's name.", "name", name);
        if let Some(tier) = &self.tier {
            let comment = "The tier, in tiers.toml. The tenant has its limits, except those that this file states.";
            file.key(comment, "tier", tier);
        }
        self.storage.write(&mut file);
        file.comment(&format!(
            "The users. `wharfinger user add {name} USER --key FILE` adds one. Without mounts a user sees the tenant's whole \
             prefix.",
        ));
        let mut document = TenantDocument::parse(&file.0)?;
        for user in &self.users {
            document.add_user(user);
        }
        Ok(document.text())
    }

    /// Returns the tables of these users alone, as an addition to another file.
    ///
    /// # Errors
    /// Never: the text is TOML.
    pub(crate) fn users_text(users: &[NewUser]) -> Result<String, TomlError> {
        let mut document = TenantDocument::parse("")?;
        for user in users {
            document.add_user(user);
        }
        Ok(document.text())
    }
}

/// The longest line of a comment, in bytes.
const MAX_LINE: usize = 120;

/// The text of a file, from top to bottom.
#[derive(Default)]
struct FileText(String);

impl FileText {
    fn gap(&mut self) {
        self.0.push('\n');
    }

    /// Adds a comment of as many lines as it needs.
    fn comment(&mut self, text: &str) {
        let mut line = "#".to_owned();
        for word in text.split(' ') {
            if line.len() + 1 + word.len() > MAX_LINE {
                self.0.push_str(&line);
                self.gap();
                "#".clone_into(&mut line);
            }
            line.push(' ');
            line.push_str(word);
        }
        self.0.push_str(&line);
        self.gap();
    }

    /// Adds the header of a table below its comment.
    fn table(&mut self, comment: &str, name: &str) {
        if !comment.is_empty() {
            self.comment(comment);
        }
        // Writing to a String never fails.
        let _ = writeln!(self.0, "[{name}]");
    }

    /// Adds a key and its value.
    fn entry(&mut self, key: &str, value: impl Into<Value>) {
        // toml_edit quotes the value as it needs.
        let _ = writeln!(self.0, "{key} = {}", value.into());
    }

    /// Adds a key with its comment above and an empty line below.
    fn key(&mut self, comment: &str, key: &str, value: impl Into<Value>) {
        self.comment(comment);
        self.entry(key, value);
        self.gap();
    }
}
