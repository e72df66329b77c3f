//! Tenants that are added: their files, and the tenants that they can't be beside.

use super::{
    super::{EditAnswer, EditError, Editor, NewAccessKey, NewRole, NewStorage, NewTenant, NewUser},
    key, key_line, new_user, tenant, text,
};
use crate::{
    account::{BaseCredentials, Permission},
    config::{ConfigReading, Problem, tests::Files},
    name::Prefix,
    tenants::TenantSetup,
};
use std::fs;

const ROLE: &str = "arn:aws:iam::444455556666:role/wharfinger";
const EXTERNAL_ID: &str = "wh-c2a4d0de-3a55-4a25-8a3c-27f2a1c3b9d4";

/// Returns a tenant without a role, in the bucket `files` with this prefix.
fn without_role(name: &str, prefix: &str) -> NewTenant {
    let storage = NewStorage {
        bucket: "files".parse().unwrap(),
        access_point_arn: None,
        prefix: Prefix::parse(prefix).unwrap(),
        region: "eu-central-1".parse().unwrap(),
        endpoint: None,
        path_style: false,
        kms_key: None,
        expected_bucket_owner: None,
        role: None,
        access_key: None,
    };
    NewTenant { name: name.parse().unwrap(), tier: None, storage, users: Vec::new() }
}

/// Returns a tenant with a bucket, a role and an external ID of its own.
fn with_role(name: &str, role: &str, external_id: &str) -> NewTenant {
    let mut new = without_role(name, "sftp/");
    new.storage.bucket = format!("{name}-exchange").parse().unwrap();
    new.storage.role =
        Some(NewRole { arn: role.parse().unwrap(), external_id: external_id.parse().unwrap(), sts_endpoint: None });
    new.storage.expect_the_owner_of_the_role();
    new
}

/// Adds the tenant. No server runs.
fn add(files: &Files, new: &NewTenant) -> Result<Vec<Problem>, EditError> {
    let editor = Editor::lock(&files.path("wharfinger.toml"))?;
    let (edit, warnings) = editor.add_tenant(new)?;
    editor.save(&edit, &|_, _| EditAnswer::NotRunning)?;
    Ok(warnings)
}

/// Returns the sentence about a tenant that can't be added. No file is made then.
fn refusal(files: &Files, new: &NewTenant) -> String {
    let names = || {
        let names = fs::read_dir(files.path("tenants")).unwrap();
        names.filter(|entry| entry.as_ref().unwrap().file_name() != ".wharfinger.lock").count()
    };
    let before = names();
    let error = add(files, new).unwrap_err();
    assert_eq!(names(), before, "{error}");
    [&error.details()[..], &[error.to_string()]].concat().join("\n")
}

fn setup(files: &Files, name: &str) -> TenantSetup {
    let reading = ConfigReading::of(&files.path("wharfinger.toml"));
    assert_eq!(reading.problems(), []);
    let mut tenants = reading.tenant_files().iter();
    tenants.find(|file| file.name.as_ref().unwrap().as_str() == name).unwrap().setup.clone().unwrap()
}

#[test]
fn the_file_explains_itself() {
    let files = Files::new("").with("tiers.toml", "[[tiers]]\nname = 'business'\n");
    let mut new = with_role("globex", ROLE, EXTERNAL_ID);
    new.tier = Some("business".to_owned());
    new.users = vec![NewUser { permissions: Some(vec![Permission::Read, Permission::List]), ..new_user("bob") }];
    assert_eq!(add(&files, &new).unwrap(), []);
    let wanted = format!(
        r#"# The tenant `globex`. docs/onboarding.md leads to its first login, and `wharfinger tenant policy globex` prints what
# its role allows. config/tenants/acme.toml of the repository explains every key.

# The file's name.
name = "globex"

# The tier, in tiers.toml. The tenant has its limits, except those that this file states.
tier = "business"

[storage]
# The name of a bucket, or the ARN or alias of an access point.
bucket = "globex-exchange"

# The prefix of all files of the tenant. It ends in `/`. "" is the whole bucket.
prefix = "sftp/"

# The bucket's region.
region = "eu-central-1"

# The account that must own the bucket; S3 refuses every request otherwise.
expected_bucket_owner = "444455556666"

# The role that sessions work as. Each session has credentials that S3 itself restricts to one user's mount: a session
# policy allows the actions that the user's permissions need, below the mount's prefix, for an hour.
[storage.assume_role]
role_arn = "{ROLE}"

# The external ID that the role's trust policy requires (`sts:ExternalId`). It isn't secret.
external_id = "{EXTERNAL_ID}"

# The identity that asks for the role.
[storage.credentials]
# This is the AWS SDK's default chain: environment, profile, web identity (EKS), ECS, EC2 instance metadata.
default_chain = true

# The users. `wharfinger user add globex USER --key FILE` adds one. Without mounts a user sees the tenant's whole
# prefix.

[[users]]
name = "bob"
public_keys = ["{}"]
permissions = ["read", "list"]
"#,
        key_line(9, "")
    );
    assert_eq!(text(&files, "tenants/globex.toml"), wanted);
}

