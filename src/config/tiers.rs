//! The tiers, `tiers.toml`: limits that several tenants have. A tenant names its tier, and its own limits come first.
//!
//! A problem here is one of the server's config as a whole, because every tenant may have the tier: a reload then
//! changes nothing. A tenant that names an unknown tier is a problem of its own file.

use super::{document::ConfigTable, limits::StatedLimits};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

const TIERS_FILE: &str = "tiers_file";

/// The limits of each tier, by its name.
#[derive(Debug)]
pub(super) enum Tiers {
    Known(BTreeMap<String, StatedLimits>),
    /// The file has a problem, which is reported. No tenant gets another one for its tier.
    Broken,
}

/// Returns the path of the tiers' file. `None` if the server's file doesn't name one, and there is none.
pub(super) fn path(root: &mut ConfigTable<'_>) -> Option<PathBuf> {
    let named: Option<PathBuf> = root.optional(TIERS_FILE);
    let path = root.resolve(named.as_deref().unwrap_or(Path::new("tiers.toml")));
    // Watched also while it is missing, because it may come.
    root.report().add_named_file(&path);
    // A file that can't be looked at isn't missing: its reading reports the reason.
    let is_missing = matches!(path.try_exists(), Ok(false));
    (named.is_some() || !is_missing).then_some(path)
}

/// Reads the tiers.
pub(super) fn read(root: &mut ConfigTable<'_>) -> Tiers {
    let mut tiers = BTreeMap::new();
    root.tables("tiers", |tier| {
        let name: Option<String> = tier.required("name");
        let limits = StatedLimits::read(tier);
        if let Some(name) = name
            && tiers.insert(name.clone(), limits).is_some()
        {
            tier.problem("name", format!("`{name}` is the name of another tier too"));
        }
        Some(())
    });
    Tiers::Known(tiers)
}

impl Tiers {
    /// Returns the limits of the tier that a tenant's file names, and none if it names none. Reports an unknown one.
    pub(super) fn of(&self, tenant: &mut ConfigTable<'_>) -> StatedLimits {
        const KEY: &str = "tier";
        let Some(name) = tenant.optional::<String>(KEY) else { return StatedLimits::default() };
        let Self::Known(tiers) = self else { return StatedLimits::default() };
        if let Some(limits) = tiers.get(&name) {
            return *limits;
        }
        let known: Vec<_> = tiers.keys().map(|name| format!("`{name}`")).collect();
        let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        tenant.problem(KEY, format!("there is no tier `{name}`; there are {known}"));
        StatedLimits::default()
    }
}
