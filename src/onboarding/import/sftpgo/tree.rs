//! The tree of a SFTPGo user as mounts: its home, its virtual folders, and each directory with permissions of its own.
//!
//! In both services the longest entry that contains a path decides.

use super::{
    dump::{S3FsConfig, SftpgoFilesystem, SftpgoFolder, SftpgoUser, VirtualFolder},
    lost::LostSettings,
    permissions::permissions,
};
use crate::{
    account::{Permissions, RoleArn},
    name::{BucketId, Prefix, VirtualPath},
    onboarding::import::{
        home::{directory, path, require_tree},
        plan::{ImportedMount, TenantSite, quoted},
    },
};
use std::collections::BTreeMap;

/// The provider of S3.
const S3: i64 = 1;

/// The providers by their numbers.
const PROVIDERS: [&str; 7] = [
    "local files",
    "S3",
    "Google Cloud Storage",
    "Azure Blob Storage",
    "encrypted local files",
    "another SFTP server",
    "an HTTP filesystem",
];

/// The tree of a user in one bucket.
pub(super) struct SftpgoTree {
    pub(super) site: TenantSite,
    /// The prefixes are those in the bucket.
    pub(super) mounts: Vec<ImportedMount>,
    pub(super) landing: VirtualPath,
}

/// A directory of the tree that is a prefix: the home or a virtual folder.
struct TreeRoot {
    entry: VirtualPath,
    prefix: Prefix,
}

impl SftpgoTree {
    /// Returns the tree, or the end of the sentence about a user that can't be imported. `region` is that of buckets
    /// whose region the dump doesn't state.
    pub(super) fn of(
        user: &SftpgoUser,
        folders: &[SftpgoFolder],
        region: Option<&str>,
        lost: &mut LostSettings,
    ) -> Result<Self, String> {
        let (site, prefix) = s3(&user.filesystem, region, lost).map_err(|reason| format!("its home {reason}"))?;
        let mut roots = vec![TreeRoot { entry: VirtualPath::root(), prefix }];
        for folder in &user.virtual_folders {
            let name = quoted(&folder.name);
            let filesystem = filesystem(folder, folders).ok_or_else(|| format!("the dump lacks its folder {name}"))?;
            let (other, prefix) =
                s3(filesystem, region, lost).map_err(|reason| format!("its folder {name} {reason}"))?;
            if other != site {
                return Err(format!(
                    "its folder {name} is in another bucket than its home, or has another identity, and a tenant has one of \
                     both"
                ));
            }
            let prefix = directory(&format!("{}{}", prefix.as_str(), folder.subpath.trim_matches('/')))?;
            roots.push(TreeRoot { entry: path(&folder.virtual_path)?, prefix });
            if folder.quota_size > 0 || folder.quota_files > 0 {
                lost.push("the quota of a virtual folder");
            }
        }
        let mounts = mounts(&roots, &permissions_by_path(user, lost)?)?;
        let landing = &user.filters.start_directory;
        let landing = path(if landing.is_empty() { "/" } else { landing })?;
        require_tree(&mounts, &landing)?;
        Ok(Self { site, mounts, landing })
    }
}

/// Returns the filesystem of a folder, or `None` if the dump lacks it.
fn filesystem<'a>(folder: &'a VirtualFolder, folders: &'a [SftpgoFolder]) -> Option<&'a SftpgoFilesystem> {
    let listed = folders.iter().find(|listed| listed.name == folder.name).map(|listed| &listed.filesystem);
    listed.or(folder.filesystem.as_ref())
}

/// Returns the permissions of each directory that has its own.
fn permissions_by_path(
    user: &SftpgoUser,
    lost: &mut LostSettings,
) -> Result<BTreeMap<VirtualPath, Permissions>, String> {
    let mut by_path = BTreeMap::new();
    for (directory, words) in &user.permissions {
        if directory.contains(['*', '?', '[', '\\']) {
            return Err(format!("its permissions at {} are those of a pattern: name directories", quoted(directory)));
        }
        let (granted, without) = permissions(words.as_deref().unwrap_or_default());
        for word in without {
            lost.push(&format!("the permission {}", quoted(word)));
        }
        by_path.insert(path(directory)?, granted);
    }
    Ok(by_path)
}

