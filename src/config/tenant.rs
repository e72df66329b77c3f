//! A tenant's file: `tenants/<name>.toml`.

use super::{
    daily_limits,
    document::ConfigTable,
    storage::SpottedStorage,
    tenant_claims::TenantClaims,
    user,
    value::{ByteSize, words},
};
use crate::{
    account::{DEFAULT_MAX_OBJECT_BYTES, DEFAULT_MAX_RENAME_OBJECTS, DEFAULT_PARTIAL_UPLOADS_KEPT_FOR, Tenant},
    name::TenantName,
    tenants::TenantSetup,
    upload::MAX_OBJECT_BYTES,
};
use std::{num::NonZeroU32, path::Path, sync::Arc, time::Duration};

/// The maximum of `max_rename_objects`: a rename of a directory keeps the names of all its objects in memory.
const MOST_RENAME_OBJECTS: u64 = 100_000;

/// The minimum of the time to keep partial uploads: a client needs longer than this to reconnect and resume.
const SHORTEST_RETENTION: Duration = Duration::from_mins(1);

/// The treatment of interrupted uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PartialUploads {
    Resumable,
    Discard,
}

words!(PartialUploads { "resumable" => PartialUploads::Resumable, "discard" => PartialUploads::Discard });

/// Reads the tenant of `file`, and collects its `claims`.
pub(super) fn read(root: &mut ConfigTable<'_>, file: &Path, claims: &mut TenantClaims) -> Option<TenantSetup> {
    let name = read_name(root, file);
    let enabled = root.or("enabled", true);
    let max_object_bytes = root.or("max_object_bytes", ByteSize(DEFAULT_MAX_OBJECT_BYTES));
    if !(1..=MAX_OBJECT_BYTES).contains(&max_object_bytes.0) {
        let most = ByteSize(MAX_OBJECT_BYTES);
        root.problem("max_object_bytes", format!("is {max_object_bytes}; it takes 1 byte to {most}"));
    }
    let fetch_ahead = root.or("fetch_ahead", true);
    let max_rename_objects = read_max_rename_objects(root);
    let partial_uploads_kept_for = read_partial_uploads_kept_for(root);
    let daily_limits = root.table("daily_limits", |limits| Some(daily_limits::read(limits))).unwrap_or_default();
    let storage = root.table("storage", SpottedStorage::read);
    if let Some(storage) = &storage {
        claims.claim_external_id(storage);
    }
    let read_user = |user: &mut ConfigTable<'_>| user::read(user, name.as_ref(), storage.as_ref(), claims);
    let users = root.tables("users", read_user).unwrap_or_default().into_iter();
    let (name, storage) = (name?, storage?);
    Some(TenantSetup {
        tenant: Arc::new(Tenant {
            name,
            enabled,
            max_object_bytes: max_object_bytes.0,
            fetch_ahead,
            max_rename_objects,
            partial_uploads_kept_for,
            daily_limits,
        }),
        storage: Arc::new(storage.storage),
        users: users.collect(),
    })
}

fn read_max_rename_objects(root: &mut ConfigTable<'_>) -> u64 {
    const KEY: &str = "max_rename_objects";
    let max = root.optional::<NonZeroU32>(KEY).map_or(DEFAULT_MAX_RENAME_OBJECTS, |max| u64::from(max.get()));
    if max > MOST_RENAME_OBJECTS {
        root.problem(KEY, format!("is {max}; it takes 1 to {MOST_RENAME_OBJECTS}"));
    }
    max
}

fn read_partial_uploads_kept_for(root: &mut ConfigTable<'_>) -> Option<Duration> {
    const KEY: &str = "partial_uploads_kept_for";
    let partial_uploads = root.or("partial_uploads", PartialUploads::Resumable);
    let kept_for = root.optional::<Duration>(KEY);
    if kept_for.is_some_and(|kept_for| kept_for < SHORTEST_RETENTION) {
        root.problem(KEY, "is less than a minute; it takes \"1m\" to \"365d\"");
    }
    match partial_uploads {
        PartialUploads::Resumable => Some(kept_for.unwrap_or(DEFAULT_PARTIAL_UPLOADS_KEPT_FOR)),
        PartialUploads::Discard => {
            if kept_for.is_some() {
                root.problem(KEY, "means nothing where `partial_uploads` is \"discard\"; leave one of them out");
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
