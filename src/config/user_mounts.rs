//! The `[[users.mounts]]` tables, and the user's landing directory.

use super::{
    document::ConfigTable,
    problem::{Report, Spot},
    storage::SpottedStorage,
    user::read_permissions,
    value::Value,
};
use crate::{
    account::{InvalidMounts, Mount, Mounts, Permissions},
    cloud::SessionPolicy,
    name::{Prefix, VirtualPath},
};
use toml::de::DeValue;

/// The tree of a user, as configured.
pub(super) struct UserMounts {
    /// The valid mounts, for checks across users.
    pub(super) spotted: Vec<SpottedMount>,
    /// All mounts, or `None` if one of them or the tenant's storage is wrong.
    pub(super) mounts: Option<Mounts>,
}

/// A mount, and the position of the key that gives its prefix.
pub(super) struct SpottedMount {
    pub(super) mount: Mount,
    pub(super) spot: Spot,
}

impl SpottedMount {
    /// Reports a mount that no session policy can express.
    pub(super) fn check_policy(&self, storage: &SpottedStorage, report: &Report) {
        if storage.storage.credentials.role.is_some()
            && let Err(error) = SessionPolicy::new(&storage.storage, &self.mount.prefix, self.mount.permissions)
        {
            report.problem(&self.spot, error.to_string());
        }
    }
}

/// Reads the mounts of `user` and its landing directory. A user without mounts sees the tenant's whole prefix at `/`.
pub(super) fn read(
    user: &mut ConfigTable<'_>,
    storage: Option<&SpottedStorage>,
    permissions: Permissions,
) -> UserMounts {
    let before = user.report().count();
    let spotted = read_mounts(user, storage, permissions);
    let landing = user.or("landing", VirtualPath::root());
    // Wrong mounts were omitted, so the check of the landing directory requires that all mounts are valid.
    let is_sound = storage.is_some() && user.report().count() == before;
    let mounts = is_sound.then(|| Mounts::new(spotted.iter().map(|mount| mount.mount.clone()), landing));
    let mounts = mounts.and_then(|mounts| mounts.map_err(|error| refuse(user, &error)).ok());
    UserMounts { spotted, mounts }
}

fn refuse(user: &ConfigTable<'_>, error: &InvalidMounts) {
    match error {
        InvalidMounts::Landing { .. } | InvalidMounts::LandingOutside(_) => {
            user.problem("landing", format!("{error}; it takes a mount's entry or a directory in one"));
        }
        InvalidMounts::None | InvalidMounts::Duplicate(_) => user.problem("mounts", error.to_string()),
    }
}

fn read_mounts(
    user: &mut ConfigTable<'_>,
    storage: Option<&SpottedStorage>,
    permissions: Permissions,
) -> Vec<SpottedMount> {
    let mut entries = Vec::new();
    let mounts = user.tables("mounts", |mount| {
        let entry = mount.required::<VirtualPath>("entry");
        let below = mount.required::<Prefix>("prefix");
        let permissions = read_permissions(mount, permissions);
        if let Some(entry) = &entry {
            if entries.contains(entry) {
                mount.problem("entry", format!("another mount has the entry `{entry}`; it takes one of its own"));
            }
            entries.push(entry.clone());
        }
        let raw = format!("{}{}", storage?.storage.prefix.as_str(), below?.as_str());
        let prefix = Prefix::parse(&raw).map_err(|error| mount.problem("prefix", error.to_string())).ok()?;
        Some(SpottedMount { mount: Mount { entry: entry?, prefix, permissions }, spot: mount.spot("prefix") })
    });
    mounts.unwrap_or_else(|| storage.map(|storage| whole(storage, permissions)).into_iter().collect())
}

fn whole(storage: &SpottedStorage, permissions: Permissions) -> SpottedMount {
    let mount = Mount { entry: VirtualPath::root(), prefix: storage.storage.prefix.clone(), permissions };
    SpottedMount { mount, spot: storage.spot.clone() }
}

impl Value for VirtualPath {
    const TAKES: &'static str = "an absolute path such as \"/\" or \"/outbox\"";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        let text = raw.as_str().ok_or_else(|| Self::refuse(raw))?;
        Self::configured(text).map_err(|error| format!("{error}; it takes {}", Self::TAKES))
    }
}
