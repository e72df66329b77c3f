//! IAM's API for roles: an account installs a role for another account, changes it and deletes it.
//!
//! The calls are made by the SDK of STS, which signs and sends the forms that these tests give it.

use super::{Cloud, TENANT, VENDOR, allow, assume, denied, identities::SignedFor, keys, refusal, session, trusting};
use aws_sdk_s3::config::Credentials;
use aws_smithy_runtime_api::{
    box_error::BoxError,
    client::{
        interceptors::{Intercept, context::BeforeTransmitInterceptorContextMut},
        runtime_components::RuntimeComponents,
    },
};
use aws_smithy_types::{body::SdkBody, config_bag::ConfigBag};
use fake_aws::Failure;

const ARN: &str = "arn:aws:iam::444455556666:role/exchange/files";
const NAME: (&str, &str) = ("RoleName", "files");
const POLICY_NAME: (&str, &str) = ("PolicyName", "objects");
/// Every action of the API.
const ACTIONS: [&str; 7] = [
    "CreateRole",
    "GetRole",
    "UpdateAssumeRolePolicy",
    "PutRolePolicy",
    "GetRolePolicy",
    "DeleteRolePolicy",
    "DeleteRole",
];

/// A form in place of the one that was signed.
#[derive(Debug)]
struct SentForm(String);

impl Intercept for SentForm {
    fn name(&self) -> &'static str {
        "SentForm"
    }

    fn modify_before_transmit(
        &self,
        context: &mut BeforeTransmitInterceptorContextMut<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        *context.request_mut().body_mut() = SdkBody::from(self.0.clone());
        Ok(())
    }
}

fn form(version: &str, action: &str, parameters: &[(&str, &str)]) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", action).append_pair("Version", version).extend_pairs(parameters);
    form.finish()
}

/// Sends a form, and `sent` in its place once it is signed for `scope`.
async fn send(
    cloud: &Cloud,
    caller: Credentials,
    scope: SignedFor,
    form: String,
    sent: Option<String>,
) -> (u16, String) {
    let mut config = cloud.sts_with(caller).config().to_builder().endpoint_resolver(scope);
    if let Some(sent) = sent {
        config = config.interceptor(SentForm(sent));
    }
    let call = aws_sdk_sts::Client::from_conf(config.build()).get_caller_identity().customize();
    let call = call.mutate_request(move |request| {
        request.headers_mut().insert("content-length", form.len().to_string());
        *request.body_mut() = SdkBody::from(form.clone());
    });
    let error = call.send().await.expect_err("no answer here is one to GetCallerIdentity");
    let answer = error.raw_response().unwrap_or_else(|| panic!("no answer: {error:?}"));
    let text = String::from_utf8(answer.body().bytes().unwrap().to_vec()).unwrap();
    (answer.status().as_u16(), text)
}

async fn call(cloud: &Cloud, caller: Credentials, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    let scope = SignedFor::iam(cloud);
    send(cloud, caller, scope, form("2010-05-08", action, parameters), None).await
}

/// Makes a call as the owner of the tenant's account.
async fn owner(cloud: &Cloud, action: &str, parameters: &[(&str, &str)]) -> (u16, String) {
    call(cloud, keys("owner"), action, parameters).await
}

/// Makes a call as the owner that must succeed. Returns the answer.
async fn done(cloud: &Cloud, action: &str, parameters: &[(&str, &str)]) -> String {
    let (status, text) = owner(cloud, action, parameters).await;
    assert_eq!(status, 200, "{action}: {text}");
    text
}

/// Returns the status, the code and the sentence of a refusal.
fn refused((status, text): (u16, String)) -> (u16, String, String) {
    let element = |name: &str| {
        let (_, rest) = text.split_once(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name}: {text}"));
        rest.split_once("</").unwrap().0.to_owned()
    };
    assert!(text.starts_with("<ErrorResponse xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\"><Error>"), "{text}");
    (status, element("Code"), element("Message"))
}

fn is(status: u16, code: &str, sentence: &str) -> (u16, String, String) {
    (status, code.to_owned(), sentence.to_owned())
}

