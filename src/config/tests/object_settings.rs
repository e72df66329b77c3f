//! The settings of new objects: their meaning, and those that contradict each other.

use super::Files;
use crate::account::{Encryption, ObjectSettings};

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
                "{line}: storage.bucket_key: goes with `encryption = \"sse-kms\"` alone: S3 encrypts other objects without a \
                 key of the bucket"
            )
        );
    }
    assert_eq!(
        problem("encryption = 'aws:kms'\nkms_key = 'key'\nbucket_key = true"),
        "7: storage.encryption: `aws:kms` is not known; it takes one of `bucket`, `sse-s3`, `sse-kms`, `dsse-kms`"
    );
}
