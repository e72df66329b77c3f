//! `[storage.assume_role]`.

use super::{Files, KEY};
use crate::account::BaseCredentials;

const ROLE: &str = "role_arn = 'arn:aws:iam::111122223333:role/wharfinger'\nexternal_id = 'wh-4b6f'\n";

/// Returns a tenant's file with these lines in `[storage]` and `[storage.assume_role]`.
fn tenant(name: &str, storage: &str, role: &str) -> String {
    format!(
        "name = '{name}'\n[storage]\nbucket = '{name}-files'\nprefix = 'in/'\nregion = 'eu-central-1'\n\
         expected_bucket_owner = '111122223333'\n{storage}\n[storage.assume_role]\n{role}\n\
         [[users]]\nname = '{name}-user'\npublic_keys = ['{KEY}']\n"
    )
}

fn acme(storage: &str, role: &str) -> Files {
    Files::new("").with_acme(&tenant("acme", storage, role))
}

#[test]
fn a_role_needs_no_credentials_but_the_default_chain_and_warns_of_nothing() {
    let files = acme("", ROLE);
    assert_eq!(files.warnings(), [""; 0]);
    let credentials = files.load().unwrap().config.tenants[0].storage.credentials.clone();
    assert!(matches!(credentials.base, BaseCredentials::DefaultChain));
    let role = credentials.role.unwrap();
    assert_eq!(role.external_id.as_str(), "wh-4b6f");
    assert!(!role.session_tags && !role.source_identity && role.sts_endpoint.is_none());
}

#[test]
fn a_role_may_be_asked_for_with_an_access_key() {
    let keyed = "credentials = { access_key_id = 'AK', secret_access_key_env = 'CARGO_PKG_NAME' }";
    let credentials = acme(keyed, ROLE).load().unwrap().config.tenants[0].storage.credentials.clone();
    assert!(matches!(credentials.base, BaseCredentials::Static { .. }) && credentials.role.is_some());
}

const VENDOR_ROLE: &str = "role_arn = 'arn:aws:iam::111122223333:role/tenants'";

#[test]
fn a_role_may_be_asked_for_through_the_vendors_role() {
    let of = |credentials: &str| {
        let files = acme(&format!("credentials = {{ {VENDOR_ROLE}, {credentials} }}"), ROLE);
        assert_eq!(files.warnings(), [""; 0]);
        files.load().unwrap().config.tenants[0].storage.credentials.clone()
    };
    let credentials = of("external_id = 'wh-own'");
    let vendor = credentials.role.unwrap().via.unwrap();
    assert_eq!(vendor.arn().as_str(), "arn:aws:iam::111122223333:role/tenants");
    assert_eq!(vendor.external_id().unwrap().as_str(), "wh-own");
    assert!(matches!(credentials.base, BaseCredentials::DefaultChain));
    let credentials = of("access_key_id = 'AK', secret_access_key_env = 'CARGO_PKG_NAME'");
    let vendor = credentials.role.unwrap().via.unwrap();
    assert!(matches!(credentials.base, BaseCredentials::Static { .. }) && vendor.external_id().is_none());
}

