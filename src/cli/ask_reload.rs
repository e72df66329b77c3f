//! Asks the running server to take over an edited file.

use crate::{
    config::edit::EditAnswer,
    control::{ClientError, ReloadAnswer, client},
};
use std::path::Path;

/// Asks the server that runs with `config` to reload it. `tenant` is the tenant's file that was edited, or whose named
/// file was. Problems of other tenants' files don't count.
pub(super) fn ask_reload(config: &Path, tenant: &Path) -> EditAnswer {
    answer(client::reload(config, false), tenant)
}

fn answer(answered: Result<ReloadAnswer, ClientError>, tenant: &Path) -> EditAnswer {
    match answered {
        Ok(ReloadAnswer::Reloaded { refused, .. }) => {
            // The server may know the directory by another path.
            let is_meant = |file: &str| Path::new(file).file_name() == tenant.file_name();
            match refused.into_iter().find(|refused| is_meant(&refused.file)) {
                Some(refused) => EditAnswer::Refused(refused.problems.problems),
                None => EditAnswer::Accepted,
            }
        }
        Ok(ReloadAnswer::Refused(problems)) => EditAnswer::Refused(problems.problems),
        Err(ClientError::NotRunning(_) | ClientError::Stopping(_)) => EditAnswer::NotRunning,
        // The server may be running, and would refuse the file only at its next start.
        Err(error) => EditAnswer::Refused(vec![error.to_string()]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::{ProblemList, RefusedFile};

    #[test]
    fn only_a_refusal_of_the_edited_file_counts() {
        let refused = |file: &str| {
            let problems = ProblemList { count: 1, problems: vec!["acme.toml:3: wrong".to_owned()] };
            RefusedFile { file: file.to_owned(), tenant: None, is_served: true, problems }
        };
        let reloaded = |refused| Ok(ReloadAnswer::Reloaded { counts: Box::default(), refused });
        let tenant = Path::new("/etc/wharfinger/tenants/acme.toml");
        let wrong = EditAnswer::Refused(vec!["acme.toml:3: wrong".to_owned()]);
        assert_eq!(answer(reloaded(vec![refused("tenants/globex.toml")]), tenant), EditAnswer::Accepted);
        assert_eq!(answer(reloaded(vec![refused("tenants/acme.toml")]), tenant), wrong);
        let not_running = ClientError::NotRunning("/run/wharfinger/control.sock".into());
        assert_eq!(answer(Err(not_running), tenant), EditAnswer::NotRunning);
        assert_eq!(answer(Err(ClientError::Stopping(String::new())), tenant), EditAnswer::NotRunning);
        let denied = ClientError::Denied("/run/wharfinger/control.sock".into());
        assert!(matches!(answer(Err(denied), tenant), EditAnswer::Refused(_)));
    }
}
