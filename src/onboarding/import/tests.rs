//! Plans from the output of Transfer Family's commands.

use super::{ExportFile, ImportPlan, transfer_family};
use serde_json::{Value, json};

const ROLE: &str = "arn:aws:iam::444455556666:role/transfer/sftp-acme";
const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX bob";

fn file(documents: &[Value]) -> ExportFile {
    let texts: Vec<_> = documents.iter().map(ToString::to_string).collect();
    ExportFile { name: "export.json".to_owned(), text: texts.join("\n") }
}

/// Returns the output of `describe-user` for a user whose home is these mappings.
fn user(name: &str, mappings: &[(&str, &str)]) -> Value {
    let mappings: Vec<_> = mappings
        .iter()
        .map(|(entry, target)| json!({ "Entry": entry, "Target": target, "Type": "DIRECTORY" }))
        .collect();
    json!({
        "ServerId": "s-01234567890abcdef",
        "User": {
            "Arn": format!("arn:aws:transfer:eu-west-1:444455556666:user/s-01234567890abcdef/{name}"),
            "UserName": name,
            "Role": ROLE,
            "HomeDirectoryType": "LOGICAL",
            "HomeDirectoryMappings": mappings,
            "SshPublicKeys": [{
                "DateImported": "2025-03-01T12:00:00+00:00",
                "SshPublicKeyBody": KEY,
                "SshPublicKeyId": "key-01234567890abcdef",
            }],
            "Tags": [],
        },
    })
}

/// The same with one member of the user set.
fn with(mut document: Value, member: &str, value: Value) -> Value {
    document["User"][member] = value;
    document
}

fn plan(documents: &[Value]) -> ImportPlan {
    transfer_family(&[file(documents)], None).unwrap()
}

/// Returns the one note about a user who is left out.
fn left_out(document: Value) -> String {
    let plan = plan(&[document]);
    assert!(plan.tenants.is_empty(), "{plan:?}");
    let [note] = <[String; 1]>::try_from(plan.notes).unwrap();
    assert!(note.contains(" is left out: "), "{note}");
    note
}

fn refusal(text: &str) -> String {
    let file = ExportFile { name: "export.json".to_owned(), text: text.to_owned() };
    transfer_family(&[file], None).unwrap_err().to_string()
}

/// Returns the mounts of a plan: the tenant and its prefix, the user, the entry and the prefix below the tenant's.
fn mounts(plan: &ImportPlan) -> Vec<String> {
    let mut mounts = Vec::new();
    for tenant in &plan.tenants {
        for user in &tenant.users {
            let whole = format!("{} {} {}", tenant.name, tenant.prefix.as_str(), user.name);
            mounts.extend(user.mounts.iter().map(|it| format!("{whole} {} {}", it.entry, it.prefix.as_str())));
        }
    }
    mounts
}

#[test]
fn users_with_one_role_and_one_bucket_are_a_tenant() {
    let bob = user("bob", &[("/", "/acme-files/in/bob")]);
    let ann = user("ann", &[("/in", "/acme-files/in/ann"), ("/out", "/acme-files/in/out/ann")]);
    let eve = with(user("eve", &[("/", "/acme-files/eve")]), "Role", json!("arn:aws:iam::444455556666:role/eve=1"));
    let planned = plan(&[bob, ann]);
    let wanted = ["acme-files in/ ann /in ann/", "acme-files in/ ann /out out/ann/", "acme-files in/ bob / bob/"];
    assert_eq!(mounts(&planned), wanted);
    let site = &planned.tenants[0].site;
    assert_eq!(
        (site.bucket.as_str(), site.region.as_str(), site.role.as_ref().unwrap().as_str()),
        ("acme-files", "eu-west-1", ROLE)
    );
    assert_eq!(planned.notes, [""; 0]);
    // Two roles in one bucket are two tenants, which have the names of their roles.
    let planned = plan(&[user("bob", &[("/", "/acme-files/in/bob")]), eve]);
    assert_eq!(mounts(&planned), ["eve-1 eve/ eve / ", "sftp-acme in/bob/ bob / "]);
}

#[test]
fn a_home_that_is_a_path_stays_the_path_of_the_client() {
    let bob = with(user("bob", &[]), "HomeDirectoryType", json!("PATH"));
    let planned = plan(&[with(bob.clone(), "HomeDirectory", json!("/acme-files/home/bob"))]);
    assert_eq!(mounts(&planned), ["acme-files home/bob/ bob /acme-files/home/bob "]);
    let bob_here = &planned.tenants[0].users[0];
    assert_eq!((bob_here.landing.as_str(), bob_here.enabled), ("/acme-files/home/bob", true));
    // Such a home gives the whole bucket, unless the role says otherwise.
    let planned = plan(&[with(bob, "HomeDirectory", json!("/acme-files"))]);
    assert!(!planned.tenants[0].users[0].enabled);
    assert!(planned.notes[0].contains("whole bucket"), "{:?}", planned.notes);
}