#[test]
fn a_vendors_role_asks_for_another_role() {
    let problems = |credentials: &str| acme(&format!("credentials = {{ {credentials} }}"), ROLE).problems();
    assert_eq!(
        problems("external_id = 'wh-own', default_chain = true"),
        [
            "tenants/acme.toml:7: storage.credentials.external_id: is that of a `role_arn` in this table, which is missing; the \
              external ID of the tenant's role belongs into `[storage.assume_role]`"
        ]
    );
    let text = "name = 'acme'\n[storage]\nbucket = 'files'\nprefix = 'in/'\nregion = 'eu-central-1'\n[storage.credentials]\n\
                default_chain = true\n";
    assert_eq!(
        Files::new("").with_acme(&format!("{text}{VENDOR_ROLE}")).problems(),
        ["tenants/acme.toml:8: storage.credentials.role_arn: is the vendor's role, which asks for the role in \
              `[storage.assume_role]`, and that table is missing; the role that sessions work as belongs there"]
    );
    assert_eq!(
        problems("role_arn = 'arn:aws:iam::111122223333:role/wharfinger', external_id = 'wh-4b6f'"),
        [
            "tenants/acme.toml:7: storage.credentials.external_id: is the external ID in `[storage.assume_role]` too; it takes one \
              that the tenant doesn't know",
            "tenants/acme.toml:7: storage.credentials.role_arn: is the role in `[storage.assume_role]` too; it takes the vendor's \
              role, which asks for that one",
        ]
    );
    for arn in ["arn:aws:iam:::role/tenants", "arn:aws:iam::111122223333:role/*"] {
        assert_eq!(
            problems(&format!("role_arn = '{arn}'")),
            [
                "tenants/acme.toml:7: storage.credentials.role_arn: is nothing that a trust policy can admit; it takes the ARN of one \
              role, with its account, such as \"arn:aws:iam::111122223333:role/wharfinger-tenants\""
            ]
        );
    }
}

#[test]
fn no_tenant_works_as_the_vendors_role_of_another() {
    let through = format!("credentials = {{ {VENDOR_ROLE}, external_id = 'wh-own' }}");
    let both =
        |storage: &str, role: &str| acme(&through, ROLE).with("tenants/globex.toml", &tenant("globex", storage, role));
    let of_globex = ROLE.replace("111122223333", "444455556666").replace("wh-4b6f", "wh-91aa");
    assert!(both(&through, &of_globex).load().is_ok(), "they share it");
    let as_the_vendor = of_globex.replace("444455556666:role/wharfinger", "111122223333:role/tenants");
    assert_eq!(
        both("", &as_the_vendor).problems(),
        [
            "tenants/globex.toml:10: storage.assume_role.external_id: its role is the vendor's role at tenants/acme.toml:7; the \
          tenant takes one of its own"
        ]
    );
    assert_eq!(
        both("", &of_globex.replace("wh-91aa", "wh-own")).problems(),
        [
            "tenants/globex.toml:10: storage.assume_role.external_id: is that of the vendor's role at tenants/acme.toml:7; the \
          tenant takes one of its own"
        ]
    );
}

#[test]
fn a_role_without_an_external_id_is_a_confused_deputy() {
    let arn = ROLE.lines().next().unwrap();
    assert_eq!(
        acme("", arn).problems(),
        ["tenants/acme.toml:8: storage.assume_role.external_id: is missing; it takes the external ID that the role's \
          trust policy asks for"]
    );
    for empty in ["", "x", "a b"] {
        let problems = acme("", &format!("{arn}\nexternal_id = '{empty}'")).problems();
        assert!(problems[0].contains("external_id: doesn't fit; it takes 2 to 1,224 letters"), "{problems:?}");
    }
    assert_eq!(
        acme("", "role_arn = 'arn:aws:iam::1:user/x'\nexternal_id = 'wh-4b6f'").problems(),
        ["tenants/acme.toml:9: storage.assume_role.role_arn: is no role's ARN; it takes one such as \
          \"arn:aws:iam::111122223333:role/wharfinger\""]
    );
}

#[test]
fn an_external_id_belongs_to_one_role() {
    let other = ROLE.replace("111122223333", "444455556666");
    let both = |globex: &str| acme("", ROLE).with("tenants/globex.toml", &tenant("globex", "", globex));
    assert_eq!(
        both(&other).problems(),
        [
            "tenants/globex.toml:10: storage.assume_role.external_id: is that of another role at tenants/acme.toml:10; it \
          takes one of its own"
        ]
    );
    assert!(both(&other.replace("wh-4b6f", "wh-91aa")).load().is_ok());
    assert!(both(ROLE).load().is_ok(), "a role of the vendor's own");
}

