//! The settings of new objects: their meaning, and those that contradict each other.

use super::Files;
use crate::account::{Encryption, ObjectMetadata, ObjectSettings, ObjectTag};

/// The config of a tenant with these lines in `[storage]`, from line 7 on.
fn acme(storage: &str) -> Files {
    let text = format!(
        "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = ''\nregion = 'eu-central-1'\n\
         credentials.default_chain = true\n{storage}"
    );
    Files::new("").with_acme(&text)
}

fn settings(storage: &str) -> ObjectSettings {
    acme(storage).load().unwrap().config.tenants[0].storage.objects.clone()
}

fn problem(storage: &str) -> String {
    let problems = acme(storage).problems();
    let [problem] = &problems[..] else { panic!("{storage}: {problems:?}") };
    problem.trim_start_matches("tenants/acme.toml:").to_owned()
}

#[test]
fn encryption_has_four_kinds_and_a_key_alone_means_kms() {
    let key = || Some("key".to_owned());
    for (storage, expected) in [
        ("", Encryption::Bucket),
        ("encryption = 'bucket'", Encryption::Bucket),
        ("encryption = 'sse-s3'", Encryption::SseS3),
        ("kms_key = 'key'", Encryption::SseKms { key: key(), bucket_key: None }),
        ("kms_key = 'key'\nbucket_key = true", Encryption::SseKms { key: key(), bucket_key: Some(true) }),
        ("encryption = 'sse-kms'", Encryption::SseKms { key: None, bucket_key: None }),
        ("encryption = 'sse-kms'\nbucket_key = false", Encryption::SseKms { key: None, bucket_key: Some(false) }),
        ("encryption = 'dsse-kms'", Encryption::DsseKms { key: None }),
        ("encryption = 'dsse-kms'\nkms_key = 'key'", Encryption::DsseKms { key: key() }),
    ] {
        assert_eq!(
            settings(storage),
            ObjectSettings { encryption: expected, ..ObjectSettings::default() },
            "{storage}"
        );
    }
}

#[test]
fn tags_are_tables_in_their_order() {
    let tag = |key: &str, value: &str| ObjectTag { key: key.to_owned(), value: value.to_owned() };
    let tags = vec![tag("origin", "sftp"), tag("Größe +-=._:/@", "")];
    let expected = ObjectSettings { tags, ..ObjectSettings::default() };
    let tables = "[[storage.object_tags]]\nkey = 'origin'\nvalue = 'sftp'\n\
                  [[storage.object_tags]]\nkey = 'Größe +-=._:/@'\nvalue = ''\n";
    assert_eq!(settings(tables), expected);
    let inline = "object_tags = [{ key = 'origin', value = 'sftp' }, { key = 'Größe +-=._:/@', value = '' }]";
    assert_eq!(settings(inline), expected);
    let longest = format!("[[storage.object_tags]]\nkey = '{}'\nvalue = '{}'", "k".repeat(128), "v".repeat(256));
    assert_eq!(settings(&longest).tags.len(), 1);
}

#[test]
fn tags_that_s3_would_refuse() {
    let of = |key: &str, value: &str| format!("[[storage.object_tags]]\nkey = '{key}'\nvalue = '{value}'\n");
    let key = "8: storage.object_tags.key: doesn't fit; it takes 1 to 128 letters, digits, spaces and `+-=._:/@`, which don't \
               begin with `aws:`";
    // Two UTF-16 units each.
    let wide = "\u{10400}".repeat(65);
    for wrong in
        ["", "aws:cost", "AWS:cost", "a*b", "a\tb", "a\u{2028}b", "e\u{301}", "\u{24b6}", &"k".repeat(129), &wide]
    {
        assert_eq!(problem(&of(wrong, "v")), key, "{wrong:?}");
    }
    let value = "9: storage.object_tags.value: doesn't fit; it takes up to 256 letters, digits, spaces and `+-=._:/@`";
    for wrong in ["a*b", "a,b", &"v".repeat(257)] {
        assert_eq!(problem(&of("k", wrong)), value, "{wrong:?}");
    }
    assert_eq!(
        problem(&(of("k", "1") + &of("k", "2"))),
        "11: storage.object_tags.key: is the key of another tag too; an object has one tag of each key"
    );
    let many = |count: usize| (0..count).map(|number| of(&format!("k{number}"), "v")).collect::<String>();
    assert_eq!(settings(&many(10)).tags.len(), 10);
    assert_eq!(problem(&many(11)), "7: storage.object_tags: has 11 tags; S3 takes 10 for an object");
    let long = (0..4).map(|number| of(&format!("k{number}"), &"ü".repeat(250))).collect::<String>();
    assert_eq!(
        problem(&long),
        "7: storage.object_tags: has 6015 bytes as a header, in which most characters but ASCII letters and digits have 3 or \
         more; it takes up to 4096"
    );
}

#[test]
fn metadata_names_the_user_or_the_session_or_both() {
    for (storage, user, session) in [
        ("", false, false),
        ("object_metadata = []", false, false),
        ("object_metadata = ['user']", true, false),
        ("object_metadata = ['session']", false, true),
        ("object_metadata = ['session', 'user']", true, true),
    ] {
        let tenant = &acme(storage).load().unwrap().config.tenants[0].tenant;
        assert_eq!(tenant.object_metadata, ObjectMetadata { user, session }, "{storage}");
    }
    assert_eq!(
        problem("object_metadata = ['user', 'source']"),
        "7: storage.object_metadata: `source` is not known; it takes one of `user`, `session`"
    );
}

#[test]
fn the_acl_and_the_payer_are_off_by_default() {
    assert_eq!(settings("bucket_owner_full_control = false\nrequester_pays = false"), ObjectSettings::default());
    let controlled = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
    assert_eq!(settings("bucket_owner_full_control = true"), controlled);
    let payer = ObjectSettings { requester_pays: true, ..ObjectSettings::default() };
    assert_eq!(settings("requester_pays = true"), payer);
}

#[test]
fn encryption_that_contradicts_itself() {
    for kind in ["bucket", "sse-s3"] {
        assert_eq!(
            problem(&format!("encryption = '{kind}'\nkms_key = 'key'")),
            "8: storage.kms_key: goes with `encryption = \"sse-kms\"` or \"dsse-kms\", and `encryption` names another kind; \
             leave one of them out"
        );
    }
    for kind in ["", "encryption = 'bucket'", "encryption = 'sse-s3'", "encryption = 'dsse-kms'"] {
        let line = if kind.is_empty() { 7 } else { 8 };
        assert_eq!(
            problem(format!("{kind}\nbucket_key = true").trim_start()),
            format!(
                "{line}: storage.bucket_key: goes with `encryption = \"sse-kms\"` alone: name that kind, or leave \
                 `bucket_key` out"
            )
        );
    }
    assert_eq!(
        problem("encryption = 'aws:kms'\nkms_key = 'key'\nbucket_key = true"),
        "7: storage.encryption: `aws:kms` is not known; it takes one of `bucket`, `sse-s3`, `sse-kms`, `dsse-kms`"
    );
}
