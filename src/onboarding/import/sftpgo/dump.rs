//! A dump of SFTPGo (`sftpgo` 2.x, `GET /api/v2/dumpdata`), as far as it is imported.
//!
//! Source: SFTPGo's structs `dataprovider.BackupData`, `dataprovider.User`, `vfs.VirtualFolder` and `sdk.BaseS3FsConfig`.
//! Unknown members are skipped: each version adds some. Go writes empty lists as `null`.

use serde::{Deserialize, Deserializer, de::IgnoredAny};
use std::collections::BTreeMap;

#[derive(Debug, Deserialize)]
pub(super) struct SftpgoDump {
    pub(super) users: Option<Vec<SftpgoUser>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) folders: Vec<SftpgoFolder>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) shares: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) event_rules: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) ip_lists: Vec<IgnoredAny>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SftpgoUser {
    pub(super) username: String,
    /// 1 is enabled.
    pub(super) status: i64,
    #[serde(default)]
    pub(super) expiration_date: i64,
    /// The hash of the password.
    #[serde(default)]
    pub(super) password: String,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) public_keys: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    /// The WebAdmin writes a directory without permissions as `null`.
    pub(super) permissions: BTreeMap<String, Option<Vec<String>>>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) groups: Vec<GroupMapping>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) virtual_folders: Vec<VirtualFolder>,
    #[serde(default)]
    pub(super) filesystem: SftpgoFilesystem,
    #[serde(default)]
    pub(super) filters: UserFilters,
    #[serde(default)]
    pub(super) max_sessions: i64,
    #[serde(default)]
    pub(super) quota_size: i64,
    #[serde(default)]
    pub(super) quota_files: i64,
    #[serde(default)]
    pub(super) upload_bandwidth: i64,
    #[serde(default)]
    pub(super) download_bandwidth: i64,
    #[serde(default)]
    pub(super) upload_data_transfer: i64,
    #[serde(default)]
    pub(super) download_data_transfer: i64,
    #[serde(default)]
    pub(super) total_data_transfer: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct GroupMapping {
    pub(super) name: String,
    /// 1 is the primary group, 2 a secondary one. Members of the type 3 inherit nothing.
    #[serde(rename = "type")]
    pub(super) kind: i64,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct UserFilters {
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) allowed_ip: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) denied_ip: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) denied_login_methods: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) denied_protocols: Vec<String>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) file_patterns: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) access_time: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) bandwidth_limits: Vec<IgnoredAny>,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) two_factor_protocols: Vec<String>,
    #[serde(default)]
    pub(super) totp_config: TotpConfig,
    #[serde(default)]
    pub(super) max_upload_file_size: i64,
    #[serde(default)]
    pub(super) password_expiration: i64,
    #[serde(default)]
    pub(super) require_password_change: bool,
    #[serde(default)]
    pub(super) is_anonymous: bool,
    #[serde(default)]
    pub(super) start_directory: String,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct TotpConfig {
    #[serde(default)]
    pub(super) enabled: bool,
    #[serde(default, deserialize_with = "or_empty")]
    pub(super) protocols: Vec<String>,
}

/// A folder of a user. A dump states its filesystem here, or only in its list of folders.
#[derive(Debug, Deserialize)]
pub(super) struct VirtualFolder {
    pub(super) name: String,
    pub(super) virtual_path: String,
    /// The directory of the folder that is at the virtual path.
    #[serde(default)]
    pub(super) subpath: String,
    /// -1 counts as a part of the user's quota, and 0 is none.
    #[serde(default)]
    pub(super) quota_size: i64,
    #[serde(default)]
    pub(super) quota_files: i64,
    pub(super) filesystem: Option<SftpgoFilesystem>,
}

#[derive(Debug, Deserialize)]
pub(super) struct SftpgoFolder {
    pub(super) name: String,
    #[serde(default)]
    pub(super) filesystem: SftpgoFilesystem,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct SftpgoFilesystem {
    #[serde(default)]
    pub(super) provider: i64,
    #[serde(default)]
    pub(super) s3config: S3FsConfig,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct S3FsConfig {
    #[serde(default)]
    pub(super) bucket: String,
    #[serde(default)]
    pub(super) key_prefix: String,
    #[serde(default)]
    pub(super) region: String,
    #[serde(default)]
    pub(super) access_key: String,
    #[serde(default)]
    pub(super) role_arn: String,
    #[serde(default)]
    pub(super) session_token: String,
    #[serde(default)]
    pub(super) endpoint: String,
    #[serde(default)]
    pub(super) storage_class: String,
    #[serde(default)]
    pub(super) acl: String,
    #[serde(default)]
    pub(super) force_path_style: bool,
    #[serde(default)]
    pub(super) skip_tls_verify: bool,
    #[serde(rename = "sse_customer_key")]
    pub(super) sse_key: Option<KmsSecret>,
}

/// A secret, which SFTPGo encrypts. Its text is never read.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct KmsSecret {
    #[serde(default)]
    pub(super) status: String,
}

/// Reads a list or a map, or `null` as an empty one.
fn or_empty<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}
