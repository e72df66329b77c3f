//! The reasons why an edit fails.

use super::replace::ReplaceError;
use crate::{
    account::RoleArn,
    config::Problem,
    name::{Prefix, TenantName, UserName},
};
use std::{io, path::PathBuf};

/// The reason why nothing was edited.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EditError {
    #[error("the config can't be read: nothing was changed")]
    Config { problems: Vec<Problem> },
    #[error("the tenants' directory {} can't be locked: {error}; nothing was changed", directory.display())]
    Lock { directory: PathBuf, error: io::Error },
    #[error("there is no tenant `{0}`")]
    UnknownTenant(TenantName),
    #[error("there is a tenant `{tenant}` already: {}", path.display())]
    TenantExists { tenant: TenantName, path: PathBuf },
    #[error(
        "the tenant `{tenant}` has the role {role} already: make a role for each tenant, or write the file by hand if both \
         may work as this one"
    )]
    RoleOfAnother { role: RoleArn, tenant: TenantName },
    #[error("the tenant `{tenant}` has this external ID already: each tenant takes one of its own")]
    ExternalIdOfAnother { tenant: TenantName },
    #[error(
        "the prefix `{}` overlaps with `{}` of the tenant `{tenant}` in the same bucket: choose one apart, or write the \
         file by hand if both tenants may reach the same objects",
        prefix.as_str(),
        other.as_str()
    )]
    PrefixOfAnother { prefix: Prefix, other: Prefix, tenant: TenantName },
    /// `problems` are those of the files that may have other users than could be read.
    #[error("no tenant has a user `{user}`")]
    UnknownUser { user: UserName, problems: Vec<Problem> },
    #[error("`{user}` is a user of more than one tenant ({}): edit their files", tenants.join(", "))]
    UserOfSeveral { user: UserName, tenants: Vec<String> },
    #[error("`{user}` is a user of the tenant `{tenant}` already; names of users are unique in the server")]
    UserExists { user: UserName, tenant: TenantName },
    #[error("{} has a problem already: nothing was changed", path.display())]
    BrokenFile { path: PathBuf, problems: Vec<Problem> },
    #[error("the config would have a problem with this change: nothing was changed")]
    NewProblems { problems: Vec<Problem> },
    #[error("`{user}` has this key already: {fingerprint}")]
    KeyExists { user: UserName, fingerprint: String },
    #[error("`{user}` has no key with this fingerprint or comment")]
    UnknownKey { user: UserName },
    #[error("`{user}` has several keys with this comment: name one by its fingerprint, {}", fingerprints.join(", "))]
    AmbiguousKey { user: UserName, fingerprints: Vec<String> },
    #[error("`{user}` could not log in without this key: add another credential first, or disable or remove the user")]
    LastCredential { user: UserName },
    #[error("{} is named for several users: edit it by hand", path.display())]
    SharedFile { path: PathBuf },
    #[error("{} isn't changed: it can't be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    #[error("{} isn't changed: {error}", path.display())]
    Replace { path: PathBuf, error: ReplaceError },
    #[error("the change of {} could not be completed: {reason}; and it can't be undone: {error}", path.display())]
    NotUndone { path: PathBuf, reason: ReplaceError, error: ReplaceError },
    #[error("the server didn't take the change, so that the former version is back")]
    PutBack { reasons: Vec<String> },
    #[error("the server didn't take the new file {}, so that it is removed again", path.display())]
    NotAdded { reasons: Vec<String>, path: PathBuf },
    #[error("the server didn't take the change of {}, which can't be undone: {error}; the change stays", path.display())]
    NotPutBack { reasons: Vec<String>, path: PathBuf, error: ReplaceError },
    /// The edit is done.
    #[error("the tenant is removed, but its file is left as {}: {error}", path.display())]
    NotDeleted { path: PathBuf, error: ReplaceError },
}

impl EditError {
    /// Returns what there is to say before the sentence, a line each.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Self::Config { problems }
            | Self::UnknownUser { problems, .. }
            | Self::BrokenFile { problems, .. }
            | Self::NewProblems { problems } => problems.iter().map(ToString::to_string).collect(),
            Self::PutBack { reasons } | Self::NotAdded { reasons, .. } | Self::NotPutBack { reasons, .. } => {
                reasons.clone()
            }
            _ => Vec::new(),
        }
    }
}