fn trust(external_id: &str) -> String {
    let condition = format!(r#", "Condition": {{"StringEquals": {{"sts:ExternalId": "{external_id}"}}}}"#);
    trusting(&format!("arn:aws:iam::{VENDOR}:user/server"), "\"sts:AssumeRole\"", &condition)
}

async fn create(cloud: &Cloud) -> String {
    let trust = trust("wh-1");
    let parameters =
        [NAME, ("Path", "/exchange/"), ("MaxSessionDuration", "7200"), ("AssumeRolePolicyDocument", &trust)];
    done(cloud, "CreateRole", &parameters).await
}

/// Lets the role read what is below `prefix`.
async fn put_policy(cloud: &Cloud, prefix: &str) {
    let policy = allow("s3:GetObject", &format!("arn:aws:s3:::tenant/{prefix}*"));
    done(cloud, "PutRolePolicy", &[NAME, POLICY_NAME, ("PolicyDocument", &policy)]).await;
}

fn assume_files(cloud: &Cloud) -> super::AssumeRoleFluentBuilder {
    assume(&cloud.sts("server"), TENANT, "exchange/files").external_id("wh-1")
}

#[tokio::test]
async fn a_role_that_an_account_installs_admits_another_account_to_its_bucket() {
    let cloud = Cloud::start().await;
    cloud.put("tenant", &["in/a", "out/a"]).await;
    let (.., before) = refusal(assume_files(&cloud).send().await);
    create(&cloud).await;
    let bare = cloud.s3_with(session(&assume_files(&cloud).send().await.unwrap()));
    denied(bare.get_object().bucket("tenant").key("in/a").send().await);
    put_policy(&cloud, "in/").await;
    let granted = assume_files(&cloud).duration_seconds(7200).send().await.unwrap();
    let user = granted.assumed_role_user().unwrap();
    assert_eq!(user.arn(), format!("arn:aws:sts::{TENANT}:assumed-role/files/acme.alice"), "sessions have no path");
    let reader = cloud.s3_with(session(&granted));
    reader.get_object().bucket("tenant").key("in/a").send().await.unwrap();
    denied(reader.get_object().bucket("tenant").key("out/a").send().await);

    let (.., without_id) = refusal(assume_files(&cloud).set_external_id(None).send().await);
    assert_eq!(without_id, before, "the role and its absence look the same to other accounts");
    let (.., without_path) = refusal(assume(&cloud.sts("server"), TENANT, "files").external_id("wh-1").send().await);
    assert_eq!(without_path, before.replace("exchange/", ""));
    let (code, _, message) = refusal(assume_files(&cloud).duration_seconds(7201).send().await);
    assert!(code == "ValidationError" && message.contains("MaxSessionDuration"), "{message}");
}

#[tokio::test]
async fn a_change_holds_for_the_sessions_that_exist() {
    let cloud = Cloud::start().await;
    cloud.put("tenant", &["in/a", "out/a"]).await;
    create(&cloud).await;
    put_policy(&cloud, "in/").await;
    let reader = cloud.s3_with(session(&assume_files(&cloud).send().await.unwrap()));
    let read = async |key: &str| reader.get_object().bucket("tenant").key(key).send().await;
    read("in/a").await.unwrap();
    put_policy(&cloud, "out/").await;
    denied(read("in/a").await);
    read("out/a").await.unwrap();
    let more = allow("s3:GetObject", "arn:aws:s3:::tenant/in/*");
    done(&cloud, "PutRolePolicy", &[NAME, ("PolicyName", "more"), ("PolicyDocument", &more)]).await;
    read("in/a").await.unwrap();
    read("out/a").await.unwrap();

    done(&cloud, "UpdateAssumeRolePolicy", &[NAME, ("PolicyDocument", &trust("wh-2"))]).await;
    assert_eq!(refusal(assume_files(&cloud).send().await).0, "AccessDenied");
    assume_files(&cloud).external_id("wh-2").send().await.unwrap();
    read("in/a").await.unwrap();

    let conflict = is(409, "DeleteConflict", "Cannot delete entity, must delete policies first.");
    assert_eq!(refused(owner(&cloud, "DeleteRole", &[NAME]).await), conflict);
    done(&cloud, "DeleteRolePolicy", &[NAME, ("PolicyName", "more")]).await;
    denied(read("in/a").await);
    read("out/a").await.unwrap();
    done(&cloud, "DeleteRolePolicy", &[NAME, POLICY_NAME]).await;
    denied(read("out/a").await);
    done(&cloud, "DeleteRole", &[NAME]).await;
    assert_eq!(refusal(assume_files(&cloud).external_id("wh-2").send().await).0, "AccessDenied");

    create(&cloud).await;
    put_policy(&cloud, "out/").await;
    denied(read("out/a").await);
    let next = cloud.s3_with(session(&assume_files(&cloud).send().await.unwrap()));
    next.get_object().bucket("tenant").key("out/a").send().await.unwrap();
}

#[tokio::test]
async fn documents_are_answered_as_they_were_sent() {
    let cloud = Cloud::start().await;
    let created = create(&cloud).await;
    let read = done(&cloud, "GetRole", &[NAME]).await;
    let encoded = |document: &str| {
        percent_encoding::utf8_percent_encode(document, percent_encoding::NON_ALPHANUMERIC)
            .to_string()
            .replace("%2D", "-")
            .replace("%2E", ".")
            .replace("%5F", "_")
    };
    for (answer, action) in [(&created, "CreateRole"), (&read, "GetRole")] {
        assert!(answer.starts_with(&format!("<{action}Response xmlns=\"https://iam.amazonaws.com/doc/2010-05-08/\">")));
        for part in [
            "<Path>/exchange/</Path><RoleName>files</RoleName><RoleId>AROA".to_owned(),
            format!("<Arn>{ARN}</Arn><CreateDate>20"),
            format!("<AssumeRolePolicyDocument>{}</AssumeRolePolicyDocument>", encoded(&trust("wh-1"))),
            "<MaxSessionDuration>7200</MaxSessionDuration>".to_owned(),
        ] {
            assert!(answer.contains(&part), "{part}: {answer}");
        }
        let (date, _) = answer.split_once("<CreateDate>").unwrap().1.split_once("</CreateDate>").unwrap();
        assert_eq!((date.len(), date.chars().last()), ("2026-01-01T00:00:00Z".len(), Some('Z')), "{date}");
    }
    let policy = format!(" {}\n", allow("s3:GetObject", "arn:aws:s3:::tenant/é & <x>/*"));
    done(&cloud, "PutRolePolicy", &[NAME, POLICY_NAME, ("PolicyDocument", &policy)]).await;
    let read = done(&cloud, "GetRolePolicy", &[NAME, POLICY_NAME]).await;
    assert!(read.contains("<RoleName>files</RoleName><PolicyName>objects</PolicyName>"), "{read}");
    assert!(read.contains(&format!("<PolicyDocument>{}</PolicyDocument>", encoded(&policy))), "{read}");
    let settings = done(&cloud, "GetRole", &[("RoleName", "wharfinger")]).await;
    assert!(settings.contains("<CreateDate>1970-01-01T00:00:00Z</CreateDate>"), "{settings}");
    assert_eq!(cloud.s3.requests()["GetRole"], 2);
}

#[tokio::test]
async fn what_does_not_exist_and_what_exists_already_are_said() {
    let cloud = Cloud::start().await;
    let (good, policy) = (trust("wh-1"), allow("s3:GetObject", "*"));
    let parameters: &[&[(&str, &str)]] = &[
        &[],
        &[],
        &[("PolicyDocument", &good)],
        &[POLICY_NAME, ("PolicyDocument", &policy)],
        &[POLICY_NAME],
        &[POLICY_NAME],
        &[],
    ];
    let missing = is(404, "NoSuchEntity", "The role with name files cannot be found.");
    for (action, more) in ACTIONS.iter().zip(parameters).skip(1) {
        let all: Vec<_> = [NAME].into_iter().chain(more.iter().copied()).collect();
        assert_eq!(refused(owner(&cloud, action, &all).await), missing, "{action}");
    }
    create(&cloud).await;
    let missing = is(404, "NoSuchEntity", "The role policy with name objects cannot be found.");
    for action in ["GetRolePolicy", "DeleteRolePolicy"] {
        assert_eq!(refused(owner(&cloud, action, &[NAME, POLICY_NAME]).await), missing, "{action}");
    }
    for name in ["files", "Files"] {
        let again = owner(&cloud, "CreateRole", &[("RoleName", name), ("AssumeRolePolicyDocument", &good)]).await;
        let sentence = format!("Role with name {name} already exists.");
        assert_eq!(refused(again), is(409, "EntityAlreadyExists", &sentence), "the path doesn't matter");
    }
}

#[tokio::test]
async fn what_is_malformed_or_too_long_changes_nothing() {
    let cloud = Cloud::start().await;
    create(&cloud).await;
    put_policy(&cloud, "in/").await;
    let before = [done(&cloud, "GetRole", &[NAME]).await, done(&cloud, "GetRolePolicy", &[NAME, POLICY_NAME]).await];
    let document = |text: String| [NAME, POLICY_NAME].into_iter().map(own).chain([("PolicyDocument".into(), text)]);
    let good = allow("s3:GetObject", "*");
    let padded = |length: usize| good.replace('*', &format!("arn:aws:s3:::{}", "x".repeat(length)));
    for (text, status, code) in [
        (good.replace("Resource", "NotResource"), 400, "MalformedPolicyDocument"),
        (good.replace("GetObject", "GetObjects"), 400, "MalformedPolicyDocument"),
        (String::new(), 400, "ValidationError"),
        (good.replace('*', "arn:aws:s3:::\u{100}"), 400, "ValidationError"),
        (padded(10_240), 409, "LimitExceeded"),
    ] {
        let parameters: Vec<_> = document(text.clone()).collect();
        let answer = refused(owner(&cloud, "PutRolePolicy", &borrowed(&parameters)).await);
        assert_eq!((answer.0, answer.1.as_str()), (status, code), "{text}");
    }
    let trusts = |text: &str| vec![own(NAME), ("PolicyDocument".to_owned(), text.to_owned())];
    for (text, status, code) in [
        (good.clone(), 400, "MalformedPolicyDocument"),
        (trust("wh-1").replace("Principal", "NotPrincipal"), 400, "MalformedPolicyDocument"),
        (trust(&"x".repeat(2048)), 409, "LimitExceeded"),
    ] {
        let answer = refused(owner(&cloud, "UpdateAssumeRolePolicy", &borrowed(&trusts(&text))).await);
        assert_eq!((answer.0, answer.1.as_str()), (status, code), "{text}");
    }
    let after = [done(&cloud, "GetRole", &[NAME]).await, done(&cloud, "GetRolePolicy", &[NAME, POLICY_NAME]).await];
    let content = |answer: &String| answer.split_once("<ResponseMetadata>").unwrap().0.to_owned();
    assert_eq!(before.each_ref().map(content), after.each_ref().map(content));
}

fn own((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

fn borrowed(parameters: &[(String, String)]) -> Vec<(&str, &str)> {
    parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[tokio::test]
async fn parameters_have_the_shapes_of_aws_and_unknown_ones_are_refused() {
    let cloud = Cloud::start().await;
    let good = trust("wh-1");
    for (name, value, sentence) in [
        ("RoleName", "a/b", "Value 'a/b' at 'roleName' failed to satisfy constraint"),
        ("RoleName", "", "Value '' at 'roleName' failed to satisfy constraint"),
        ("Path", "exchange/", "Value 'exchange/' at 'path' failed to satisfy constraint"),
        ("Path", "/exchange", "Value '/exchange' at 'path' failed to satisfy constraint"),
        ("Path", "//", "Value '//' at 'path' failed to satisfy constraint"),
        ("MaxSessionDuration", "3599", "Value '3599' at 'maxSessionDuration' failed to satisfy constraint"),
        ("MaxSessionDuration", "43201", "Value '43201' at 'maxSessionDuration' failed to satisfy constraint"),
        ("Tags.member.1.Key", "a", "The parameter Tags.member.1.Key is not known here"),
        ("PermissionsBoundary", "arn:aws:iam::aws:policy/x", "The parameter PermissionsBoundary is not known here"),
    ] {
        let mut parameters = vec![NAME, ("AssumeRolePolicyDocument", good.as_str())];
        parameters.retain(|(there, _)| *there != name);
        parameters.push((name, value));
        let (status, code, message) = refused(owner(&cloud, "CreateRole", &parameters).await);
        assert_eq!((status, code.as_str()), (400, "ValidationError"), "{name}={value}");
        assert!(message.contains(sentence), "{message}");
    }
    let (.., message) = refused(owner(&cloud, "CreateRole", &[NAME]).await);
    assert!(message.contains("Value null at 'assumeRolePolicyDocument'"), "{message}");
    for (version, action) in [("2010-05-08", "ListUsers"), ("2010-05-08", "AssumeRole"), ("2011-06-15", "GetRole")] {
        let answer = send(&cloud, keys("owner"), SignedFor::iam(&cloud), form(version, action, &[NAME]), None).await;
        let sentence = format!("Could not find operation {action} for version {version}");
        assert_eq!(refused(answer), is(400, "InvalidAction", &sentence));
    }
    assert_eq!(refused(owner(&cloud, "GetRole", &[NAME]).await).0, 404, "nothing was created");
}

#[tokio::test]
async fn a_caller_needs_the_action_in_its_own_policy_and_reaches_its_own_account_alone() {
    let cloud = Cloud::with_settings(|settings| {
        let reader = settings.users.iter_mut().find(|user| user.name == "reader").unwrap();
        reader.policy = allow("iam:GetRole", &format!("arn:aws:iam::{VENDOR}:role/data")).parse().unwrap();
    })
    .await;
    let (good, policy) = (trust("wh-1"), allow("s3:GetObject", "*"));
    let every = |action: &str| match action {
        "CreateRole" => vec![NAME, ("Path", "/exchange/"), ("AssumeRolePolicyDocument", good.as_str())],
        "UpdateAssumeRolePolicy" => vec![NAME, ("PolicyDocument", good.as_str())],
        "PutRolePolicy" => vec![NAME, POLICY_NAME, ("PolicyDocument", policy.as_str())],
        "GetRolePolicy" | "DeleteRolePolicy" => vec![NAME, POLICY_NAME],
        _ => vec![NAME],
    };
    for action in ACTIONS {
        let path = if action == "CreateRole" { "exchange/" } else { "" };
        let sentence = format!(
            "User: arn:aws:iam::{VENDOR}:user/reader is not authorized to perform: iam:{action} on resource: \
             arn:aws:iam::{VENDOR}:role/{path}files because no identity-based policy allows the iam:{action} action"
        );
        let answer = call(&cloud, keys("reader"), action, &every(action)).await;
        assert_eq!(refused(answer), is(403, "AccessDenied", &sentence));
    }
    assert_eq!(call(&cloud, keys("reader"), "GetRole", &[("RoleName", "data")]).await.0, 200);
    assert_eq!(refused(call(&cloud, keys("reader"), "GetRole", &[("RoleName", "plain")]).await).1, "AccessDenied");

    // The stranger may do everything, in its own account.
    create(&cloud).await;
    let missing = is(404, "NoSuchEntity", "The role with name files cannot be found.");
    for action in ACTIONS.iter().skip(1) {
        assert_eq!(refused(call(&cloud, keys("stranger"), action, &every(action)).await), missing, "{action}");
    }
    assert_eq!(call(&cloud, keys("stranger"), "CreateRole", &every("CreateRole")).await.0, 200);
    assert!(done(&cloud, "GetRole", &[NAME]).await.contains(ARN));

    // A session of a role is bound to its session policy.
    let bound = cloud.assume_data().policy(super::only("p/")).send().await.unwrap();
    let (_, code, message) = refused(call(&cloud, session(&bound), "GetRole", &[("RoleName", "data")]).await);
    assert!(code == "AccessDenied" && message.contains("no session policy allows"), "{message}");
    let free = cloud.assume_data().send().await.unwrap();
    assert_eq!(call(&cloud, session(&free), "GetRole", &[("RoleName", "data")]).await.0, 200);
}

#[tokio::test]
async fn a_form_is_what_its_caller_signed() {
    let cloud = Cloud::start().await;
    let key = |id: &str, secret: &str, token: Option<&str>| {
        Credentials::new(id, secret, token.map(str::to_owned), None, "test")
    };
    let secret = keys("owner").secret_access_key().to_owned();
    for (caller, code) in [
        (key("AKNOBODY", "x", None), "InvalidClientTokenId"),
        (key("AKOWNER", "x", None), "SignatureDoesNotMatch"),
        (key("AKOWNER", &secret, Some("token")), "InvalidClientTokenId"),
    ] {
        let (status, said, _) = refused(call(&cloud, caller, "GetRole", &[NAME]).await);
        assert_eq!((status, said.as_str()), (403, code));
    }
    let [signed, sent] = ["files", "filez"].map(|name| form("2010-05-08", "GetRole", &[("RoleName", name)]));
    let answer = send(&cloud, keys("owner"), SignedFor::iam(&cloud), signed.clone(), Some(sent)).await;
    assert_eq!(refused(answer).1, "SignatureDoesNotMatch");
    let answer = send(&cloud, keys("owner"), SignedFor::iam(&cloud).in_region("eu-central-1"), signed, None).await;
    let sentence = "Credential should be scoped to a valid region, not 'eu-central-1'.";
    assert_eq!(refused(answer), is(403, "SignatureDoesNotMatch", sentence));
    cloud.s3.set_clock_offset(3600);
    let (_, code, message) = refused(owner(&cloud, "GetRole", &[NAME]).await);
    assert!(code == "SignatureDoesNotMatch" && message.starts_with("Signature expired: "), "{message}");
    cloud.s3.set_clock_offset(0);
    assert_eq!(cloud.s3.requests().get("GetRole"), None, "no request had a valid signature");

    cloud.s3.fail("GetRole", Failure::SlowDown, 1);
    assert_eq!(refused(owner(&cloud, "GetRole", &[NAME]).await).1, "Throttling");
    assert_eq!(refused(owner(&cloud, "GetRole", &[NAME]).await).1, "NoSuchEntity");
}
