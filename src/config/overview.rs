//! The tenants as operators see them: no secret and no hash, but fingerprints.

use super::{
    ConfigReading,
    edit::{EditError, KeyLine, TenantEdit},
    reading::TenantFile,
};
use crate::{
    account::{Permission, Permissions, PrincipalArn, Storage},
    name::{TenantName, UserName},
    tenants::{TenantSetup, UserSetup},
};
use serde::Serialize;
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

/// All tenants of a config.
#[derive(Debug)]
pub(crate) struct AllSetups {
    pub(crate) tenants: Vec<TenantSetup>,
    /// The names of the files that have a problem.
    pub(crate) broken: Vec<String>,
    pub(crate) server_principal: Option<PrincipalArn>,
}

/// A tenant in a list.
#[derive(Debug, Serialize)]
pub(crate) struct TenantRow {
    pub(crate) name: String,
    pub(crate) file: String,
    /// `None` if the file has a problem.
    pub(crate) enabled: Option<bool>,
    /// The number of users, as far as the file can be read.
    pub(crate) users: usize,
    pub(crate) bucket: Option<String>,
    pub(crate) prefix: Option<String>,
    pub(crate) problems: Vec<String>,
}

/// A tenant with its users.
#[derive(Debug, Serialize)]
pub(crate) struct TenantOverview {
    pub(crate) name: TenantName,
    pub(crate) file: String,
    pub(crate) enabled: bool,
    pub(crate) bucket: String,
    pub(crate) prefix: String,
    pub(crate) region: String,
    pub(crate) role_arn: Option<String>,
    pub(crate) users: Vec<UserOverview>,
}

/// The things that outlast the removal of a tenant's file.
#[derive(Debug)]
pub(crate) struct TenantRemains {
    pub(crate) file: PathBuf,
    /// The number of users, as far as the file can be read. They don't outlast it.
    pub(crate) users: usize,
    /// `None` if the file has a problem.
    pub(crate) storage: Option<Arc<Storage>>,
    /// The files with secrets and keys that the tenant's file alone names.
    pub(crate) named: BTreeSet<PathBuf>,
    /// Those that other keys of the config name too.
    pub(crate) shared: BTreeSet<PathBuf>,
    /// The file that the tenant's file is a link to.
    pub(crate) link_target: Option<PathBuf>,
}

/// A user of a tenant.
#[derive(Debug, Serialize)]
pub(crate) struct UserOverview {
    pub(crate) name: UserName,
    pub(crate) enabled: bool,
    #[serde(rename = "password")]
    pub(crate) has_password: bool,
    pub(crate) keys: Vec<KeyOverview>,
    pub(crate) landing: String,
    pub(crate) mounts: Vec<MountOverview>,
}

/// A public key that a user may log in with.
#[derive(Debug, Serialize)]
pub(crate) struct KeyOverview {
    pub(crate) algorithm: String,
    pub(crate) fingerprint: String,
    pub(crate) comment: String,
}

/// A mount of a user.
#[derive(Debug, Serialize)]
pub(crate) struct MountOverview {
    pub(crate) entry: String,
    pub(crate) prefix: String,
    pub(crate) permissions: Vec<&'static str>,
}

/// Lists the tenants of the config, in the order of their files.
///
/// # Errors
/// The server's file isn't TOML, or the tenants' directory can't be read.
pub(crate) fn tenants(config: &Path) -> Result<Vec<TenantRow>, EditError> {
    let reading = read(config)?;
    let problems = reading.problems();
    let row = |file: &TenantFile| {
        let storage = file.setup.as_ref().map(|setup| &setup.storage);
        let own = problems.iter().filter(|problem| problem.file == file.path).cloned().chain(file.report.problems());
        let mut problems: Vec<String> = own.map(|problem| problem.to_string()).collect();
        problems.sort();
        problems.dedup();
        TenantRow {
            name: file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            file: file.path.display().to_string(),
            enabled: file.setup.as_ref().map(|setup| setup.tenant.enabled),
            users: file.claims.users().count(),
            bucket: storage.map(|storage| storage.bucket.clone()),
            prefix: storage.map(|storage| storage.prefix.as_str().to_owned()),
            problems,
        }
    };
    Ok(reading.tenant_files().iter().map(row).collect())
}

/// Returns a tenant and its users.
///
/// # Errors
/// There is no such tenant, or its file has a problem.
pub(crate) fn tenant(config: &Path, name: &TenantName) -> Result<TenantOverview, EditError> {
    let reading = read(config)?;
    let (file, setup) = readable(&reading, name)?;
    // The config keeps no comments of keys, so they are read from the files.
    let mut text = TenantEdit::of(&file.path, Vec::new())?;
    let users = setup.users.iter().map(|user| Ok(user_overview(user, text.keys(&user.user.name)?)));
    Ok(TenantOverview {
        name: name.clone(),
        file: file.path.display().to_string(),
        enabled: setup.tenant.enabled,
        bucket: setup.storage.bucket.clone(),
        prefix: setup.storage.prefix.as_str().to_owned(),
        region: setup.storage.region.clone(),
        role_arn: setup.storage.credentials.role.as_ref().map(|role| role.arn.to_string()),
        users: users.collect::<Result<_, EditError>>()?,
    })
}

