//! The tenants' files that the directory doesn't follow, so that the log can tell why a user is unknown.

use crate::name::UserName;
use std::{collections::HashMap, sync::Arc};

/// The names of files that one reason tells.
const MAX_NAMES: usize = 5;

/// The files that the config refused.
#[derive(Debug, Default)]
pub struct RefusedFiles {
    /// The users that the files name, each with the name of its file.
    users: HashMap<UserName, Arc<str>>,
    /// The names of the files that couldn't be read so far that their users are known.
    unreadable: Option<Arc<str>>,
}

/// The part that refused files may have in an unknown user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RefusedUser {
    /// This file names the user.
    Named(Arc<str>),
    /// These files may name the user. They can't be read.
    Perhaps(Arc<str>),
}

impl RefusedFiles {
    /// Adds the file `name`. `users` is `None` if the file can't be read.
    pub(crate) fn add(&mut self, name: &str, users: Option<&[UserName]>) {
        if let Some(users) = users {
            let name: Arc<str> = name.into();
            self.users.extend(users.iter().map(|user| (user.clone(), Arc::clone(&name))));
            return;
        }
        let names = match self.unreadable.as_deref() {
            None => name.to_owned(),
            Some(names) if names.split(", ").count() < MAX_NAMES => format!("{names}, {name}"),
            Some(names) if names.ends_with('…') => names.to_owned(),
            Some(names) => format!("{names}, …"),
        };
        self.unreadable = Some(names.into());
    }

    pub(super) fn find(&self, user: &UserName) -> Option<RefusedUser> {
        let named = self.users.get(user).cloned().map(RefusedUser::Named);
        named.or_else(|| self.unreadable.clone().map(RefusedUser::Perhaps))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_user_may_be_one_of_a_refused_file() {
        let (alice, bob): (UserName, UserName) = ("alice".parse().unwrap(), "bob".parse().unwrap());
        let mut files = RefusedFiles::default();
        files.add("acme.toml", Some(std::slice::from_ref(&alice)));
        assert_eq!(files.find(&alice), Some(RefusedUser::Named("acme.toml".into())));
        assert_eq!(files.find(&bob), None);
        for number in 1..=7 {
            files.add(&format!("{number}.toml"), None);
        }
        let perhaps = "1.toml, 2.toml, 3.toml, 4.toml, 5.toml, …";
        assert_eq!(files.find(&bob), Some(RefusedUser::Perhaps(perhaps.into())));
    }
}
