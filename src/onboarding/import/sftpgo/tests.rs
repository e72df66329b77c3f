//! Plans from dumps of SFTPGo.

use super::{super::sftpgo, ExportFile, ImportPlan};
use serde_json::{Value, json};
use std::slice::from_ref;

const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX bob";
const ARGON2ID: &str =
    "$argon2id$v=19$m=65536,t=1,p=2$c29tZXNhbHRzb21lc2FsdA$gLt0Iq2uJZH2tZyNLHJwBCPmSk2VBz0C5pJ8u8mDJ1c";
const BCRYPT: &str = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";

/// Returns a filesystem on S3 with this prefix, as a dump has it.
fn s3(bucket: &str, prefix: &str) -> Value {
    json!({
        "provider": 1,
        "osconfig": {},
        "s3config": {
            "bucket": bucket,
            "key_prefix": prefix,
            "region": "eu-central-1",
            "access_key": "AKIAIOSFODNN7EXAMPLE",
            "access_secret": { "status": "AES-256-GCM", "payload": "c2VjcmV0", "key": "key", "mode": 1 },
        },
        "gcsconfig": {},
        "azblobconfig": {},
    })
}

/// Returns a user of a dump.
fn user(name: &str) -> Value {
    json!({
        "id": 1,
        "status": 1,
        "username": name,
        "expiration_date": 0,
        "password": ARGON2ID,
        "public_keys": [KEY],
        "home_dir": format!("/srv/sftpgo/data/{name}"),
        "uid": 0,
        "gid": 0,
        "max_sessions": 0,
        "quota_size": 0,
        "quota_files": 0,
        "permissions": { "/": ["*"] },
        "last_login": 1_700_000_000_000_i64,
        "filters": { "hooks": { "external_auth_disabled": false }, "totp_config": { "secret": {} } },
        "filesystem": s3("acme-files", &format!("home/{name}/")),
    })
}

/// The same with one member set, which a JSON pointer names.
fn with(mut user: Value, pointer: &str, value: Value) -> Value {
    let (parent, member) = pointer.rsplit_once('/').unwrap();
    user.pointer_mut(parent).unwrap()[member] = value;
    user
}

fn dump(users: &[Value]) -> Value {
    json!({ "users": users, "groups": [], "folders": [], "admins": [], "api_keys": null, "shares": [], "version": 17 })
}

fn read(dump: &Value) -> ImportPlan {
    sftpgo(&ExportFile { name: "dump.json".to_owned(), text: dump.to_string() }, None).unwrap()
}

fn plan(users: &[Value]) -> ImportPlan {
    read(&dump(users))
}

fn refusal(text: String) -> String {
    sftpgo(&ExportFile { name: "dump.json".to_owned(), text }, None).unwrap_err().to_string()
}

/// Returns the mounts of a plan: the tenant and its prefix, the user, the entry, the prefix below the tenant's, and the
/// permissions unless they are all.
fn mounts(plan: &ImportPlan) -> Vec<String> {
    let mut mounts = Vec::new();
    for tenant in &plan.tenants {
        for user in &tenant.users {
            for mount in &user.mounts {
                let (entry, prefix, permissions) = (&mount.entry, mount.prefix.as_str(), mount.permissions.to_string());
                let all = "read write overwrite list delete rename mkdir";
                let permissions = permissions.replace(all, "all");
                mounts.push(format!(
                    "{} {} {} {entry} {prefix} {permissions}",
                    tenant.name,
                    tenant.prefix.as_str(),
                    user.name
                ));
            }
        }
    }
    mounts
}

/// Returns the notes that aren't those of every dump.
fn own_notes(plan: ImportPlan) -> Vec<String> {
    let of_every_dump =
        |note: &String| ["host keys", "the secret of the access key", "config file"].iter().any(|it| note.contains(it));
    plan.notes.into_iter().filter(|note| !of_every_dump(note)).collect()
}