#[test]
fn a_user_whose_policy_is_lost_is_disabled() {
    let planned = plan(&[with(user("bob", &[("/", "/acme-files/bob")]), "Policy", json!("{\"Statement\":[]}"))]);
    assert!(!planned.tenants[0].users[0].enabled);
    let [note] = <[String; 1]>::try_from(planned.notes).unwrap();
    assert!(note.starts_with("`bob` is disabled: its session policy has no counterpart"), "{note}");
}

#[test]
fn users_that_could_be_more_or_less_than_before_are_left_out() {
    let bob = || user("bob", &[("/", "/acme-files/bob")]);
    let mapped = |mappings: &[(&str, &str)]| user("bob", mappings);
    let file = json!([{ "Entry": "/a", "Target": "/acme-files/a", "Type": "FILE" }]);
    let many = vec![json!({ "Entry": "/", "Target": "/acme-files/a" }); 2_001];
    for (document, wanted) in [
        (user("bob\nroot: admitted", &[("/", "/acme-files/x")]), "is no user name"),
        (user("../bob", &[("/", "/acme-files/x")]), "is no user name"),
        (mapped(&[("/", "/acme-files/../other")]), "`../other`"),
        (mapped(&[("/..", "/acme-files/x")]), "`/..`"),
        (mapped(&[("/a\nb", "/acme-files/x")]), "`/a\\nb`"),
        (mapped(&[("/", "/acme-files//x")]), "`/x`"),
        (mapped(&[("/", "/")]), "names no bucket"),
        (mapped(&[("/", "acme-files/x")]), "names no bucket"),
        (mapped(&[("/", "/acme-files/${transfer:UserName}")]), "has a variable"),
        (mapped(&[("/", "/acme-files/a"), ("/b", "/other/b")]), "in 2 buckets"),
        (mapped(&[("/", "/acme-files/a"), ("/", "/acme-files/b")]), "two mappings have the entry"),
        (mapped(&[]), "it has 0 mappings"),
        (with(bob(), "HomeDirectoryMappings", many.into()), "it has 2001 mappings"),
        (with(bob(), "HomeDirectoryMappings", file), "is to a file"),
        (with(bob(), "HomeDirectoryType", json!("OTHER")), "unknown"),
        (with(mapped(&[("/in", "/acme-files/in")]), "HomeDirectory", json!("/out")), "`/out` lies in no mount"),
        (with(bob(), "PosixProfile", json!({ "Uid": 0, "Gid": 0 })), "EFS"),
        (with(bob(), "Role", json!("arn:aws:iam::444455556666:user/bob")), "is no role's ARN"),
        (with(bob(), "Role", Value::Null), "it has no role"),
        (with(bob(), "Arn", json!("arn:aws:s3:::bob")), "is no ARN of a user"),
        (with(bob(), "SshPublicKeys", json!([])), "no public key"),
    ] {
        let note = left_out(document);
        assert!(note.contains(wanted) && !note.contains('\n'), "{wanted}: {note}");
    }
}

#[test]
fn other_partitions_have_their_own_arns() {
    let bob = with(
        user("bob", &[("/", "/acme-files/bob")]),
        "Arn",
        json!("arn:aws-cn:transfer:cn-north-1:444455556666:user/s-01234567890abcdef/bob"),
    );
    let planned = plan(&[with(bob, "Role", json!("arn:aws-cn:iam::444455556666:role/sftp"))]);
    assert_eq!(planned.tenants[0].site.region, "cn-north-1");
    assert_eq!(planned.tenants[0].site.role.as_ref().unwrap().as_str(), "arn:aws-cn:iam::444455556666:role/sftp");
    let planned = transfer_family(&[file(&[user("bob", &[("/", "/acme-files/bob")])])], Some("us-west-2")).unwrap();
    assert_eq!(planned.tenants[0].site.region, "us-west-2");
}

#[test]
fn a_user_is_described_once() {
    let bob = user("bob", &[("/", "/acme-files/bob")]);
    assert_eq!(mounts(&plan(&[bob.clone(), bob.clone()])).len(), 1);
    let mut elsewhere = bob.clone();
    elsewhere["ServerId"] = json!("s-fedcba98765432100");
    let error = refusal(&format!("{bob}{elsewhere}"));
    assert!(error.starts_with("export.json: the user `bob` is described twice; names of users are unique"), "{error}");
}