/// Returns a mount for each root and for each directory whose permissions differ from those of the directory around it.
fn mounts(roots: &[TreeRoot], permissions: &BTreeMap<VirtualPath, Permissions>) -> Result<Vec<ImportedMount>, String> {
    let covers = |entry: &VirtualPath, path: &VirtualPath| entry == path || path.is_below(entry);
    let mut entries: Vec<_> = roots.iter().map(|root| &root.entry).chain(permissions.keys()).collect();
    // A directory follows those around it.
    entries.sort_by_key(|entry| (entry.as_str().len(), entry.as_str()));
    entries.dedup();
    let mut mounts = Vec::<ImportedMount>::new();
    for entry in entries {
        let around = roots.iter().filter(|root| covers(&root.entry, entry));
        let root = around.max_by_key(|root| root.entry.as_str().len()).ok_or("its tree has no root")?;
        let of_path = permissions.iter().filter(|(path, _)| covers(path, entry));
        let granted = of_path.max_by_key(|(path, _)| path.as_str().len()).map(|(_, granted)| *granted);
        let granted = granted.unwrap_or(Permissions::NONE);
        let Some(below) = entry.relative_to(&root.entry).filter(|_| *entry != root.entry) else {
            if roots.iter().filter(|other| other.entry == *entry).count() > 1 {
                return Err(format!("two of its folders are at {}", quoted(entry.as_str())));
            }
            mounts.push(ImportedMount { entry: entry.clone(), prefix: root.prefix.clone(), permissions: granted });
            continue;
        };
        let outer = mounts.iter().filter(|mount| covers(&mount.entry, entry));
        if outer.max_by_key(|mount| mount.entry.as_str().len()).is_some_and(|mount| mount.permissions == granted) {
            continue;
        }
        let prefix = directory(&format!("{}{below}", root.prefix.as_str()))?;
        mounts.push(ImportedMount { entry: entry.clone(), prefix, permissions: granted });
    }
    Ok(mounts)
}

/// Returns the site and the prefix of a filesystem, or a phrase with the reason why it can't be served.
fn s3(
    filesystem: &SftpgoFilesystem,
    region: Option<&str>,
    lost: &mut LostSettings,
) -> Result<(TenantSite, Prefix), String> {
    if filesystem.provider != S3 {
        let provider = usize::try_from(filesystem.provider).ok().and_then(|index| PROVIDERS.get(index));
        return Err(format!("is on {}, not on S3", provider.unwrap_or(&"an unknown provider")));
    }
    let S3FsConfig { bucket, key_prefix, access_key, role_arn, endpoint, .. } = &filesystem.s3config;
    let config = &filesystem.s3config;
    if config.sse_key.as_ref().is_some_and(|key| !key.status.is_empty()) {
        return Err("is encrypted with a key of its own (SSE-C), which has no counterpart".to_owned());
    }
    if !config.session_token.is_empty() {
        return Err("has temporary credentials (session_token), which expire".to_owned());
    }
    if key_prefix.contains(['%']) {
        return Err(format!("has the prefix {}, in which `%` may begin a placeholder", quoted(key_prefix)));
    }
    let stated = Some(config.region.as_str()).filter(|region| !region.is_empty()).or(region);
    let region = stated.ok_or("states no region: state it with --region")?.to_owned();
    let parse_role = |arn: &str| arn.parse::<RoleArn>().map_err(|error| format!("has a wrong role: {error}"));
    let role = Some(role_arn.as_str()).filter(|arn| !arn.is_empty()).map(parse_role).transpose()?;
    let is_in_aws = BucketId::new(bucket, Some(endpoint)).is_in_aws();
    if role.is_some() && !is_in_aws {
        // SFTPGo asks AWS for the role, whatever the endpoint.
        return Err(format!(
            "has a role of AWS's, but the endpoint {}, which is another store's: write its tenant by hand, with \
             `sts_endpoint`",
            quoted(endpoint)
        ));
    }
    let some = |text: &String| Some(text.clone()).filter(|text| !text.is_empty());
    for (setting, is_set) in [
        ("storage_class", !config.storage_class.is_empty()),
        ("acl", !config.acl.is_empty()),
        ("skip_tls_verify", config.skip_tls_verify),
    ] {
        if is_set {
            lost.push(&format!("the setting `{setting}` of S3"));
        }
    }
    let site = TenantSite {
        bucket: bucket.clone(),
        region,
        endpoint: some(endpoint),
        path_style: config.force_path_style,
        role,
        access_key: some(access_key),
    };
    Ok((site, directory(key_prefix.trim_start_matches('/'))?))
}