#[test]
fn users_with_one_bucket_and_one_identity_are_a_tenant() {
    let planned = plan(&[user("bob"), user("ann")]);
    assert_eq!(mounts(&planned), ["acme-files home/ ann / ann/ all", "acme-files home/ bob / bob/ all"]);
    let tenant = &planned.tenants[0];
    assert_eq!((tenant.site.region.as_str(), &tenant.site.role, &tenant.site.endpoint), ("eu-central-1", &None, &None));
    assert_eq!(tenant.access_key(), Some(("AKIAIOSFODNN7EXAMPLE", "acme-files.secret".to_owned())));
    let bob = &tenant.users[1];
    assert_eq!(
        (bob.enabled, &bob.keys[..], bob.password_hash.as_deref()),
        (true, &[KEY.to_owned()][..], Some(ARGON2ID))
    );
    assert!(planned.notes.iter().any(|note| note.contains("write it to `acme-files.secret`")), "{:?}", planned.notes);
    assert!(planned.notes.iter().all(|note| !note.contains("c2VjcmV0")));
    assert_eq!(own_notes(planned), [""; 0]);
    // Another access key in the same bucket.
    let eve = with(user("eve"), "/filesystem/s3config/access_key", json!("AKIAI44QH8DHBEXAMPLE"));
    let names: Vec<_> = plan(&[user("bob"), eve]).tenants.iter().map(|tenant| tenant.name.to_string()).collect();
    assert_eq!(names, ["acme-files-AKIAI44QH8DHBEXAMPLE", "acme-files-AKIAIOSFODNN7EXAMPLE"]);
}

#[test]
fn a_role_an_endpoint_and_path_style_are_those_of_the_tenant() {
    let s3config =
        |user: Value, member: &str, value: Value| with(user, &format!("/filesystem/s3config/{member}"), value);
    let bob = s3config(user("bob"), "endpoint", json!("https://minio.example.com"));
    let bob = s3config(s3config(bob, "force_path_style", json!(true)), "region", json!(""));
    let file = ExportFile { name: "dump.json".to_owned(), text: dump(from_ref(&bob)).to_string() };
    let planned = sftpgo(&file, Some("us-east-1")).unwrap();
    let site = &planned.tenants[0].site;
    assert_eq!((site.endpoint.as_deref(), site.path_style), (Some("https://minio.example.com"), true));
    assert_eq!((site.region.as_str(), &site.role), ("us-east-1", &None));
    assert_eq!(own_notes(plan(&[bob])), ["`bob` is left out: its home states no region: state it with --region"]);
    let role = "arn:aws:iam::444455556666:role/sftpgo";
    let bob = s3config(s3config(user("bob"), "access_key", json!("")), "role_arn", json!(role));
    let site = plan(from_ref(&bob)).tenants.remove(0).site;
    assert_eq!((site.role.unwrap().as_str(), site.access_key), (role, None));
    let neither = own_notes(plan(&[s3config(bob.clone(), "role_arn", json!(""))]));
    assert!(neither[0].starts_with("the tenant `acme-files` has neither a role nor an access key"), "{neither:?}");
    let elsewhere = s3config(bob, "endpoint", json!("https://minio.example.com"));
    let [note] = <[String; 1]>::try_from(own_notes(plan(&[elsewhere]))).unwrap();
    assert!(note.contains("its home has a role of AWS's, but the endpoint"), "{note}");
}

