//! The forms say the same. tests/clients/suites/test_policy.py reads them with the tools of their makers.

use super::{DocumentFormat as Form, *};
use crate::{
    account::{
        Mounts, Permission, Permissions, PrincipalArn, Role, RoleArn, Storage, StorageCredentials, Tenant, User,
    },
    name::Prefix,
    tenants::{TenantSetup, UserSetup},
};
use serde_json::{Value, json};
use std::sync::Arc;

const ODD: &str = "a*b?c$d%{e}${f}\"g\\h'i/\u{e9}\u{1f600}/";

fn setup(prefix: &str, permissions: &[Permission]) -> TenantSetup {
    let role = Role {
        arn: "arn:aws:iam::444455556666:role/exchange/wharfinger".parse().unwrap(),
        external_id: "wh-c2a4d0de".parse().unwrap(),
        sts_endpoint: None,
        session_tags: false,
        source_identity: false,
        accept_without_external_id: false,
        via: None,
    };
    let storage = Storage::of_a_test(prefix);
    let credentials = StorageCredentials { role: Some(role), ..storage.credentials.clone() };
    let tenant = Tenant::new("globex".parse().unwrap());
    let user = User {
        name: "bob".parse().unwrap(),
        tenant: tenant.name.clone(),
        enabled: false,
        mounts: Mounts::at_root(Prefix::parse(prefix).unwrap(), permissions.iter().copied().collect()),
    };
    let users = vec![UserSetup { user: Arc::new(user), credentials: Arc::default() }];
    TenantSetup { tenant: Arc::new(tenant), storage: Arc::new(Storage { credentials, ..storage }), users }
}

fn server() -> PrincipalArn {
    "arn:aws:iam::111122223333:role/wharfinger-server".parse().unwrap()
}

fn documents(setup: &TenantSetup) -> TenantDocuments {
    TenantDocuments::new(setup, Some(&server()), None, None).unwrap()
}

fn rendered(setup: &TenantSetup, form: Form) -> String {
    render(&documents(setup), form).unwrap()
}

fn parsed(setup: &TenantSetup, form: Form) -> Value {
    serde_json::from_str(&rendered(setup, form)).unwrap()
}

#[test]
fn json_has_every_document() {
    let all = parsed(&setup("sftp/", &[Permission::Read]), Form::Json);
    assert_eq!(all["tenant"], "globex");
    assert_eq!((&all["role"]["path"], &all["role"]["name"]), (&json!("/exchange/"), &json!("wharfinger")));
    let trust = &all["role"]["trust_policy"]["Statement"][0];
    assert_eq!(trust["Principal"]["AWS"], server().to_string());
    assert_eq!(trust["Condition"]["StringEquals"]["sts:ExternalId"], json!(["wh-c2a4d0de"]));
    assert_eq!(all["role"]["server_policy"]["Statement"][0]["Resource"], all["role"]["arn"]);
    let actions = &all["permissions_policy"]["Statement"][1]["Action"];
    assert_eq!(*actions, json!(["s3:GetObject", "s3:GetObjectVersion"]), "those of the disabled user");
    let block = all["bucket"]["public_access_block"].as_object().unwrap();
    assert!(block.len() == 4 && block.values().all(|value| *value == true));
    let rule = &all["bucket"]["lifecycle"]["Rules"][0];
    assert_eq!(rule["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"], 8);
    assert_eq!(rule["Filter"]["Prefix"], "sftp/");
}

#[test]
fn cloudformation_has_the_same_policies() {
    for prefix in ["sftp/", "", ODD] {
        let setup = setup(prefix, &Permission::ALL);
        let (all, template) = (parsed(&setup, Form::Json), parsed(&setup, Form::Cloudformation));
        let role = &template["Resources"]["WharfingerRole"]["Properties"];
        assert_eq!(role["AssumeRolePolicyDocument"], all["role"]["trust_policy"]);
        assert_eq!(role["Policies"][0]["PolicyDocument"], all["permissions_policy"]);
        assert_eq!((&role["RoleName"], &role["Path"]), (&json!("wharfinger"), &json!("/exchange/")));
        let bucket = &template["Resources"]["Bucket"]["Properties"];
        assert_eq!(bucket["PublicAccessBlockConfiguration"], all["bucket"]["public_access_block"]);
        assert_eq!(bucket["LifecycleConfiguration"]["Rules"][0]["Prefix"], prefix);
        assert_eq!(template["Resources"]["BucketPolicy"]["Properties"]["PolicyDocument"], all["bucket"]["policy"]);
        assert!(rendered(&setup, Form::Cli).is_ascii() && rendered(&setup, Form::Json).is_ascii());
    }
}

