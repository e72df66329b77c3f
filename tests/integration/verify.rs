//! `wharfinger tenant verify --all`: 200 tenants from 200 files, each with a role and a bucket in an account of its own.

use fake_aws::{
    AwsSettings, FakeAws, StorageKind,
    iam::{IamRole, IamUser, Policy},
};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};
use tokio::time::sleep;

const TENANTS: usize = 200;
/// The limit of the command.
const AT_ONCE: u64 = 8;
/// Connections opened in all. Verifications share them, and each has one request in flight. A request that is refused before
/// its body has arrived costs its connection.
const MAX_CONNECTIONS: u64 = 5 * AT_ONCE;
/// Far less than eight copies of all that a verification stores, beside what the debug build needs for itself.
const MAX_KIB: u64 = 160 << 10;
const VENDOR: &str = "111122223333";

fn account(number: usize) -> String {
    format!("4444{number:08}")
}

/// The role of a tenant. Those of every tenth don't ask for the external ID.
fn role(number: usize) -> IamRole {
    let (account, bucket) = (account(number), format!("exchange-{number}"));
    let condition = if is_open(number) {
        String::new()
    } else {
        format!(r#","Condition":{{"StringEquals":{{"sts:ExternalId":"wh-{number}"}}}}"#)
    };
    let trust = format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":"arn:aws:iam::{VENDOR}:user/server"}},
            "Action":"sts:AssumeRole"{condition}}}]}}"#
    );
    let policy = format!(
        r#"{{"Version":"2012-10-17","Statement":[
            {{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"]}}]}}"#
    );
    IamRole {
        account: account.parse().unwrap(),
        name: "wharfinger".to_owned(),
        trust: trust.parse().unwrap(),
        policy: policy.parse().unwrap(),
        max_session: IamRole::DEFAULT_MAX_SESSION,
    }
}

fn is_open(number: usize) -> bool {
    number.is_multiple_of(10)
}

fn tenant(number: usize, endpoint: &str) -> String {
    let account = account(number);
    format!(
        r#"name = "tenant-{number:03}"
[storage]
bucket = "exchange-{number}"
prefix = "sftp/"
region = "us-east-1"
endpoint = "{endpoint}"
path_style = true
expected_bucket_owner = "{account}"
[storage.assume_role]
role_arn = "arn:aws:iam::{account}:role/wharfinger"
external_id = "wh-{number}"
sts_endpoint = "{endpoint}"
accept_role_without_external_id = false
[storage.credentials]
access_key_id = "server"
secret_access_key_file = "s3.secret"
[[users]]
name = "user-{number}"
public_keys = ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEq8RyIsqly+NOdURTH8r6PYN0Y4TsqnLAztIL+R8XuX"]
"#
    )
}

async fn aws() -> FakeAws {
    let server = IamUser {
        account: VENDOR.parse().unwrap(),
        name: "server".to_owned(),
        access_key_id: "server".to_owned(),
        secret_access_key: "secret".to_owned(),
        policy: Policy::everything(),
    };
    let bucket = |number| (format!("exchange-{number}"), account(number).parse().unwrap());
    FakeAws::start(AwsSettings {
        listen: ([127, 0, 0, 1], 0).into(),
        users: vec![server],
        roles: (0..TENANTS).map(role).collect(),
        buckets: (0..TENANTS).map(bucket).collect(),
        bucket_settings: BTreeMap::new(),
        access_points: Vec::new(),
        session_lifetime: None,
        storage: StorageKind::Memory { max_bytes: 256 << 20 },
    })
    .await
    .unwrap()
}

fn write_config(directory: &Path, endpoint: &str) {
    fs::create_dir(directory.join("tenants")).unwrap();
    let server = format!("server_principal = \"arn:aws:iam::{VENDOR}:user/server\"\n");
    fs::write(directory.join("wharfinger.toml"), server).unwrap();
    fs::write(directory.join("tenants/s3.secret"), "secret").unwrap();
    for number in 0..TENANTS {
        fs::write(directory.join(format!("tenants/tenant-{number:03}.toml")), tenant(number, endpoint)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_tenants_are_verified_within_bounds() {
    let (aws, directory) = (aws().await, tempfile::tempdir().unwrap());
    write_config(directory.path(), &format!("http://{}", aws.address));
    let mut command = Command::new(env!("CARGO_BIN_EXE_wharfinger"));
    let child = command
        .args(["tenant", "verify", "--all", "--json", "--config", "wharfinger.toml"])
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let finished = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap());
    let mut peak = 0;
    while !finished.is_finished() {
        // A process that has just ended has no memory any more.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let now = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"));
        peak = peak.max(now.map_or(0, |kib| kib.trim().parse::<u64>().unwrap()));
        sleep(Duration::from_millis(20)).await;
    }
    let output = finished.await.unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    let reports: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let names: Vec<&str> = reports.iter().map(|report| report["tenant"].as_str().unwrap()).collect();
    assert_eq!(names, (0..TENANTS).map(|number| format!("tenant-{number:03}")).collect::<Vec<_>>());
    for (number, report) in reports.iter().enumerate() {
        let steps = report["steps"].as_array().unwrap().iter();
        let failed: Vec<&Value> = steps.filter(|step| step["outcome"] != "proved").map(|step| &step["step"]).collect();
        let expected: &[&str] = if is_open(number) { &["no_external_id", "wrong_external_id"] } else { &[] };
        assert_eq!(failed, expected, "{number}: {report}");
        assert_eq!(report["proved"], !is_open(number));
        assert!(aws.objects(&format!("exchange-{number}")).unwrap().is_empty());
    }
    let connections = aws.connections();
    assert!((1..=MAX_CONNECTIONS).contains(&connections), "{connections} connections");
    assert!((1..=MAX_KIB).contains(&peak), "{peak} KiB");
}