#[test]
fn directories_with_permissions_of_their_own_are_mounts() {
    let permissions = json!({
        "/": ["list", "download"],
        "/in": ["list", "upload", "overwrite", "create_dirs", "chtimes"],
        "/in/sealed": ["list"],
        "/same": ["download", "list"],
    });
    let planned = plan(&[with(user("bob"), "/permissions", permissions)]);
    assert_eq!(
        mounts(&planned),
        [
            "acme-files home/bob/ bob /  read list",
            "acme-files home/bob/ bob /in in/ write overwrite list mkdir",
            "acme-files home/bob/ bob /in/sealed in/sealed/ list",
        ]
    );
    assert_eq!(own_notes(planned), ["the permission `chtimes` is not imported; users with it: bob"]);
    // The WebAdmin writes no permissions as `null`.
    let sealed = plan(&[with(user("bob"), "/permissions", json!({ "/": ["*"], "/sealed": null }))]);
    assert_eq!(mounts(&sealed), ["acme-files home/bob/ bob /  all", "acme-files home/bob/ bob /sealed sealed/ "]);
    // A directory that has no more than another one around it, but differs from the one directly around it.
    let nested = json!({ "/": ["*"], "/a": ["list"], "/a/b": ["*"] });
    let planned = plan(&[with(user("bob"), "/permissions", nested)]);
    assert_eq!(
        mounts(&planned),
        [
            "acme-files home/bob/ bob /  all",
            "acme-files home/bob/ bob /a a/ list",
            "acme-files home/bob/ bob /a/b a/b/ all",
        ]
    );
}

#[test]
fn virtual_folders_are_mounts_with_the_permissions_of_their_paths() {
    let folders = json!([
        { "id": 1, "name": "prices", "virtual_path": "/shared/prices", "quota_size": -1, "quota_files": -1 },
        { "id": 2, "name": "drop", "virtual_path": "/drop", "subpath": "/of/bob", "quota_size": 7, "quota_files": 0 },
    ]);
    let permissions = json!({ "/": ["*"], "/shared": ["list", "download"], "/drop/new": ["upload"] });
    let bob = with(with(user("bob"), "/virtual_folders", folders), "/permissions", permissions);
    let bob = with(bob, "/filters/start_directory", json!("/drop"));
    let mut whole = dump(&[bob]);
    whole["folders"] = json!([
        { "name": "prices", "mapped_path": "/srv/prices", "filesystem": s3("acme-files", "prices/") },
        { "name": "drop", "filesystem": s3("acme-files", "drops/") },
    ]);
    let planned = read(&whole);
    assert_eq!(
        mounts(&planned),
        [
            "acme-files  bob / home/bob/ all",
            "acme-files  bob /drop drops/of/bob/ all",
            "acme-files  bob /shared home/bob/shared/ read list",
            "acme-files  bob /drop/new drops/of/bob/new/ write",
            "acme-files  bob /shared/prices prices/ read list",
        ]
    );
    assert_eq!(planned.tenants[0].users[0].landing.as_str(), "/drop");
    assert_eq!(own_notes(planned), ["the quota of a virtual folder is not imported; users with it: bob"]);
    // The folder's own filesystem counts where the dump lists no folders.
    whole["folders"] = Value::Null;
    assert_eq!(own_notes(read(&whole)), ["`bob` is left out: the dump lacks its folder `prices`"]);
    for folder in [0, 1] {
        whole["users"][0]["virtual_folders"][folder]["filesystem"] = s3("acme-files", "inline/");
    }
    assert_eq!(mounts(&read(&whole)).len(), 5);
    whole["users"][0]["virtual_folders"][1]["filesystem"] = s3("globex-files", "drops/");
    let [note] = <[String; 1]>::try_from(own_notes(read(&whole))).unwrap();
    assert!(note.starts_with("`bob` is left out: its folder `drop` is in another bucket than its home"), "{note}");
}

