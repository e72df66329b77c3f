//! The S3 behaves as AWS's does, in memory and in a directory, seen through the SDK.

mod access;
mod conditions;
mod durable;
mod lists;
mod multipart;
mod objects;
mod tags;

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    error::{ProvideErrorMetadata, SdkError},
    operation::get_object::GetObjectOutput,
    primitives::ByteStream,
};
use bytes::Bytes;
use fake_aws::{AwsSettings, FakeAws, StorageKind};
use std::{fmt::Debug, path::Path};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const BUCKET: &str = "vendor";
const SECRET: &str = "a-secret";

/// A running S3 and a client for it.
struct S3Site {
    s3: FakeAws,
    client: Client,
}

impl S3Site {
    async fn start(storage: StorageKind) -> Self {
        let settings = AwsSettings::one_user("AKDEMO", SECRET, &[BUCKET], storage);
        let s3 = FakeAws::start(settings).await.unwrap();
        let client = client(&s3, SECRET);
        Self { s3, client }
    }

    async fn in_memory() -> Self {
        Self::start(StorageKind::Memory { max_bytes: 64 << 20 }).await
    }

    async fn in_directory(path: &Path) -> Self {
        Self::start(StorageKind::Directory(path.to_owned())).await
    }

    async fn put(&self, key: &str, body: impl Into<Bytes>) -> String {
        let put = self.client.put_object().bucket(BUCKET).key(key).body(ByteStream::from(body.into()));
        put.send().await.unwrap().e_tag.unwrap()
    }

    async fn read(&self, key: &str) -> Bytes {
        bytes(self.client.get_object().bucket(BUCKET).key(key).send().await.unwrap()).await
    }
}

fn client(s3: &FakeAws, secret: &str) -> Client {
    client_of(&s3.address.to_string(), secret)
}

pub(crate) fn client_of(address: &str, secret: &str) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(format!("http://{address}"))
        .force_path_style(true)
        .credentials_provider(Credentials::new("AKDEMO", secret, None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// Returns the whole answer to a request, such as `GET /bucket`, without further headers.
pub(crate) async fn answer(s3: &FakeAws, request: &str) -> String {
    let mut stream = TcpStream::connect(s3.address).await.unwrap();
    let request = format!("{request} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", s3.address);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

async fn bytes(answer: GetObjectOutput) -> Bytes {
    answer.body.collect().await.unwrap().into_bytes()
}

/// Returns S3's code and the HTTP status of a request that must fail.
pub(crate) fn refusal<T: Debug, E: ProvideErrorMetadata + Debug>(
    answer: Result<T, SdkError<E, aws_smithy_runtime_api::http::Response>>,
) -> (String, u16) {
    let error = answer.expect_err("S3 refuses this");
    let status = error.raw_response().expect("S3 answers").status().as_u16();
    (error.code().unwrap_or_default().to_owned(), status)
}

/// The expected value of [`refusal`].
pub(crate) fn is(code: &str, status: u16) -> (String, u16) {
    (code.to_owned(), status)
}

/// Returns bytes in which every MiB differs: no power of two is a multiple of the pattern's odd length.
fn pattern(len: usize) -> Bytes {
    let block: Vec<u8> = (0..10_007_usize).map(|at| (at ^ (at >> 8)).to_le_bytes()[0]).collect();
    let mut bytes = block.repeat(len / block.len() + 1);
    bytes.truncate(len);
    bytes.into()
}

/// Runs a test against both storages.
macro_rules! in_memory_and_in_a_directory {
    ($($(#[$attribute:meta])* async fn $name:ident($site:ident: &S3Site) $body:block)*) => {$(
        $(#[$attribute])*
        #[tokio::test]
        async fn $name() {
            async fn test($site: &S3Site) $body
            let site = S3Site::in_memory().await;
            test(&site).await;
            site.s3.stop().await;
            let directory = tempfile::tempdir().unwrap();
            let site = S3Site::in_directory(directory.path()).await;
            test(&site).await;
            site.s3.stop().await;
        }
    )*};
}
use in_memory_and_in_a_directory;
