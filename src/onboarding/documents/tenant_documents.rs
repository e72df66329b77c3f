//! The policies and settings that the owner of a bucket installs for a tenant, in no form yet.

use crate::{
    account::{Permission, Permissions, PrincipalArn, Role, RoleArn},
    cloud::{BucketPolicy, NoPolicy, RolePolicy, RoleTrust, ServerPolicy, is_key_arn},
    name::TenantName,
    tenants::TenantSetup,
};
use serde::{Serialize, Serializer};
use std::{collections::BTreeMap, time::Duration};

/// The settings that keep a bucket from being public.
///
/// Source: S3 user guide, "Blocking public access to your Amazon S3 storage".
const PUBLIC_ACCESS_BLOCK: [&str; 4] =
    ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"];

const SECONDS_OF_A_DAY: u64 = 24 * 60 * 60;
/// The shortest time after which the bucket's owner deletes an unfinished upload.
const MIN_UPLOAD_DAYS: u64 = 7;

/// The documents of one tenant. As JSON they are the form `json`.
#[derive(Debug, Serialize)]
pub(crate) struct TenantDocuments {
    pub(super) tenant: TenantName,
    /// `None` if the tenant's requests are signed with the server's own credentials.
    pub(super) role: Option<RoleDocuments>,
    /// The permissions of the role or, without a role, of the server's own credentials.
    pub(super) permissions_policy: RolePolicy,
    /// `None` for an access point, whose bucket is unknown, and for a bucket that other tenants share.
    pub(super) bucket: Option<BucketDocuments>,
}

/// The role, and both sides of the trust in it.
#[derive(Debug, Serialize)]
pub(super) struct RoleDocuments {
    #[serde(serialize_with = "as_text")]
    pub(super) arn: RoleArn,
    pub(super) path: String,
    pub(super) name: String,
    pub(super) trust_policy: RoleTrust,
    /// For the vendor: the permission to assume the role, of the server's own identity or of the vendor's role in a chain.
    server_policy: ServerPolicy,
}

/// Settings of the bucket, which its owner may have otherwise.
#[derive(Debug, Serialize)]
pub(super) struct BucketDocuments {
    pub(super) name: String,
    pub(super) policy: BucketPolicy,
    pub(super) public_access_block: BTreeMap<&'static str, bool>,
    pub(super) lifecycle: LifecycleDocument,
}

/// A lifecycle rule that deletes the parts of uploads which nobody finished. As JSON it is the argument of
/// PutBucketLifecycleConfiguration.
#[derive(Debug)]
pub(super) struct LifecycleDocument {
    pub(super) id: String,
    pub(super) prefix: String,
    pub(super) days: u64,
}

/// The reason why there are no documents.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NoDocuments {
    /// The trust policy needs the server's identity.
    #[error(
        "the trust policy must name the identity that the server has in AWS: set `server_principal` in the server's config \
         file to the ARN of its role or user, or give it with --principal"
    )]
    NoPrincipal,
    /// The form makes a role, and the tenant has none.
    #[error(
        "the tenant {0} has no role: its requests are signed with the server's own credentials, and `--format json` prints \
         the permissions that those need"
    )]
    NoRole(TenantName),
    /// The form is for AWS, and the role is of another store.
    #[error("the role {0} names no account, so it isn't AWS's: `--format json` prints its policies")]
    NoAccount(RoleArn),
    /// The key's alias or bare id stands where an ARN must.
    #[error(
        "policies name a KMS key only by its ARN, such as arn:aws:kms:REGION:ACCOUNT:key/ID: give it with --kms-key"
    )]
    KeyName,
    /// The bucket has no name that policies take.
    #[error(transparent)]
    Policy(#[from] NoPolicy),
}

