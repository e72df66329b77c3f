//! A tenant's file: `tenants/<name>.toml`.

use super::{
    document::ConfigTable, limits::StatedLimits, storage::SpottedStorage, tenant_claims::TenantClaims, tiers::Tiers,
    user, value::words,
};
use crate::{
    account::{DEFAULT_PARTIAL_UPLOADS_KEPT_FOR, Tenant},
    name::TenantName,
    tenants::TenantSetup,
};
use std::{path::Path, sync::Arc, time::Duration};

/// The treatment of interrupted uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartialUploads {
    Resumable,
    Discard,
}

words!(PartialUploads { "resumable" => PartialUploads::Resumable, "discard" => PartialUploads::Discard });

/// Reads the tenant of `file`, and collects its `claims`.
pub(super) fn read(
    root: &mut ConfigTable<'_>,
    file: &Path,
    tiers: &Tiers,
    claims: &mut TenantClaims,
) -> Option<TenantSetup> {
    let name = read_name(root, file);
    let enabled = root.or("enabled", true);
    let of_tier = tiers.of(root);
    let own = StatedLimits::read(root);
    let limits = own.over(of_tier);
    let fetch_ahead = root.or("fetch_ahead", true);
    let partial_uploads_kept_for = read_retention(root, own.retention(), limits.retention());
    let storage = root.table("storage", SpottedStorage::read);
    if let Some(storage) = &storage {
        claims.claim_external_id(storage);
        claims.claim_vendor_role(storage);
    }
    let read_user = |user: &mut ConfigTable<'_>| user::read(user, name.as_ref(), storage.as_ref(), claims);
    let users = root.tables("users", read_user).unwrap_or_default().into_iter();
    let (name, storage) = (name?, storage?);
    Some(TenantSetup {
        tenant: Arc::new(Tenant {
            name,
            enabled,
            max_object_bytes: limits.max_object_bytes(),
            fetch_ahead,
            max_rename_objects: limits.max_rename_objects(),
            partial_uploads_kept_for,
            object_metadata: storage.object_metadata,
            daily_limits: limits.daily(),
            rates: limits.rates(),
        }),
        storage: Arc::new(storage.storage),
        users: users.collect(),
    })
}

/// Returns the time for which an interrupted upload can be resumed. `own` is that of the tenant's file.
fn read_retention(root: &mut ConfigTable<'_>, own: Option<Duration>, with_tier: Option<Duration>) -> Option<Duration> {
    match root.or("partial_uploads", PartialUploads::Resumable) {
        PartialUploads::Resumable => Some(with_tier.unwrap_or(DEFAULT_PARTIAL_UPLOADS_KEPT_FOR)),
        PartialUploads::Discard => {
            if own.is_some() {
                let message = "means nothing where `partial_uploads` is \"discard\"; leave one of them out";
                root.problem("partial_uploads_kept_for", message);
            }
            None
        }
    }
}

/// Reads the name, which must repeat the file's name. A copied file that was not fully edited fails here.
fn read_name(root: &mut ConfigTable<'_>, file: &Path) -> Option<TenantName> {
    let name: TenantName = root.required("name")?;
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    if name.as_str() != stem {
        root.problem("name", format!("is `{name}`; it takes the file's name, `{stem}`"));
        return None;
    }
    Some(name)
}
