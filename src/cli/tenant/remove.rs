//! `wharfinger tenant remove`: deletes a tenant's file, has the running server follow, and says what stays.

use crate::{
    account::Storage,
    cli::{
        edit::{edit, told},
        questions::Questions,
        table::escaped,
    },
    config::overview::{self, TenantRemains},
    name::TenantName,
};
use anyhow::{Result, ensure};
use clap::Args;
use std::{
    collections::BTreeSet,
    io::{self, BufRead, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    tenant: TenantName,
    /// Don't ask for the tenant's name again
    #[arg(long)]
    yes: bool,
}

impl RemoveArgs {
    /// # Errors
    /// There is no such tenant, the operator doesn't confirm the removal, or the config can't be edited.
    pub(super) fn run(&self, config: &Path) -> Result<ExitCode> {
        let remains = overview::remains(config, &self.tenant).map_err(|error| told(&error))?;
        if !self.yes {
            ensure!(
                io::stdin().is_terminal(),
                "a removal takes --yes, because there is no terminal to ask for the tenant's name again; nothing was \
                 changed"
            );
            self.confirm(&remains, &mut Questions::on_terminal())?;
        }
        let done = edit(config, |editor| {
            let sentence = format!("the tenant {} is removed: {}", self.tenant, remains.file.display());
            Ok((editor.remove_tenant(&self.tenant)?, sentence))
        })?;
        if self.yes {
            for line in lines(&remains) {
                println!("{}", escaped(&line));
            }
        }
        Ok(done)
    }

    /// Shows what the removal does, and asks for the tenant's name.
    fn confirm<R: BufRead, W: Write>(&self, remains: &TenantRemains, questions: &mut Questions<R, W>) -> Result<()> {
        questions.say(&format!(
            "The removal of the tenant {} ends the sessions of its users ({}). Their open transfers may finish for \
             `reload_grace`.",
            self.tenant, remains.users
        ))?;
        for line in lines(remains) {
            questions.say(&line)?;
        }
        let answer = questions.ask("The tenant's name, to remove it", |answer| Ok::<_, String>(answer.to_owned()))?;
        ensure!(answer == self.tenant.as_str(), "this isn't the tenant's name; nothing was changed");
        Ok(())
    }
}

/// Returns what stays, a line each.
fn lines(remains: &TenantRemains) -> Vec<String> {
    let mut lines = Vec::new();
    match &remains.storage {
        Some(storage) => lines.extend(in_storage(storage)),
        None => lines.push("its objects stay, in a bucket that isn't known, because its file has a problem".to_owned()),
    }
    if !remains.named.is_empty() {
        lines.push(format!("files that it named stay: {}", listed(&remains.named)));
    }
    if !remains.shared.is_empty() {
        lines.push(format!("files that it named stay, and others name them too: {}", listed(&remains.shared)));
    }
    if let Some(target) = &remains.link_target {
        lines.push(format!("its file is a link, whose target stays: {}", target.display()));
    }
    lines
}

fn in_storage(storage: &Storage) -> Vec<String> {
    let store = storage.endpoint.as_ref().map(|endpoint| format!(" at {endpoint}")).unwrap_or_default();
    let mut lines = vec![
        format!("its objects stay: s3://{}/{}{store}", storage.bucket, storage.prefix.as_str()),
        "parts of its interrupted uploads stay, until a lifecycle rule of the bucket deletes them \
         (AbortIncompleteMultipartUpload)"
            .to_owned(),
    ];
    if let Some(role) = &storage.credentials.role {
        lines.push(format!(
            "its role stays, and trusts the server with the external ID {} until its owner deletes it: {}",
            role.external_id.as_str(),
            role.arn
        ));
    }
    lines
}

fn listed(paths: &BTreeSet<PathBuf>) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remains() -> TenantRemains {
        TenantRemains {
            file: "tenants/acme.toml".into(),
            users: 2,
            storage: Some(Storage::of_a_test("tenants/acme/").into()),
            named: ["a.secret".into(), "b.keys".into()].into(),
            shared: ["shared.secret".into()].into(),
            link_target: Some("elsewhere/acme.toml".into()),
        }
    }

    #[test]
    fn only_the_name_confirms_a_removal() {
        let args = RemoveArgs { tenant: "acme".parse().unwrap(), yes: false };
        let confirm = |answer: &str| {
            let mut said = Vec::new();
            let confirmed = args.confirm(&remains(), &mut Questions::new(answer.as_bytes(), &mut said));
            (confirmed.map_err(|error| error.to_string()), String::from_utf8(said).unwrap())
        };
        let (confirmed, said) = confirm("acme\n");
        assert_eq!(confirmed, Ok(()));
        assert!(said.starts_with("The removal of the tenant acme ends the sessions of its users (2). "), "{said}");
        assert!(said.contains("\nits objects stay: s3://vendor/tenants/acme/\n"), "{said}");
        let wrong = "this isn't the tenant's name; nothing was changed".to_owned();
        for answer in ["\n", "yes\n", "acme2\n", "ACME\n"] {
            assert_eq!(confirm(answer).0, Err(wrong.clone()), "{answer:?}");
        }
        assert!(confirm("").0.unwrap_err().contains("the input ended"));
    }

    #[test]
    fn files_that_others_name_too_are_told_apart() {
        let lines = lines(&remains());
        let [objects, uploads, named, shared, link] = &lines[..] else { panic!("{lines:?}") };
        assert_eq!(objects, "its objects stay: s3://vendor/tenants/acme/");
        assert!(uploads.contains("AbortIncompleteMultipartUpload"), "{uploads}");
        assert_eq!(named, "files that it named stay: a.secret, b.keys");
        assert_eq!(shared, "files that it named stay, and others name them too: shared.secret");
        assert_eq!(link, "its file is a link, whose target stays: elsewhere/acme.toml");
        let broken = TenantRemains { storage: None, ..remains() };
        let said = "its objects stay, in a bucket that isn't known, because its file has a problem";
        assert_eq!(super::lines(&broken)[0], said);
    }
}
