//! The program serves the levers over HTTP, and they move the S3 beside them.

use crate::s3::{client_of, is, refusal};
use aws_sdk_s3::{Client, primitives::ByteStream};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The KMS key of the bucket `keyed`.
const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/1234abcd";

/// The running program, and a client of its S3.
struct Program {
    child: Child,
    client: Client,
    endpoint: String,
    levers: String,
    _directory: tempfile::TempDir,
}

impl Program {
    fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let settings = json!({
            "users": [{"name": "u", "access_key_id": "AKDEMO", "secret_access_key": "secret"}],
            "buckets": [{"name": "vendor"}, {"name": "keyed", "kms_key": KEY, "bucket_key": true, "public_read": true}],
        });
        let file = directory.path().join("settings.json");
        std::fs::write(&file, settings.to_string()).unwrap();
        // At run time: the shell that wraps rustc passes no variable with a dash on.
        let binary = std::env::var_os("CARGO_BIN_EXE_fake-aws").unwrap();
        let mut child = Command::new(binary).arg(&file).stdout(Stdio::piped()).spawn().unwrap();
        let line = BufReader::new(child.stdout.take().unwrap()).lines().next().unwrap().unwrap();
        let addresses: Value = serde_json::from_str(&line).unwrap();
        let address = |name: &str| addresses[name].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self {
            child,
            client: client_of(&address("endpoint"), "secret"),
            endpoint: address("endpoint"),
            levers: address("levers"),
            _directory: directory,
        }
    }

    /// Returns the status and the body of the answer.
    async fn lever(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut connection = TcpStream::connect(&self.levers).await.unwrap();
        let length = body.len();
        let request = format!(
            "{method} /{path} HTTP/1.1\r\nHost: levers\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
        );
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    async fn json(&self, path: &str) -> Value {
        let (status, body) = self.lever("GET", path, "").await;
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    async fn faults(&self, faults: Value) {
        assert_eq!(self.lever("PUT", "faults", &faults.to_string()).await, (204, String::new()));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn objects_are_set_and_read_without_the_protocol() {
    let program = Program::start();
    assert_eq!(program.lever("PUT", "objects/vendor/a%2F%C3%BC%20b", "bytes").await.0, 204);
    assert_eq!(program.lever("PUT", "objects/vendor/zeros?zeros=10737418240", "").await.0, 204);
    assert_eq!(program.json("objects/vendor").await, json!({"a/ü b": 5, "zeros": 10_737_418_240_u64}));
    let read = |key: &str| program.client.get_object().bucket("vendor").key(key);
    let whole = read("a/ü b").send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(whole.into_bytes(), "bytes");
    let end = read("zeros").range("bytes=10735321088-").send().await.unwrap().body.collect().await.unwrap();
    assert_eq!(end.into_bytes(), vec![0; 2 << 20]);
    assert_eq!(program.lever("GET", "objects/vendor/a%2F%C3%BC%20b", "").await, (200, "bytes".to_owned()));
    assert_eq!(program.lever("DELETE", "objects/vendor/zeros", "").await.0, 204);
    assert_eq!(program.lever("GET", "objects/vendor/zeros", "").await.0, 400);

    program.client.create_multipart_upload().bucket("vendor").key("open").send().await.unwrap();
    assert_eq!(program.json("uploads/vendor").await[0][0], "open");
    let counts = program.json("requests").await["counts"].clone();
    assert_eq!(counts, json!({"CreateMultipartUpload": 1, "GetObject": 2}), "levers aren't requests");
}

#[tokio::test]
async fn faults_hit_the_requests_that_they_are_about() {
    let program = Program::start();
    let put = async |key: &str| {
        program.client.put_object().bucket("vendor").key(key).body(ByteStream::from_static(b"x")).send().await
    };
    program
        .faults(
            json!([{"key": "*/"}, {"operations": ["PutObject"], "failure": "InsufficientStorage", "message": "no"}]),
        )
        .await;
    put("directory/").await.unwrap();
    let error = put("directory/file").await.unwrap_err();
    assert!(format!("{error:?}").contains("no"), "{error:?}");
    assert_eq!(refusal(put("file").await), is("InsufficientStorage", 507));
    program.faults(json!([{"failure": "SlowDown", "times": 1}])).await;
    assert_eq!(refusal(put("file").await), is("SlowDown", 503));
    put("file").await.unwrap();
    program.faults(json!([])).await;

    let (status, sentence) = program.lever("PUT", "faults", r#"[{"failure": "Sorry"}]"#).await;
    assert!(status == 400 && sentence.contains("unknown variant `Sorry`"), "{sentence}");
    assert_eq!(program.lever("PUT", "no-lever", "").await.0, 404);
    for endpoint in ["\"vpce-0123456789abcdef0\"", "null"] {
        assert_eq!(program.lever("PUT", "source-vpce", endpoint).await, (204, String::new()));
    }
    let record = program.json("requests").await["record"].clone();
    assert_eq!(record[0]["operation"], "PutObject");
    assert_eq!(record[0]["key"], "directory/");
    assert_eq!(program.lever("DELETE", "requests", "").await.0, 204);
    assert_eq!(program.json("requests").await, json!({"counts": {}, "record": []}));
}

#[tokio::test]
async fn a_hang_up_closes_idle_connections() {
    let program = Program::start();
    let endpoint = program.endpoint.clone();
    let mut idle = TcpStream::connect(endpoint).await.unwrap();
    // An answer shows that the server has accepted the connection.
    idle.write_all(b"GET /vendor HTTP/1.1\r\nHost: s3\r\n\r\n").await.unwrap();
    let mut byte = [0];
    idle.read_exact(&mut byte).await.unwrap();
    assert_eq!(program.lever("POST", "hang-up", "").await.0, 204);
    let mut rest = Vec::new();
    // The end may be orderly or a reset: both close the connection.
    let _ = idle.read_to_end(&mut rest).await;
    program.client.head_bucket().bucket("vendor").send().await.unwrap();
}

#[tokio::test]
async fn keys_and_the_clock_of_the_program_can_be_wrong() {
    let program = Program::start();
    let put = || program.client.put_object().bucket("keyed").key("a").body(ByteStream::from_static(b"x")).send();
    let answer = put().await.unwrap();
    assert_eq!((answer.ssekms_key_id(), answer.bucket_key_enabled()), (Some(KEY), Some(true)));
    let moved = (204, String::new());
    assert_eq!(program.lever("PUT", "disabled-kms-keys", &json!([KEY]).to_string()).await, moved);
    assert_eq!(refusal(put().await), is("KMS.DisabledException", 400));
    assert_eq!(program.lever("PUT", "disabled-kms-keys", "[]").await, moved);
    put().await.unwrap();
    let (status, sentence) = program.lever("PUT", "disabled-kms-keys", "[\"alias/a\"]").await;
    assert!(status == 400 && sentence.contains("is no ARN of a KMS key"), "{sentence}");
    assert_eq!(program.lever("PUT", "clock-offset-seconds", "-960").await, moved);
    assert_eq!(refusal(client_of(&program.endpoint, "secret").list_buckets().send().await).0, "RequestTimeTooSkewed");
    assert_eq!(program.lever("PUT", "clock-offset-seconds", "0").await, moved);
    client_of(&program.endpoint, "secret").list_buckets().send().await.unwrap();
}
