//! `wharfinger tenant add`: makes the file of a new tenant, and has the running server take it over.

use crate::{
    account::{ExternalId, Permission, RoleArn},
    cli::{
        edit::edit,
        keys::{fingerprints, is_stdin, read_all_keys, read_keys},
        questions::Questions,
        table::escaped,
    },
    config::{
        AccessPointArn, AccountId, BucketName, Endpoint, Region,
        edit::{NewAccessKey, NewRole, NewStorage, NewTenant, NewUser},
    },
    name::{Prefix, TenantName, UserName},
};
use anyhow::{Context as _, Result, bail};
use clap::Args;
use std::{
    io::{self, BufRead, IsTerminal as _, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

#[derive(Debug, Args)]
pub(super) struct AddArgs {
    tenant: TenantName,
    #[command(flatten)]
    storage: StorageArgs,
    #[command(flatten)]
    role: RoleArgs,
    #[command(flatten)]
    access_key: AccessKeyArgs,
    /// The tier in tiers.toml whose limits the tenant has
    #[arg(long, value_name = "NAME")]
    tier: Option<String>,
    #[command(flatten)]
    first_user: FirstUserArgs,
}

#[derive(Debug, Args)]
struct StorageArgs {
    /// The name of the bucket, or the ARN or alias of an access point
    #[arg(long, value_name = "NAME")]
    bucket: Option<BucketName>,
    /// The ARN of the access point whose alias `--bucket` is
    #[arg(long, value_name = "ARN")]
    access_point_arn: Option<AccessPointArn>,
    /// The prefix of all files of the tenant. It ends in `/`; "" is the whole bucket
    #[arg(long, value_parser = Prefix::parse)]
    prefix: Option<Prefix>,
    /// The region of the bucket
    #[arg(long)]
    region: Option<Region>,
    /// Another endpoint than the region's own: a VPC interface endpoint, or an S3-compatible store
    #[arg(long, value_name = "URL")]
    endpoint: Option<Endpoint>,
    /// Put the name of the bucket into the path of URLs instead of the host name
    #[arg(long)]
    path_style: bool,
    /// The KMS key that encrypts new objects
    #[arg(long, value_name = "ARN")]
    kms_key: Option<String>,
    /// The account that must own the bucket [default: that of the role]
    #[arg(long, value_name = "ACCOUNT")]
    expected_bucket_owner: Option<AccountId>,
}

#[derive(Debug, Args)]
struct RoleArgs {
    /// The role that sessions assume. It need not exist yet. Without one, sessions use the server's own identity
    #[arg(long, value_name = "ARN")]
    role_arn: Option<RoleArn>,
    /// The external ID that the role asks for already [default: a new one]
    #[arg(long, value_name = "ID", requires = "role_arn")]
    external_id: Option<ExternalId>,
    /// Another endpoint of STS than the region's own
    #[arg(long, value_name = "URL", requires = "role_arn")]
    sts_endpoint: Option<Endpoint>,
}

#[derive(Debug, Args)]
struct AccessKeyArgs {
    /// The access key of the server's identity for this tenant [default: the AWS SDK's default chain]
    #[arg(long, value_name = "ID", requires = "secret_access_key_file")]
    access_key_id: Option<String>,
    /// The file with the secret of the access key, relative to the tenants' directory
    #[arg(long, value_name = "FILE", requires = "access_key_id")]
    secret_access_key_file: Option<String>,
}

#[derive(Debug, Args)]
struct FirstUserArgs {
    /// The tenant's first user
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,
    /// A file with public keys of the user, one a line; `-` is stdin; may be repeated
    #[arg(long = "key", value_name = "FILE", requires = "user")]
    keys: Vec<PathBuf>,
    /// The user's permissions, with commas: read, write, overwrite, list, delete, rename, mkdir [default: all]
    #[arg(long, value_delimiter = ',', value_name = "LIST", requires = "user")]
    permissions: Option<Vec<Permission>>,
}

impl AddArgs {
    /// # Errors
    /// An option is missing and there is no terminal to ask on, or the config can't be edited.
    pub(super) fn run(mut self, config: &Path) -> Result<ExitCode> {
        let missing = self.missing();
        if !missing.is_empty() {
            // Keys that come from stdin leave no answers there.
            if !io::stdin().is_terminal() || self.first_user.keys.iter().any(|file| is_stdin(file)) {
                bail!("{}", missing_options(&missing));
            }
            self.ask(&mut Questions::on_terminal())?;
        }
        let new = self.into_tenant()?;
        let mut warnings = Vec::new();
        let done = edit(config, |editor| {
            let (files, told) = editor.add_tenant(&new)?;
            warnings = told;
            let sentence = format!("the tenant {} is added: {}", new.name, files.tenant().display());
            Ok((files, sentence))
        })?;
        for warning in warnings {
            eprintln!("warning: {warning}");
        }
        for line in next_steps(&new) {
            println!("{}", escaped(&line));
        }
        Ok(done)
    }

    /// Returns the options that are missing.
    fn missing(&self) -> Vec<&'static str> {
        let StorageArgs { bucket, prefix, region, .. } = &self.storage;
        let has_no_key = self.first_user.user.is_some() && self.first_user.keys.is_empty();
        let options = [
            bucket.is_none().then_some("--bucket"),
            prefix.is_none().then_some("--prefix"),
            region.is_none().then_some("--region"),
            has_no_key.then_some("--key"),
        ];
        options.into_iter().flatten().collect()
    }

    /// Asks for what is missing, and also for the role and the first user.
    fn ask<R: BufRead, W: Write>(&mut self, questions: &mut Questions<R, W>) -> Result<()> {
        let storage = &mut self.storage;
        if storage.bucket.is_none() {
            let question = "Bucket (its name, or the ARN or alias of an access point)";
            storage.bucket = Some(questions.ask(question, str::parse)?);
        }
        if storage.access_point_arn.is_none() && storage.bucket.as_ref().is_some_and(BucketName::is_alias) {
            let question = "ARN of the access point with this alias (a tenant with a role needs it)";
            storage.access_point_arn = questions.ask_optional(question, str::parse)?;
        }
        if storage.prefix.is_none() {
            storage.prefix = Some(questions.ask("Prefix (ends in `/`; `\"\"` is the whole bucket)", answered_prefix)?);
        }
        if storage.region.is_none() {
            storage.region = Some(questions.ask("Region of the bucket", str::parse)?);
        }
        if self.role.role_arn.is_none() && self.access_key.access_key_id.is_none() {
            let question = "ARN of the role that sessions assume (empty: none, they use the server's own identity)";
            self.role.role_arn = questions.ask_optional(question, str::parse)?;
        }
        let first = &mut self.first_user;
        if first.user.is_none() {
            first.user = questions.ask_optional("First user (empty: none yet)", str::parse)?;
        }
        if first.user.is_some() && first.keys.is_empty() {
            first.keys.push(questions.ask("File with the user's public keys", answered_key_file)?);
        }
        Ok(())
    }

    fn into_tenant(self) -> Result<NewTenant> {
        let missing = self.missing();
        let StorageArgs {
            bucket,
            access_point_arn,
            prefix,
            region,
            endpoint,
            path_style,
            kms_key,
            expected_bucket_owner,
        } = self.storage;
        let (Some(bucket), Some(prefix), Some(region)) = (bucket, prefix, region) else {
            bail!("{}", missing_options(&missing))
        };
        let RoleArgs { role_arn, external_id, sts_endpoint } = self.role;
        let role = match role_arn {
            Some(arn) => {
                let external_id = external_id.map_or_else(ExternalId::random, Ok);
                let external_id = external_id.context("the system has no random numbers for an external ID")?;
                Some(NewRole { arn, external_id, sts_endpoint })
            }
            None => None,
        };
        let AccessKeyArgs { access_key_id, secret_access_key_file } = self.access_key;
        let access_key = access_key_id.zip(secret_access_key_file);
        let access_key = access_key.map(|(id, secret_file)| NewAccessKey { id, secret_file });
        let FirstUserArgs { user, keys, permissions } = self.first_user;
        let keys = read_all_keys(&keys)?;
        let user = user.map(|name| NewUser {
            name,
            keys,
            password_hash: None,
            permissions,
            landing: None,
            enabled: true,
            mounts: Vec::new(),
        });
        let mut storage = NewStorage {
            bucket,
            access_point_arn,
            prefix,
            region,
            endpoint,
            path_style,
            kms_key,
            expected_bucket_owner,
            role,
            access_key,
        };
        storage.expect_the_owner_of_the_role();
        Ok(NewTenant { name: self.tenant, tier: self.tier, storage, users: user.into_iter().collect() })
    }
}

/// Reads the answer to the question for a prefix. An empty one doesn't mean the whole bucket: it may be a slip.
fn answered_prefix(answer: &str) -> Result<Prefix, String> {
    match answer {
        "" => Err("type `\"\"` for the whole bucket".to_owned()),
        "\"\"" => Prefix::parse("").map_err(|error| error.to_string()),
        prefix => Prefix::parse(prefix).map_err(|error| error.to_string()),
    }
}

fn answered_key_file(answer: &str) -> Result<PathBuf, String> {
    let file = PathBuf::from(answer);
    if is_stdin(&file) {
        return Err("stdin has the answers; it takes the name of a file".to_owned());
    }
    read_keys(&file).map(|_| file).map_err(|error| format!("{error:#}"))
}

fn missing_options(options: &[&str]) -> String {
    let (are, them) = if options.len() == 1 { ("is", "it") } else { ("are", "them") };
    let named = match options {
        [others @ .., last] if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => options.join(""),
    };
    format!("{named} {are} missing; on a terminal the command asks for {them}")
}

/// Returns what the operator does next, a line each.
fn next_steps(new: &NewTenant) -> Vec<String> {
    let mut lines = Vec::new();
    for user in &new.users {
        lines.push(format!("{} is its user{}", user.name, fingerprints(&user.keys)));
    }
    match &new.storage.role {
        Some(role) => lines.extend([
            format!("its external ID is {}", role.external_id.as_str()),
            format!(
                "next: `wharfinger tenant policy {}` prints the role for its owner, and the server's permission to assume it",
                new.name
            ),
        ]),
        None => lines.push(format!(
            "next: `wharfinger tenant policy {}` prints the permissions that the server's identity needs",
            new.name
        )),
    }
    if new.users.is_empty() {
        lines.push(format!("then: `wharfinger user add {} USER --key FILE` adds its first user", new.name));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use std::fs;

    #[derive(Debug, Parser)]
    struct AddLine {
        #[command(flatten)]
        args: AddArgs,
    }

    fn parsed(options: &[&str]) -> Result<AddArgs, clap::Error> {
        AddLine::try_parse_from(["add", "globex"].iter().chain(options)).map(|line| line.args)
    }

    const STORAGE: [&str; 3] = ["--bucket=globex-exchange", "--prefix=sftp/", "--region=us-east-1"];
    const ROLE: &str = "arn:aws:iam::444455556666:role/wharfinger";

    fn with_storage(options: &[&str]) -> NewTenant {
        parsed(&[&STORAGE, options].concat()).unwrap().into_tenant().unwrap()
    }

    /// Asks, and returns the tenant and what was said.
    fn asked(options: &[&str], answers: &str) -> (Result<NewTenant>, String) {
        let (mut args, mut said) = (parsed(options).unwrap(), Vec::new());
        let asked = args.ask(&mut Questions::new(answers.as_bytes(), &mut said));
        (asked.and_then(|()| args.into_tenant()), String::from_utf8(said).unwrap())
    }

    #[test]
    fn what_is_missing_is_one_sentence() {
        let sentence = |options: &[&str]| missing_options(&parsed(options).unwrap().missing());
        let all = "--bucket, --prefix, --region and --key are missing; on a terminal the command asks for them";
        assert_eq!(sentence(&["--user=bob"]), all);
        let [bucket, prefix, region] = STORAGE;
        let one = "--region is missing; on a terminal the command asks for it";
        assert_eq!(sentence(&[bucket, prefix]), one);
        let two = "--bucket and --prefix are missing; on a terminal the command asks for them";
        assert_eq!(sentence(&[region, "--user=bob", "--key=bob.pub"]), two);
        assert_eq!(parsed(&STORAGE).unwrap().missing(), [""; 0]);
    }

    #[test]
    fn options_of_nothing_are_refused() {
        for (options, wanted) in [
            (&["--external-id=wh-1"][..], "--role-arn"),
            (&["--sts-endpoint=https://sts.example.com"], "--role-arn"),
            (&["--access-key-id=AK"], "--secret-access-key-file"),
            (&["--secret-access-key-file=s"], "--access-key-id"),
            (&["--key=bob.pub"], "--user"),
            (&["--permissions=read"], "--user"),
            (&["--prefix=sftp"], "doesn't end in `/`"),
            (&["--region="], "a region such as \"eu-central-1\""),
            (&["--region=*"], "a region such as \"eu-central-1\""),
            (&["--endpoint=https://user:password@host"], "a URL of host and port"),
            (&["--role-arn=wharfinger"], "is no role's ARN"),
        ] {
            let error = parsed(options).unwrap_err().to_string();
            assert!(error.contains(wanted), "{options:?}: {error}");
        }
    }

    #[test]
    fn an_alias_is_asked_for_its_arn() {
        let arn = "arn:aws:s3:us-east-1:444455556666:accesspoint/globex";
        let [_, prefix, region] = STORAGE;
        let role = format!("--role-arn={ROLE}");
        let (new, said) = asked(&["--bucket=globex-1a2b-s3alias", prefix, region, &role], &format!("{arn}\n\n"));
        assert!(new.unwrap().storage.access_point_arn.is_some() && said.contains("ARN of the access point"), "{said}");
        let (_, said) = asked(&[&STORAGE[..], &[&role]].concat(), "\n");
        assert!(!said.contains("access point"), "{said}");
    }

    #[test]
    fn the_role_says_who_must_own_the_bucket_in_aws() {
        let owner = |options: &[&str]| with_storage(options).storage.expected_bucket_owner.map(|id| format!("{id:?}"));
        let role = format!("--role-arn={ROLE}");
        assert!(owner(&[&role]).unwrap().contains("444455556666"));
        assert!(owner(&[&role, "--expected-bucket-owner=111122223333"]).unwrap().contains("111122223333"));
        assert_eq!(owner(&[&role, "--endpoint=http://127.0.0.1:8333"]), None);
        assert_eq!(owner(&["--role-arn=arn:aws:iam:::role/S3"]), None);
        assert_eq!(owner(&[]), None);
    }

    #[test]
    fn each_new_role_has_a_new_external_id_unless_it_has_one() {
        let id = |options: &[&str]| with_storage(options).storage.role.unwrap().external_id;
        let role = format!("--role-arn={ROLE}");
        assert_ne!(id(&[&role]), id(&[&role]));
        assert_eq!(id(&[&role, "--external-id=of-before"]).as_str(), "of-before");
    }

    #[test]
    fn a_dialogue_asks_for_what_is_missing_and_repeats_wrong_answers() {
        let directory = tempfile::tempdir().unwrap();
        let key = directory.path().join("bob.pub");
        fs::write(&key, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX bob\n")
            .unwrap();
        let answers = format!(
            "globex-exchange\n\nsftp\nsftp/\nus-east-1\nwharfinger\n{ROLE}\nbob\n-\n{0}.missing\n{0}\n",
            key.display()
        );
        let (tenant, said) = asked(&[], &answers);
        let NewTenant { storage, users, .. } = tenant.unwrap();
        assert_eq!((storage.prefix.as_str(), storage.role.unwrap().arn.as_str()), ("sftp/", ROLE));
        let [user] = <[_; 1]>::try_from(users).unwrap();
        assert_eq!((user.name.as_str(), user.keys.len()), ("bob", 1));
        for wrong in [
            "type `\"\"` for the whole bucket",
            "doesn't end in `/`",
            "is no role's ARN",
            "stdin has the answers",
            "bob.pub.missing can't be read",
        ] {
            assert!(said.contains(wrong), "{wrong}: {said}");
        }
    }

    #[test]
    fn a_dialogue_asks_for_nothing_that_the_command_line_says() {
        let (tenant, said) =
            asked(&["--bucket=globex", "--access-key-id=AK", "--secret-access-key-file=s"], "\"\"\nr\n\n");
        let NewTenant { storage, users, .. } = tenant.unwrap();
        assert_eq!((storage.prefix.as_str(), storage.role.is_none(), users.is_empty()), ("", true, true));
        assert_eq!(
            said,
            "Prefix (ends in `/`; `\"\"` is the whole bucket): Region of the bucket: First user (empty: none yet): "
        );
        let (tenant, said) = asked(&[&STORAGE[..], &["--user=bob"]].concat(), "\n");
        assert_eq!(tenant.unwrap_err().to_string(), "the input ended before this answer; nothing was changed");
        assert!(said.contains("ARN of the role") && said.ends_with("File with the user's public keys: "), "{said}");
    }
}
