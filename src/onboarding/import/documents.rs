//! The output of `aws transfer describe-server`, `list-users` and `describe-user`, as far as it is imported.
//!
//! Source: botocore's service model `transfer/2018-11-05`. Unknown members are skipped: AWS adds some every year.

use serde::{Deserialize, de::IgnoredAny};

/// The output of one of the three commands. Each has other members.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TransferDocument {
    pub(super) server: Option<DescribedServer>,
    pub(super) server_id: Option<String>,
    pub(super) user: Option<DescribedUser>,
    pub(super) users: Option<Vec<ListedUser>>,
    pub(super) next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribedServer {
    pub(super) server_id: Option<String>,
    pub(super) domain: Option<String>,
    pub(super) host_key_fingerprint: Option<String>,
    #[serde(default)]
    pub(super) protocols: Vec<String>,
    pub(super) identity_provider_type: Option<String>,
    pub(super) pre_authentication_login_banner: Option<String>,
    pub(super) post_authentication_login_banner: Option<String>,
    pub(super) endpoint_type: Option<String>,
    pub(super) security_policy_name: Option<String>,
    pub(super) workflow_details: Option<WorkflowDetails>,
    pub(super) protocol_details: Option<ProtocolDetails>,
    pub(super) s3_storage_options: Option<S3StorageOptions>,
    #[serde(default)]
    pub(super) tags: Vec<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct WorkflowDetails {
    #[serde(default)]
    pub(super) on_upload: Vec<IgnoredAny>,
    #[serde(default)]
    pub(super) on_partial_upload: Vec<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ProtocolDetails {
    pub(super) set_stat_option: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct S3StorageOptions {
    pub(super) directory_listing_optimization: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListedUser {
    pub(super) user_name: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct DescribedUser {
    pub(super) user_name: String,
    pub(super) arn: String,
    pub(super) role: Option<String>,
    pub(super) home_directory: Option<String>,
    pub(super) home_directory_type: Option<String>,
    #[serde(default)]
    pub(super) home_directory_mappings: Vec<HomeDirectoryMapping>,
    pub(super) policy: Option<String>,
    pub(super) posix_profile: Option<PosixProfile>,
    #[serde(default)]
    pub(super) ssh_public_keys: Vec<SshPublicKey>,
    #[serde(default)]
    pub(super) tags: Vec<UserTag>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct HomeDirectoryMapping {
    pub(super) entry: String,
    pub(super) target: String,
    #[serde(rename = "Type")]
    pub(super) kind: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct PosixProfile {
    pub(super) uid: u64,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct SshPublicKey {
    pub(super) ssh_public_key_body: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UserTag {
    pub(super) key: String,
}