#[test]
fn a_user_may_be_disabled_from_the_start() {
    let files = Files::new("");
    let mut new = with_role("globex", ROLE, EXTERNAL_ID);
    new.users =
        vec![NewUser { enabled: false, ..new_user("bob") }, NewUser { keys: vec![key(8, "")], ..new_user("ann") }];
    add(&files, &new).unwrap();
    let text = text(&files, "tenants/globex.toml");
    assert!(text.contains("name = \"bob\"\nenabled = false\npublic_keys"), "{text}");
    assert!(text.contains("name = \"ann\"\npublic_keys"), "{text}");
    let enabled: Vec<_> =
        setup(&files, "globex").users.iter().map(|it| (it.user.name.to_string(), it.user.enabled)).collect();
    assert_eq!(enabled, [("bob".to_owned(), false), ("ann".to_owned(), true)]);
}

#[test]
fn every_setting_is_in_the_file_whatever_its_characters() {
    let prefix = "a \"quoted\" 'one'/back\\slash/# no comment/é😀/";
    let files = Files::new("").with("tenants/s3.secret", "a secret\n");
    let mut new = with_role("globex", ROLE, EXTERNAL_ID);
    new.storage.prefix = Prefix::parse(prefix).unwrap();
    new.storage.endpoint = Some("https://s3.example.com:8443".parse().unwrap());
    new.storage.path_style = true;
    new.storage.kms_key = Some("a \"key\"\\".to_owned());
    new.storage.expected_bucket_owner = Some("111122223333".parse().unwrap());
    new.storage.access_key = Some(NewAccessKey { id: "AK\"IA".to_owned(), secret_file: "s3.secret".to_owned() });
    new.storage.role.as_mut().unwrap().sts_endpoint = Some("https://sts.example.com".parse().unwrap());
    assert_eq!(add(&files, &new).unwrap(), []);
    let storage = setup(&files, "globex").storage;
    assert_eq!((storage.prefix.as_str(), storage.bucket.as_str()), (prefix, "globex-exchange"));
    assert_eq!(storage.endpoint.as_deref(), Some("https://s3.example.com:8443"));
    assert_eq!((storage.path_style, storage.objects.encryption.kms_key()), (true, Some("a \"key\"\\")));
    assert_eq!(storage.expected_bucket_owner.as_deref(), Some("111122223333"));
    assert!(
        matches!(&storage.credentials.base, BaseCredentials::Static { access_key_id, .. } if access_key_id == "AK\"IA")
    );
    let role = storage.credentials.role.as_ref().unwrap();
    assert_eq!((role.arn.as_str(), role.external_id.as_str()), (ROLE, EXTERNAL_ID));
    assert_eq!(role.sts_endpoint.as_deref(), Some("https://sts.example.com"));
    let lines = text(&files, "tenants/globex.toml");
    assert!(lines.lines().all(|line| line.len() <= 128), "{lines}");
}