#[test]
fn a_store_that_is_not_aws_has_an_sts_of_its_own() {
    let foreign = "endpoint = 'http://127.0.0.1:8333'\npath_style = true";
    assert_eq!(
        acme(foreign, ROLE).problems(),
        [
            "tenants/acme.toml:9: storage.assume_role.sts_endpoint: is missing; the bucket's endpoint is none of AWS's, so \
          it takes the store's own endpoint of STS"
        ]
    );
    assert!(acme(foreign, &format!("{ROLE}sts_endpoint = 'http://127.0.0.1:8333'")).load().is_ok());
    assert!(acme("endpoint = 'https://bucket.vpce-1.s3.eu-central-1.vpce.amazonaws.com'", ROLE).load().is_ok());
}

#[test]
fn a_mount_whose_session_policy_is_too_long_is_said() {
    let long = format!("{}/", "é".repeat(120)).repeat(2);
    let text = tenant("acme", "", ROLE).replace("'in/'", &format!("'{long}'"));
    let problems = Files::new("").with_acme(&text).problems();
    assert!(
        problems[0].starts_with("tenants/acme.toml:4: storage.prefix: its session policy would have "),
        "{problems:?}"
    );
    assert!(problems[0].contains("of the 2048 that STS takes; a shorter prefix makes it fit"), "{problems:?}");
    let alias = tenant("acme", "", ROLE).replace("acme-files", "acme-1a2b-s3alias");
    assert_eq!(
        Files::new("").with_acme(&alias).problems(),
        [
            "tenants/acme.toml:4: storage.prefix: no policy can name an access point by its alias; `access_point_arn` takes \
          its ARN"
        ]
    );
    let arn = "access_point_arn = 'arn:aws:s3:eu-central-1:111122223333:accesspoint/acme'";
    let known = tenant("acme", arn, ROLE).replace("acme-files", "acme-1a2b-s3alias");
    assert_eq!(Files::new("").with_acme(&known).warnings(), [""; 0]);
}

#[test]
fn a_bucket_whose_owner_is_not_known_is_warned_about() {
    let text = tenant("acme", "", ROLE).replace("expected_bucket_owner = '111122223333'\n", "");
    let warnings = Files::new("").with_acme(&text).warnings();
    assert!(
        warnings[0].contains("storage.bucket: without `expected_bucket_owner` a bucket of this name"),
        "{warnings:?}"
    );
}

#[test]
fn an_open_role_is_accepted_by_default_where_the_store_ignores_external_ids() {
    let accepts = |storage: &str, role: &str| {
        let config = acme(storage, &format!("{ROLE}{role}")).load().unwrap().config;
        config.tenants[0].storage.credentials.role.as_ref().unwrap().accept_without_external_id
    };
    let foreign = "endpoint = 'http://127.0.0.1:8333'\npath_style = true";
    let seaweedfs = "sts_endpoint = 'http://127.0.0.1:8333'";
    for aws in [
        "",
        "sts_endpoint = 'https://sts.eu-central-1.amazonaws.com'",
        "sts_endpoint = 'https://vpce-1-a.sts.eu-central-1.vpce.amazonaws.com'",
        "sts_endpoint = 'https://sts.cn-north-1.amazonaws.com.cn'",
        "sts_endpoint = 'https://sts.eu-central-1.api.aws'",
        "sts_endpoint = 'https://sts.internal.example.com'",
    ] {
        assert!(!accepts("", aws), "{aws}");
    }
    assert!(!accepts(foreign, "sts_endpoint = 'https://sts.eu-central-1.amazonaws.com'"));
    assert!(accepts(foreign, seaweedfs));
    assert!(accepts("", "accept_role_without_external_id = true"));
    assert!(!accepts(foreign, &format!("{seaweedfs}\naccept_role_without_external_id = false")));
    assert_eq!(
        acme("", &format!("{ROLE}accept_role_without_external_id = 'yes'")).problems(),
        [
            "tenants/acme.toml:11: storage.assume_role.accept_role_without_external_id: is a string; it takes true or false"
        ]
    );
}