/// Returns what outlasts the removal of a tenant's file.
///
/// # Errors
/// There is no such tenant.
pub(crate) fn remains(config: &Path, name: &TenantName) -> Result<TenantRemains, EditError> {
    let reading = read(config)?;
    let file = reading.tenant_files().iter().find(|file| file.name.as_ref() == Some(name));
    let file = file.ok_or_else(|| EditError::UnknownTenant(name.clone()))?;
    let target = |path: &Path| fs::canonicalize(path).ok();
    let all: Vec<PathBuf> = reading.watched().named.iter().filter_map(|path| target(path)).collect();
    let own: Vec<PathBuf> = file.report.named_files().iter().filter_map(|path| target(path)).collect();
    let uses = |paths: &[PathBuf], path: &PathBuf| paths.iter().filter(|other| *other == path).count();
    let (shared, named): (BTreeSet<PathBuf>, BTreeSet<PathBuf>) =
        own.iter().cloned().partition(|path| uses(&all, path) > uses(&own, path));
    let is_link = fs::symlink_metadata(&file.path).is_ok_and(|metadata| metadata.is_symlink());
    Ok(TenantRemains {
        file: file.path.clone(),
        users: file.claims.users().count(),
        storage: file.setup.as_ref().map(|setup| Arc::clone(&setup.storage)),
        named,
        shared,
        link_target: is_link.then(|| target(&file.path)).flatten(),
    })
}

/// Returns a tenant as its file states it, and the identity that the server has in AWS.
///
/// # Errors
/// As [`tenant`], and also if the server's file has a problem.
pub(crate) fn setup(config: &Path, name: &TenantName) -> Result<(TenantSetup, Option<PrincipalArn>), EditError> {
    let reading = read(config)?;
    let server = reading.server().map_err(|problems| EditError::Config { problems })?;
    Ok((readable(&reading, name)?.1.clone(), server.server_principal.clone()))
}

/// Returns all tenants as their files state them, the names of those whose files have a problem, and the identity that the
/// server has in AWS.
///
/// # Errors
/// The server's file has a problem, or the tenants' directory can't be read.
pub(crate) fn setups(config: &Path) -> Result<AllSetups, EditError> {
    let reading = read(config)?;
    let server = reading.server().map_err(|problems| EditError::Config { problems })?;
    let stem = |file: &TenantFile| file.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let (mut tenants, mut broken) = (Vec::new(), Vec::new());
    for file in reading.tenant_files() {
        match &file.setup {
            Some(setup) => tenants.push(setup.clone()),
            None => broken.push(stem(file)),
        }
    }
    Ok(AllSetups { tenants, broken, server_principal: server.server_principal.clone() })
}

/// Returns the file of a tenant, with its content.
fn readable<'a>(reading: &'a ConfigReading, name: &TenantName) -> Result<(&'a TenantFile, &'a TenantSetup), EditError> {
    let file = reading.tenant_files().iter().find(|file| file.name.as_ref() == Some(name));
    let file = file.ok_or_else(|| EditError::UnknownTenant(name.clone()))?;
    match &file.setup {
        Some(setup) => Ok((file, setup)),
        None => Err(EditError::BrokenFile { path: file.path.clone(), problems: file.report.problems() }),
    }
}

fn read(config: &Path) -> Result<ConfigReading, EditError> {
    let reading = ConfigReading::of(config);
    // Problems of the server's file that leave the tenants readable are for `check` to tell.
    if reading.watched().directory.is_none() || (reading.tenant_files().is_empty() && reading.server().is_err()) {
        return Err(EditError::Config { problems: reading.problems() });
    }
    Ok(reading)
}

fn user_overview(setup: &UserSetup, keys: Vec<KeyLine>) -> UserOverview {
    let user = &setup.user;
    let key =
        |key: KeyLine| KeyOverview { algorithm: key.algorithm, fingerprint: key.fingerprint, comment: key.comment };
    UserOverview {
        name: user.name.clone(),
        enabled: user.enabled,
        has_password: setup.credentials.password_hash.is_some(),
        keys: keys.into_iter().filter(|key| key.is_usable).map(key).collect(),
        landing: user.mounts.landing().to_string(),
        mounts: user
            .mounts
            .iter()
            .map(|mount| MountOverview {
                entry: mount.entry.to_string(),
                prefix: mount.prefix.as_str().to_owned(),
                permissions: words(mount.permissions),
            })
            .collect(),
    }
}

fn words(permissions: Permissions) -> Vec<&'static str> {
    Permission::ALL.into_iter().filter(|word| permissions.contains(*word)).map(Permission::as_str).collect()
}
