//! The users who are in no file after an import: each is named with the reason.

use crate::{
    cli::{edit::told, table::escaped},
    config::edit::{EditError, NewTenant},
    name::{TenantName, UserName},
};

/// The key of the config that names the file of an access key's secret.
const SECRET_FILE: &str = "secret_access_key_file";

/// The number of users that are told to be in no file, or in one that the server refuses.
pub(super) struct LeftOut(pub(super) usize);

impl LeftOut {
    /// Names the users of a tenant that isn't imported.
    pub(super) fn tell<'a>(&mut self, tenant: &TenantName, reason: &str, users: impl Iterator<Item = &'a UserName>) {
        let users = self.count(users);
        eprintln!("{tenant} is not imported: {}; its users are left out: {users}", escaped(reason));
    }

    /// Names the users of a tenant whose file can't be written, or can't be removed again.
    pub(super) fn tell_refused(&mut self, new: &NewTenant, error: &EditError) {
        let users = new.users.iter().map(|user| &user.name);
        if let EditError::NotPutBack { path, .. } | EditError::NotUndone { path, .. } = error {
            let (users, path) = (self.count(users), escaped(&path.display().to_string()));
            eprintln!("{}: {}; its file stays: {path}; check it, with the users {users}", new.name, told(error));
            return;
        }
        let cure = match error {
            EditError::RoleOfAnother { .. } => {
                "; users of one role in two buckets are two tenants: let the users here have a role of their own, then \
                 export and import again"
            }
            EditError::UserExists { .. } => "; rename one of the two",
            EditError::NewProblems { problems } if problems.iter().any(|it| it.key.ends_with(SECRET_FILE)) => {
                "; write the secret of the access key into this file first"
            }
            EditError::BrokenFile { .. } => "; mend the file, then import again",
            _ => "",
        };
        self.tell(&new.name, &format!("{}{cure}", told(error)), users);
    }

    /// Counts the users, and returns their names for a sentence.
    pub(super) fn count<'a>(&mut self, users: impl Iterator<Item = &'a UserName>) -> String {
        let names: Vec<_> = users.map(UserName::as_str).collect();
        self.0 = self.0.saturating_add(names.len());
        names.join(", ")
    }
}