impl TenantDocuments {
    /// The documents for `setup`, for the permissions of its users together, or for all if it has no users. `server` is the
    /// identity that asks for the role.
    /// `permissions` and `kms_key` replace what the tenant's file says.
    ///
    /// # Errors
    /// [`NoDocuments`].
    pub(crate) fn new(
        setup: &TenantSetup,
        server: Option<&PrincipalArn>,
        permissions: Option<Permissions>,
        kms_key: Option<&str>,
    ) -> Result<Self, NoDocuments> {
        let (tenant, storage) = (&setup.tenant, &setup.storage);
        let kms_key = kms_key.or(storage.objects.encryption.kms_key());
        if kms_key.is_some_and(|key| !is_key_arn(key)) {
            return Err(NoDocuments::KeyName);
        }
        let permissions = permissions.unwrap_or_else(|| permissions_of(setup));
        let role = match &storage.credentials.role {
            Some(role) => Some((role, server.ok_or(NoDocuments::NoPrincipal)?)),
            None => None,
        };
        // A role beside the server's own is for one tenant of several in the vendor's bucket.
        let is_shared = role.is_some_and(|(role, server)| server.account() == role.arn.account())
            && !storage.prefix.as_str().is_empty();
        let bucket = |policy| BucketDocuments {
            name: storage.bucket.clone(),
            policy,
            public_access_block: PUBLIC_ACCESS_BLOCK.map(|setting| (setting, true)).into(),
            lifecycle: LifecycleDocument {
                id: format!("wharfinger-{}", tenant.name),
                prefix: storage.prefix.as_str().to_owned(),
                days: upload_days(tenant.partial_uploads_kept_for),
            },
        };
        Ok(Self {
            tenant: tenant.name.clone(),
            role: role.map(|(role, server)| RoleDocuments::new(role, server, &tenant.name)),
            permissions_policy: RolePolicy::new(storage, permissions, kms_key)?,
            bucket: BucketPolicy::new(storage).filter(|_| !is_shared).map(bucket),
        })
    }

    /// The role, for a form that makes it in AWS.
    pub(super) fn role(&self) -> Result<&RoleDocuments, NoDocuments> {
        let role = self.role.as_ref().ok_or_else(|| NoDocuments::NoRole(self.tenant.clone()))?;
        if role.arn.account().is_empty() { Err(NoDocuments::NoAccount(role.arn.clone())) } else { Ok(role) }
    }

    /// The name of the policy that the role has.
    pub(super) fn policy_name(&self) -> String {
        format!("wharfinger-{}", self.tenant)
    }
}

impl RoleDocuments {
    fn new(role: &Role, server: &PrincipalArn, tenant: &TenantName) -> Self {
        let (path, name) = role.arn.path_and_name();
        Self {
            arn: role.arn.clone(),
            path: path.to_owned(),
            name: name.to_owned(),
            trust_policy: RoleTrust::new(role, server, tenant),
            server_policy: ServerPolicy::new(role),
        }
    }
}

impl Serialize for LifecycleDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rule = serde_json::json!({
            "ID": self.id,
            "Filter": { "Prefix": self.prefix },
            "Status": "Enabled",
            "AbortIncompleteMultipartUpload": { "DaysAfterInitiation": self.days },
        });
        serde_json::json!({ "Rules": [rule] }).serialize(serializer)
    }
}

/// The permissions of all mounts of all users.
/// The permissions of a tenant's users together. Without users, all.
pub(crate) fn permissions_of(setup: &TenantSetup) -> Permissions {
    if setup.users.is_empty() {
        return Permissions::ALL;
    }
    let has = |word: &Permission| {
        let mut mounts = setup.users.iter().flat_map(|user| user.user.mounts.iter());
        mounts.any(|mount| mount.permissions.contains(*word))
    };
    Permission::ALL.into_iter().filter(has).collect()
}

/// A day longer than users can resume an upload: S3 counts whole days from midnight to midnight.
fn upload_days(retention: Option<Duration>) -> u64 {
    let days = retention.map_or(0, |retention| retention.as_secs().div_ceil(SECONDS_OF_A_DAY));
    days.max(MIN_UPLOAD_DAYS) + 1
}

fn as_text<S: Serializer>(arn: &RoleArn, serializer: S) -> Result<S::Ok, S::Error> {
    arn.as_str().serialize(serializer)
}