/// The sentences are those of the reference config, so that they stay true with it.
#[test]
fn the_comments_are_those_of_the_reference_config() {
    let words = |text: &str| {
        let comments = text.lines().filter_map(|line| line.strip_prefix('#')).collect::<Vec<_>>().join(" ");
        comments.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let reference = words(include_str!("../../../../config/tenants/acme.toml"));
    let files = Files::new("").with("tiers.toml", "[[tiers]]\nname = 'business'\n");
    let mut new = with_role("globex", ROLE, EXTERNAL_ID);
    new.tier = Some("business".to_owned());
    new.storage.kms_key = Some("a key".to_owned());
    new.storage.path_style = true;
    new.storage.bucket = "globex-1a2b-s3alias".parse().unwrap();
    new.storage.access_point_arn = Some("arn:aws:s3:eu-central-1:444455556666:accesspoint/globex".parse().unwrap());
    new.storage.endpoint = Some("https://s3.example.com".parse().unwrap());
    new.storage.role.as_mut().unwrap().sts_endpoint = new.storage.endpoint.clone();
    add(&files, &new).unwrap();
    let text = text(&files, "tenants/globex.toml");
    let [_header, body @ .., _users] = &text.split("\n\n").collect::<Vec<_>>()[..] else { panic!("{text}") };
    let mut compared = 0;
    for comment in body.iter().map(|part| words(part)).filter(|comment| !comment.is_empty()) {
        for sentence in comment.split(". ").map(|sentence| sentence.trim_end_matches('.')) {
            assert!(reference.contains(sentence), "{sentence}");
            compared += 1;
        }
    }
    assert_eq!(setup(&files, "globex").storage.address.access_point_arn, new.storage.access_point_arn.map(|arn| arn.0));
    assert!(compared > 15, "{compared}");
}

#[test]
fn a_tenant_without_a_role_is_warned_of() {
    let files = Files::new("");
    let [warning] = &add(&files, &without_role("acme", "acme/")).unwrap()[..] else { panic!() };
    assert!(warning.to_string().contains("the tenant is jailed by this server alone"), "{warning}");
    let setup = setup(&files, "acme");
    assert!(matches!(setup.storage.credentials.base, BaseCredentials::DefaultChain));
    assert!(setup.users.is_empty());
}

#[test]
fn a_role_an_external_id_and_a_prefix_are_of_one_tenant() {
    let files = Files::new("");
    add(&files, &with_role("globex", ROLE, EXTERNAL_ID)).unwrap();
    add(&files, &without_role("acme", "tenants/acme/")).unwrap();
    let again = refusal(&files, &with_role("globex", "arn:aws:iam::444455556666:role/another", "another"));
    assert!(again.starts_with("there is a tenant `globex` already: ") && again.ends_with("globex.toml"), "{again}");
    let role = refusal(&files, &with_role("initech", ROLE, "another"));
    assert!(role.starts_with(&format!("the tenant `globex` has the role {ROLE} already: make a role")), "{role}");
    let external_id = refusal(&files, &with_role("initech", "arn:aws:iam::777788889999:role/wharfinger", EXTERNAL_ID));
    assert!(external_id.starts_with("the tenant `globex` has this external ID already: "), "{external_id}");
    for (prefix, sentence) in [
        ("tenants/acme/", "the prefix `tenants/acme/` overlaps with `tenants/acme/` of the tenant `acme`"),
        ("tenants/acme/in/", "the prefix `tenants/acme/in/` overlaps with `tenants/acme/` of the tenant `acme`"),
        ("tenants/", "the prefix `tenants/` overlaps with `tenants/acme/` of the tenant `acme`"),
        ("", "the prefix `` overlaps with `tenants/acme/` of the tenant `acme`"),
    ] {
        let said = refusal(&files, &without_role("initech", prefix));
        assert!(said.starts_with(sentence), "{said}");
    }
    // The bucket of this name is another one in another store.
    let mut elsewhere = without_role("initech", "tenants/acme/");
    elsewhere.storage.endpoint = Some("https://s3.example.com".parse().unwrap());
    add(&files, &elsewhere).unwrap();
    add(&files, &without_role("umbrella", "tenants/acme2/")).unwrap();
}

#[test]
fn a_file_with_a_problem_is_compared_as_far_as_it_can_be_read() {
    let role = format!("assume_role = {{ role_arn = '{ROLE}', external_id = '{EXTERNAL_ID}' }}\n");
    let user = format!("[[users]]\nname = 'bob'\npublic_keys = ['{}']\n", key_line(1, ""));
    let broken = tenant("globex", &format!("{role}wrong = 1\n{user}"));
    let files = Files::new("").with("tenants/globex.toml", &broken).with("tenants/initech.toml", "name = ");
    let same_role = refusal(&files, &with_role("acme", ROLE, "another"));
    assert!(same_role.starts_with("the tenant `globex` has the role "), "{same_role}");
    let same_prefix = refusal(&files, &without_role("acme", "globex/in/"));
    assert!(same_prefix.starts_with("the prefix `globex/in/` overlaps with `globex/` of"), "{same_prefix}");
    let mut same_user = without_role("acme", "acme/");
    same_user.users = vec![new_user("bob")];
    assert!(refusal(&files, &same_user).starts_with("`bob` is a user of the tenant `globex` already"));
    let warnings = add(&files, &without_role("acme", "acme/")).unwrap();
    let said: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    for (file, warning) in ["globex.toml", "initech.toml"].into_iter().zip(&said) {
        assert!(
            warning.contains(&format!("{file}: has a problem, so that its role, external ID and prefix")),
            "{warning}"
        );
    }
    assert_eq!(said.len(), 3, "{said:?}");
}

#[test]
fn new_tenants_are_checked_with_those_before_them() {
    let files = Files::new("").with_acme(&tenant("acme", ""));
    let with_bob = |mut new: NewTenant| {
        new.users = vec![new_user("bob")];
        new
    };
    let another = "arn:aws:iam::444455556666:role/another";
    let new = [
        with_bob(with_role("globex", ROLE, EXTERNAL_ID)),
        with_role("initech", ROLE, "wh-another"),
        with_role("umbrella", another, EXTERNAL_ID),
        with_bob(with_role("hooli", another, "wh-another")),
        without_role("one", "one/"),
        without_role("two", "one/two/"),
        // None of those that were refused are in its way.
        with_role("last", another, "wh-another"),
    ];
    let checked = Editor::lock(&files.path("wharfinger.toml")).unwrap().check_together(&new);
    let errors: Vec<_> =
        checked.iter().map(|result| result.as_ref().err().map(ToString::to_string).unwrap_or_default()).collect();
    for (error, wanted) in errors.iter().zip([
        "",
        "the tenant `globex` has the role",
        "the tenant `globex` has this external ID already",
        "`bob` is a user of the tenant `globex` already",
        "",
        "the prefix `one/two/` overlaps with `one/` of the tenant `one`",
        "",
    ]) {
        assert!(error.starts_with(wanted) && error.is_empty() == wanted.is_empty(), "{wanted}: {error}");
    }
    assert_eq!(fs::read_dir(files.path("tenants")).unwrap().count(), 2, "acme.toml and the lock");
}

#[test]
fn what_the_check_refuses_is_not_written() {
    let files = Files::new("").with("tiers.toml", "[[tiers]]\nname = 'business'\n");
    let mut tier = without_role("acme", "acme/");
    tier.tier = Some("gold".to_owned());
    assert!(refusal(&files, &tier).contains("acme.toml:8: tier: there is no tier `gold`; there are `business`\n"));
    let mut secret = without_role("acme", "acme/");
    secret.storage.access_key = Some(NewAccessKey { id: "AK".to_owned(), secret_file: "missing".to_owned() });
    let said = refusal(&files, &secret);
    assert!(
        said.contains("storage.credentials.secret_access_key_file: the file can't be read (No such file"),
        "{said}"
    );
    let mut store = with_role("acme", ROLE, EXTERNAL_ID);
    store.storage.endpoint = Some("https://s3.example.com".parse().unwrap());
    assert!(refusal(&files, &store).contains("storage.assume_role.sts_endpoint: is missing"));
    // A tenant that is served already only causes a warning for such a name.
    let mut bucket = without_role("acme", "acme/");
    bucket.storage.bucket = "Not_A_Bucket".parse().unwrap();
    assert!(refusal(&files, &bucket).contains("acme.toml: storage.bucket: is no name that S3 gives to a bucket"));
}