#[test]
fn users_of_a_second_tenant_of_a_name_are_counted() {
    let ann = user("ann", &[("/", "/acme-files/ann")]);
    let bob = with(
        user("bob", &[("/", "/acme-files/bob")]),
        "Role",
        json!("arn:aws:iam::777788889999:role/transfer/sftp-acme"),
    );
    let planned = plan(&[ann, bob]);
    assert_eq!((planned.tenants.len(), planned.left_out), (1, 1));
    let [note] = <[String; 1]>::try_from(planned.notes).unwrap();
    assert!(note.starts_with("a second tenant would have the name `sftp-acme`"), "{note}");
    assert!(note.contains("its users are left out: bob;"), "{note}");
}

#[test]
fn listed_users_that_nothing_describes_are_named() {
    let list = json!({
        "ServerId": "s-01234567890abcdef",
        "NextToken": "more",
        "Users": [{ "Arn": "arn:aws:transfer:eu-west-1:444455556666:user/s-01234567890abcdef/bob", "UserName": "bob" },
                  { "Arn": "arn:aws:transfer:eu-west-1:444455556666:user/s-01234567890abcdef/ann", "UserName": "ann" }],
    });
    let notes = plan(&[list, user("bob", &[("/", "/acme-files/bob")])]).notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    let elsewhere = json!({
        "ServerId": "s-fedcba98765432100",
        "Users": [{ "Arn": "arn:aws:transfer:eu-west-1:444455556666:user/s-fedcba98765432100/bob", "UserName": "bob" }],
    });
    let [note] = <[String; 1]>::try_from(plan(&[elsewhere, user("bob", &[("/", "/acme-files/bob")])]).notes).unwrap();
    assert!(
        note.starts_with("`bob` is listed, but not described: the user of the server `s-fedcba98765432100`"),
        "{note}"
    );
    assert!(notes[0].contains("NextToken") && notes[1].starts_with("`ann` is listed, but not described"), "{notes:?}");
}

#[test]
fn all_of_a_server_without_a_counterpart_is_reported() {
    let server = json!({ "Server": {
        "Arn": "arn:aws:transfer:eu-west-1:444455556666:server/s-01234567890abcdef",
        "ServerId": "s-01234567890abcdef",
        "Domain": "EFS",
        "HostKeyFingerprint": "SHA256:0kF0WMrZ5/nRUPOoZ2jWBqs1+cUcsLU4lWBMmxpZ4oE=",
        "Protocols": ["SFTP", "FTPS"],
        "IdentityProviderType": "AWS_LAMBDA",
        "PostAuthenticationLoginBanner": "hello",
        "EndpointType": "VPC",
        "S3StorageOptions": { "DirectoryListingOptimization": "ENABLED" },
        "SecurityPolicyName": "TransferSecurityPolicy-2024-01",
        "ProtocolDetails": { "SetStatOption": "ENABLE_NO_OP" },
        "WorkflowDetails": { "OnUpload": [{ "WorkflowId": "w-01234567890abcdef", "ExecutionRole": ROLE }] },
        "Tags": [{ "Key": "team", "Value": "files" }],
    }});
    let notes = plan(&[server]).notes.join("\n");
    for wanted in [
        "`AWS_LAMBDA`",
        "EFS",
        "`FTPS`",
        "banners",
        "the type `VPC`",
        "S3StorageOptions",
        "TransferSecurityPolicy-2024-01",
        "SetStatOption",
        "workflows",
        "tags",
        "the host key, which is `SHA256:0kF0WMrZ5/nRUPOoZ2jWBqs1+cUcsLU4lWBMmxpZ4oE=` now, has changed",
    ] {
        assert!(notes.contains(wanted), "{wanted}: {notes}");
    }
}

#[test]
fn keys_that_no_login_can_use_are_reported() {
    let keys =
        json!([{ "SshPublicKeyBody": KEY }, { "SshPublicKeyBody": KEY }, { "SshPublicKeyBody": "ssh-ed25519 AAAA" }]);
    let planned = plan(&[with(user("bob", &[("/", "/acme-files/bob")]), "SshPublicKeys", keys)]);
    assert_eq!(planned.tenants[0].users[0].keys, [KEY]);
    assert_eq!(planned.notes.len(), 1, "{:?}", planned.notes);
}

#[test]
fn malformed_input_is_told_with_its_place() {
    let sentence = |text: &str| refusal(text);
    assert_eq!(
        sentence("{\n  \"User\": {\n    \"UserName\": 7\n  }\n}"),
        "export.json:3:17: invalid type: integer `7`, expected a string; nothing was imported"
    );
    assert_eq!(sentence("{\"User\": "), "export.json:1:9: EOF while parsing a value; nothing was imported");
    for other in ["", "{}", "{\"Users\": []} {\"users\": []}"] {
        assert!(sentence(other).starts_with("export.json has nothing to import: it takes the JSON of"), "{other}");
    }
    // Members that aren't read take no stack, however deep they are.
    let deep = "[".repeat(100_000);
    assert!(sentence(&format!("{{\"More\": {deep}")).starts_with("export.json:1:100009: EOF"));
}
