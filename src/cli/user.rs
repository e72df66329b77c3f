//! `wharfinger user`: adds, disables, enables and removes users in the tenants' files, and changes their credentials.

use super::{
    config_file::ConfigFile,
    edit::edit,
    hash_password::hash_of_input,
    keys::{fingerprints, is_stdin, named, read_all_keys, read_keys},
};
use crate::{
    account::Permission,
    config::edit::NewUser,
    name::{TenantName, UserName},
};
use anyhow::{Result, ensure};
use clap::Subcommand;
use std::{
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Add, disable, enable and remove users, and change their passwords and keys
///
/// The tenants' files are edited in place: comments, order, owner, mode and ACL stay. The whole config is checked before
/// a file is replaced. A user is found by name in all tenants.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true)]
pub(super) struct UserCommand {
    #[command(flatten)]
    config: ConfigFile,
    #[command(subcommand)]
    action: UserAction,
}

#[derive(Debug, Subcommand)]
enum UserAction {
    /// Add a user to a tenant, with one or more ways to log in
    Add {
        tenant: TenantName,
        user: UserName,
        /// A file with public keys of the user, one a line; `-` is stdin; may be repeated
        #[arg(long = "key", value_name = "FILE", required_unless_present = "password")]
        keys: Vec<PathBuf>,
        /// Ask for a password on a terminal, or read it from stdin
        #[arg(long)]
        password: bool,
        /// The user's permissions, with commas: read, write, overwrite, list, delete, rename, mkdir [default: all]
        #[arg(long, value_delimiter = ',', value_name = "LIST")]
        permissions: Option<Vec<Permission>>,
        /// The directory in which sessions start [default: /]
        #[arg(long, value_name = "DIR")]
        landing: Option<String>,
    },
    /// Write `enabled = false` into the user's table: the user can't log in, and open sessions end at once
    ///
    /// Unfinished uploads can be resumed when the user is enabled again.
    Disable { user: UserName },
    /// Let the user log in again
    Enable { user: UserName },
    /// Delete the user's table. The user's files stay
    ///
    /// Open sessions end. Their open transfers may finish for `reload_grace`.
    Remove { user: UserName },
    /// Ask for a new password on a terminal, or read it from stdin
    ///
    /// The hash goes to the file that `password_hash_file` names, or else to `password_hash`. Sessions that logged in with
    /// the former password end. Their open transfers may finish for `reload_grace`.
    Password { user: UserName },
    /// Add and remove public keys
    #[command(subcommand)]
    Key(KeyAction),
}

#[derive(Debug, Subcommand)]
enum KeyAction {
    /// Add the public keys of a file, and print their fingerprints
    ///
    /// They go to `public_keys`, or to the file that `public_keys_file` names if the user has that alone.
    Add {
        user: UserName,
        /// A file with public keys, one a line; `-` is stdin
        file: PathBuf,
    },
    /// Remove a public key
    ///
    /// Sessions that logged in with it end. Their open transfers may finish for `reload_grace`.
    Remove {
        user: UserName,
        /// The key's fingerprint, as `tenant show` and `ssh-keygen -l` print it, or its comment
        #[arg(value_name = "FINGERPRINT|COMMENT")]
        key: String,
    },
}

impl UserCommand {
    /// # Errors
    /// The input can't be read, or the config can't be edited.
    pub(super) fn run(self) -> Result<ExitCode> {
        let config = self.config.path();
        match self.action {
            UserAction::Add { tenant, user, keys, password, permissions, landing } => {
                let stdin = keys.iter().filter(|file| is_stdin(file)).count();
                ensure!(
                    stdin + usize::from(password) <= 1,
                    "stdin can't be read for more than one of keys and password"
                );
                let keys = read_all_keys(&keys)?;
                let password_hash = password.then(hash_of_input).transpose()?;
                let new = NewUser {
                    name: user,
                    keys,
                    password_hash,
                    permissions,
                    landing,
                    enabled: true,
                    mounts: Vec::new(),
                };
                edit(config, |editor| {
                    editor.require_new(&new.name)?;
                    let mut edit = editor.edit_tenant(&tenant)?;
                    edit.add_user(&new);
                    let with = fingerprints(&new.keys);
                    Ok((edit, format!("{} is a user of the tenant {tenant}{with}", new.name)))
                })
            }
            UserAction::Disable { user } => set_enabled(config, &user, false),
            UserAction::Enable { user } => set_enabled(config, &user, true),
            UserAction::Remove { user } => edit(config, |editor| {
                let mut edit = editor.edit_user(&user)?;
                edit.remove_user(&user)?;
                let file = edit.path().display().to_string();
                Ok((edit, format!("{user} is removed from {file}")))
            }),
            UserAction::Password { user } => {
                let hash = hash_of_input()?;
                edit(config, |editor| {
                    let mut edit = editor.edit_user(&user)?;
                    edit.set_password_hash(&user, &hash)?;
                    Ok((edit, format!("{user} has the new password")))
                })
            }
            UserAction::Key(KeyAction::Add { user, file }) => {
                let keys = read_keys(&file)?;
                edit(config, |editor| {
                    let mut edit = editor.edit_user(&user)?;
                    keys.iter().try_for_each(|key| edit.add_key(&user, key))?;
                    Ok((edit, format!("{user} has one more way to log in{}", fingerprints(&keys))))
                })
            }
            UserAction::Key(KeyAction::Remove { user, key }) => edit(config, |editor| {
                let mut edit = editor.edit_user(&user)?;
                let removed = edit.remove_key(&user, &key)?;
                Ok((edit, format!("{user} can no longer log in with {}", named(&removed))))
            }),
        }
    }
}

fn set_enabled(config: &Path, user: &UserName, enabled: bool) -> Result<ExitCode> {
    edit(config, |editor| {
        let mut edit = editor.edit_user(user)?;
        edit.set_user_enabled(user, enabled)?;
        Ok((edit, format!("{user} is {}", if enabled { "enabled" } else { "disabled" })))
    })
}