#[test]
fn terraform_has_no_template_sequence_of_its_own() {
    let text = rendered(&setup(ODD, &Permission::ALL), Form::Terraform);
    assert!(text.contains(r#"arn:aws:s3:::vendor/a$${*}b$${?}c$${$}d%%{e}$${$}{f}\"g\\h'i/é😀/*"#), "{text}");
    assert!(text.contains("\"Version\" : \"2012-10-17\""), "{text}");
}

#[test]
fn the_least_that_the_users_need_unless_the_operator_says_otherwise() {
    let actions = |documents: TenantDocuments| {
        let all: Value = serde_json::from_str(&render(&documents, Form::Json).unwrap()).unwrap();
        all["permissions_policy"]["Statement"][1]["Action"].as_array().unwrap().len()
    };
    let setup = setup("sftp/", &[Permission::Delete]);
    assert_eq!(actions(documents(&setup)), 1);
    let said = Permissions::NONE.with(Permission::Read);
    assert_eq!(actions(TenantDocuments::new(&setup, Some(&server()), Some(said), None).unwrap()), 2);
    let without_users = TenantSetup { users: Vec::new(), ..setup };
    assert_eq!(actions(documents(&without_users)), 8, "its first user may have every permission");
}

#[test]
fn an_upload_is_deleted_after_its_user_can_no_longer_resume_it() {
    let days = |retention: Option<u64>| {
        let setup = setup("sftp/", &Permission::ALL);
        let mut tenant = Tenant::new("globex".parse().unwrap());
        tenant.partial_uploads_kept_for = retention.map(std::time::Duration::from_secs);
        let all = parsed(&TenantSetup { tenant: Arc::new(tenant), ..setup }, Form::Json);
        all["bucket"]["lifecycle"]["Rules"][0]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"].as_u64()
    };
    let day = 24 * 60 * 60;
    assert_eq!([None, Some(60), Some(7 * day)].map(days), [Some(8); 3]);
    assert_eq!([Some(7 * day + 1), Some(30 * day)].map(days), [Some(9), Some(31)]);
}

#[test]
fn a_shared_bucket_and_an_access_point_keep_their_settings() {
    let own = setup("sftp/", &Permission::ALL);
    let of_vendor = "arn:aws:iam::444455556666:role/server".parse().unwrap();
    let shared = TenantDocuments::new(&own, Some(&of_vendor), None, None).unwrap();
    assert!(shared.bucket.is_none() && documents(&own).bucket.is_some());
    let arn = "arn:aws:s3:eu-west-1:444455556666:accesspoint/globex".to_owned();
    let storage = Arc::new(Storage { bucket: arn, ..(*own.storage).clone() });
    let point = TenantSetup { storage, ..own };
    assert!(documents(&point).bucket.is_none());
    for form in [Form::Cloudformation, Form::Terraform, Form::Cli] {
        let text = rendered(&point, form);
        assert!(text.contains("accesspoint/globex/object/sftp/*"), "{text}");
        assert!(!["lifecycle", "Lifecycle", "configure"].iter().any(|word| text.contains(word)), "{text}");
    }
}

#[test]
fn a_fact_that_is_missing_is_said() {
    let own = setup("sftp/", &Permission::ALL);
    let refusal = |server, key| TenantDocuments::new(&own, server, None, key).unwrap_err();
    assert_eq!(refusal(None, None), NoDocuments::NoPrincipal);
    assert_eq!(refusal(Some(&server()), Some("alias/files")), NoDocuments::KeyName);
    let mut storage = (*own.storage).clone();
    storage.credentials.role = None;
    let without_role = TenantSetup { storage: Arc::new(storage), ..own };
    let plain = TenantDocuments::new(&without_role, None, None, None).unwrap();
    assert!(render(&plain, Form::Json).unwrap().contains("\"role\": null"));
    for form in [Form::Cloudformation, Form::Terraform, Form::Cli] {
        assert_eq!(render(&plain, form).unwrap_err(), NoDocuments::NoRole("globex".parse().unwrap()));
    }
    let mut storage = (*setup("sftp/", &Permission::ALL).storage).clone();
    let arn: RoleArn = "arn:aws:iam:::role/S3".parse().unwrap();
    storage.credentials.role.as_mut().unwrap().arn = arn.clone();
    let of_another_store = TenantSetup { storage: Arc::new(storage), ..without_role };
    assert_eq!(parsed(&of_another_store, Form::Json)["role"]["arn"], arn.as_str());
    for form in [Form::Cloudformation, Form::Terraform, Form::Cli] {
        assert_eq!(render(&documents(&of_another_store), form).unwrap_err(), NoDocuments::NoAccount(arn.clone()));
    }
}