#[test]
fn a_user_whose_hash_can_not_be_checked_needs_a_key() {
    for (hash, kind) in [
        (BCRYPT, "bcrypt"),
        ("$pbkdf2-b64salt-sha256$150000$s$h", "pbkdf2"),
        ("$1$b5caebda$VODr/nyhGWgZaY8dJ4x05.", "md5crypt"),
        ("$6$rounds=5000$salt$hash", "sha512crypt"),
    ] {
        let bob = with(user("bob"), "/password", json!(hash));
        let planned = plan(from_ref(&bob));
        let imported = &planned.tenants[0].users[0];
        assert_eq!((imported.keys.len(), &imported.password_hash, imported.enabled), (1, &None, true));
        let [note] = <[String; 1]>::try_from(own_notes(planned)).unwrap();
        assert!(note.contains(kind) && note.contains("`wharfinger user password bob`"), "{note}");
        let planned = plan(&[with(bob, "/public_keys", Value::Null)]);
        assert!(planned.tenants.is_empty());
        let [note] = <[String; 1]>::try_from(own_notes(planned)).unwrap();
        assert!(note.contains(kind) && note.ends_with("it has no key: it needs a new password or a key"), "{note}");
        assert!(!note.contains(hash));
    }
    let costly = with(user("bob"), "/password", json!(ARGON2ID.replace("m=65536", "m=9999999")));
    let [note] = <[String; 1]>::try_from(own_notes(plan(&[costly]))).unwrap();
    assert!(note.contains("costs too much"), "{note}");
}

#[test]
fn denied_ways_to_log_in_are_no_ways_here() {
    let denied = |methods: Value| plan(&[with(user("bob"), "/filters/denied_login_methods", methods)]);
    let planned = denied(json!(["publickey"]));
    assert_eq!(
        (planned.tenants[0].users[0].keys.len(), planned.tenants[0].users[0].password_hash.is_some()),
        (0, true)
    );
    for password in ["password", "password-over-SSH"] {
        let planned = denied(json!([password]));
        let bob = &planned.tenants[0].users[0];
        assert_eq!((bob.keys.len(), bob.password_hash.is_some()), (1, false));
    }
    // Only both together are left.
    let [note] = <[String; 1]>::try_from(own_notes(denied(json!(["publickey", "password"])))).unwrap();
    assert!(note.contains("no key and no password that it may log in with alone"), "{note}");
}

#[test]
fn a_user_whose_restriction_is_lost_is_disabled() {
    for (pointer, value, wanted) in [
        ("/expiration_date", json!(1_900_000_000_000_i64), "its expiration date"),
        ("/filters/allowed_ip", json!(["192.0.2.0/24"]), "its lists of addresses"),
        ("/filters/denied_ip", json!(["192.0.2.0/24"]), "its lists of addresses"),
        ("/filters/denied_protocols", json!(["SSH"]), "its denied protocol SSH"),
        ("/filters/file_patterns", json!([{ "path": "/", "denied_patterns": ["*.exe"] }]), "its patterns of files"),
        ("/filters/access_time", json!([{ "day_of_week": 1, "from": "08:00", "to": "18:00" }]), "its times of access"),
        ("/filters/two_factor_protocols", json!(["SSH"]), "its second factor"),
        ("/filters/totp_config", json!({ "enabled": true, "protocols": ["SSH"] }), "its second factor"),
        ("/filters/password_expiration", json!(90), "the expiration of its password"),
        ("/filters/require_password_change", json!(true), "the required change of its password"),
    ] {
        let planned = plan(&[with(user("bob"), pointer, value)]);
        assert!(!planned.tenants[0].users[0].enabled, "{pointer}");
        let [note] = <[String; 1]>::try_from(own_notes(planned)).unwrap();
        assert!(note.starts_with(&format!("`bob` is disabled: there is no counterpart of {wanted};")), "{note}");
    }
    let planned = plan(&[with(user("bob"), "/status", json!(0))]);
    assert!(!planned.tenants[0].users[0].enabled);
    assert_eq!(own_notes(planned), ["`bob` is disabled, as it was"]);
    // These have nothing to do with SSH.
    let bob = with(user("bob"), "/filters/denied_protocols", json!(["FTP", "DAV"]));
    let bob = with(bob, "/filters/totp_config", json!({ "enabled": true, "protocols": ["HTTP"] }));
    assert_eq!(own_notes(plan(&[bob])), [""; 0]);
}

