//! The home of a Transfer Family user as mounts.

use super::{
    documents::{DescribedUser, HomeDirectoryMapping},
    plan::{ImportedMount, quoted},
};
use crate::{
    account::{Mount, Mounts, Permissions},
    name::{Prefix, VirtualPath},
};

/// The home of a user in one bucket.
pub(super) struct TransferHome {
    pub(super) bucket: String,
    pub(super) landing: VirtualPath,
    /// The prefixes are those in the bucket.
    pub(super) mounts: Vec<ImportedMount>,
    /// True if only the role and the session policy keep the user below the home.
    pub(super) is_open: bool,
}

/// The quota of a service-managed user.
const MAX_MAPPINGS: usize = 2_000;

impl TransferHome {
    /// Returns the home, or the end of the sentence about a user that can't be imported.
    pub(super) fn of(user: &DescribedUser) -> Result<Self, String> {
        match user.home_directory_type.as_deref() {
            Some("LOGICAL") => Self::logical(user),
            Some("PATH") | None => Self::path(user),
            Some(other) => Err(format!("the type of the home directory, {}, is unknown", quoted(other))),
        }
    }

    /// Mappings are the whole namespace of the user.
    fn logical(user: &DescribedUser) -> Result<Self, String> {
        let mappings = &user.home_directory_mappings;
        if mappings.is_empty() || mappings.len() > MAX_MAPPINGS {
            return Err(format!("it has {} mappings, not 1 to {MAX_MAPPINGS}", mappings.len()));
        }
        let mut buckets = Vec::new();
        let mut mounts = Vec::<ImportedMount>::new();
        for mapping in mappings {
            let (bucket, mount) = mounted(mapping)?;
            if mounts.iter().any(|other| other.entry == mount.entry) {
                return Err(format!("two mappings have the entry {}", quoted(&mapping.entry)));
            }
            if !buckets.contains(&bucket) {
                buckets.push(bucket);
            }
            mounts.push(mount);
        }
        let [bucket] = &buckets[..] else {
            let count = buckets.len();
            return Err(format!(
                "its mappings are in {count} buckets, and a tenant has one: make a user for each bucket"
            ));
        };
        let landing = user.home_directory.as_deref().filter(|home| !home.is_empty()).unwrap_or("/");
        let landing = path(landing)?;
        require_tree(&mounts, &landing)?;
        Ok(Self { bucket: (*bucket).to_owned(), landing, mounts, is_open: false })
    }

    /// A client sees `/bucket/key`. AWS lets it leave its home for anything that IAM allows, which isn't known here: the
    /// mount is the home alone.
    fn path(user: &DescribedUser) -> Result<Self, String> {
        let home = user.home_directory.as_deref().unwrap_or_default();
        let (bucket, prefix) = target(home)?;
        let landing = path(home.trim_end_matches('/'))?;
        let is_open = prefix.as_str().is_empty();
        let mount = ImportedMount { entry: landing.clone(), prefix, permissions: Permissions::ALL };
        Ok(Self { bucket: bucket.to_owned(), landing, mounts: vec![mount], is_open })
    }
}

fn mounted(mapping: &HomeDirectoryMapping) -> Result<(&str, ImportedMount), String> {
    match mapping.kind.as_deref() {
        Some("DIRECTORY") | None => {}
        _ => {
            let entry = quoted(&mapping.entry);
            return Err(format!("the mapping of {entry} is to a file, and mounts are directories"));
        }
    }
    let (bucket, prefix) = target(&mapping.target)?;
    Ok((bucket, ImportedMount { entry: path(&mapping.entry)?, prefix, permissions: Permissions::ALL }))
}

/// Splits `/bucket/prefix`.
fn target(target: &str) -> Result<(&str, Prefix), String> {
    let names_none = || format!("{} names no bucket and prefix", quoted(target));
    if target.contains("${") {
        return Err(format!("{} has a variable, which the service resolves for its own users", quoted(target)));
    }
    let path = target.strip_prefix('/').ok_or_else(names_none)?;
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    if bucket.is_empty() {
        return Err(names_none());
    }
    Ok((bucket, directory(prefix)?))
}

/// Requires that the mounts can hold the landing directory: the file of the whole tenant would be refused otherwise.
pub(super) fn require_tree(mounts: &[ImportedMount], landing: &VirtualPath) -> Result<(), String> {
    let mounts =
        mounts.iter().cloned().map(|ImportedMount { entry, prefix, permissions }| Mount { entry, prefix, permissions });
    Mounts::new(mounts, landing.clone()).map(drop).map_err(|error| error.to_string())
}

/// Returns the prefix of a directory that is stated with or without a slash at its end.
pub(super) fn directory(prefix: &str) -> Result<Prefix, String> {
    let slash = if prefix.is_empty() || prefix.ends_with('/') { "" } else { "/" };
    Prefix::parse(&format!("{prefix}{slash}")).map_err(|error| format!("{}: {error}", quoted(prefix)))
}

pub(super) fn path(path: &str) -> Result<VirtualPath, String> {
    VirtualPath::configured(path).map_err(|error| format!("{}: {error}", quoted(path)))
}