#[test]
fn limits_are_named_and_restrict_nobody() {
    let bob = with(with(user("bob"), "/quota_size", json!(1 << 30)), "/max_sessions", json!(2));
    let planned = plan(&[bob, with(user("ann"), "/quota_size", json!(1 << 30))]);
    assert!(planned.tenants[0].users.iter().all(|user| user.enabled));
    assert_eq!(
        own_notes(planned),
        [
            "the limit `max_sessions` is not imported; users with it: bob",
            "the limit `quota_size` is not imported; users with it: ann, bob",
        ]
    );
}

#[test]
fn users_that_can_not_be_served_are_left_out() {
    let s3config = |member: &str, value: Value| with(user("bob"), &format!("/filesystem/s3config/{member}"), value);
    for (bob, wanted) in [
        (with(user("bob"), "/filesystem/provider", json!(0)), "its home is on local files, not on S3"),
        (with(user("bob"), "/filesystem/provider", json!(2)), "its home is on Google Cloud Storage"),
        (with(user("bob"), "/filesystem/provider", json!(-1)), "its home is on an unknown provider"),
        (s3config("session_token", json!("token")), "has temporary credentials"),
        (s3config("sse_customer_key", json!({ "status": "AES-256-GCM", "payload": "x" })), "SSE-C"),
        (s3config("role_arn", json!("sftpgo")), "has a wrong role"),
        (s3config("key_prefix", json!("home/%username%/")), "placeholder"),
        (s3config("key_prefix", json!("../other/")), "`../other/`"),
        (with(user("bob"), "/permissions", json!({ "/": ["*"], "/in/*": ["list"] })), "those of a pattern"),
        (with(user("bob"), "/permissions", json!({ "/": ["*"], "/../x": ["list"] })), "`/../x`"),
        (with(user("bob"), "/groups", json!([{ "name": "vendors", "type": 1 }])), "settings of the group `vendors`"),
        (with(user("bob"), "/groups", json!([{ "name": "vendors", "type": 4 }])), "settings of the group `vendors`"),
        (with(user("bob"), "/filters/is_anonymous", json!(true)), "anonymous"),
        (with(user("bob"), "/username", json!("../bob")), "is no user name"),
    ] {
        let planned = plan(&[bob]);
        assert!(planned.tenants.is_empty(), "{wanted}");
        let [note] = <[String; 1]>::try_from(own_notes(planned)).unwrap();
        assert!(note.contains(" is left out: ") && note.contains(wanted), "{wanted}: {note}");
    }
    // Members of this type inherit nothing.
    let member = with(user("bob"), "/groups", json!([{ "name": "vendors", "type": 3 }]));
    assert_eq!(own_notes(plan(&[member])), [""; 0]);
}

#[test]
fn all_of_a_server_without_a_counterpart_is_reported() {
    let mut whole = dump(&[]);
    for member in ["shares", "event_rules", "ip_lists"] {
        whole[member] = json!([{ "name": "it" }]);
    }
    let notes = read(&whole).notes.join("\n");
    for wanted in
        ["shares", "event rules", "lists of addresses", "host keys", "the restrictions of SFTPGo's config file"]
    {
        assert!(notes.contains(wanted), "{wanted}: {notes}");
    }
}

#[test]
fn other_files_are_refused() {
    for other in ["[]", "{}", "{\"users\": null}", "{\"Users\": []}", "{\"users\": []}{\"users\": []}"] {
        let sentence = refusal(other.to_owned());
        assert!(sentence.starts_with("dump.json"), "{sentence}");
        assert!(sentence.contains("nothing"), "{sentence}");
    }
    let twice = refusal(dump(&[user("bob"), user("bob")]).to_string());
    assert!(twice.contains("`bob` is described twice"), "{twice}");
    let wrong = refusal("{\"users\": [{\"username\": 7}]}".to_owned());
    assert_eq!(wrong, "dump.json:1:25: invalid type: integer `7`, expected a string; nothing was imported");
}
