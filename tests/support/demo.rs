//! The demo's buckets, seen with full access.

use super::loopback::LoopbackClient;
use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
};
use fake_aws::Levers;
use std::net::SocketAddr;
use wharfinger::demo::Demo;

/// Returns a client of an S3 on loopback.
pub fn client(endpoint: &str, credentials: Credentials) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .http_client(aws_smithy_http_client::Builder::new().build_http());
    Client::from_conf(config.build())
}

/// Returns a client that addresses buckets in AWS by their hosts, and reaches the S3 at `server`.
pub fn client_by_host(server: SocketAddr, credentials: Credentials) -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(credentials)
        .retry_config(RetryConfig::disabled())
        .http_client(LoopbackClient::new(server));
    Client::from_conf(config.build())
}

/// Returns each bucket with its tenant, its prefix, and a client with full access to its account. Without a tenant, the
/// first name below the prefix is the tenant.
pub fn places(s3: SocketAddr) -> [(&'static str, Option<&'static str>, &'static str, Client); 2] {
    let client = |user, secret| client(&format!("http://{s3}"), Credentials::new(user, secret, None, None, "test"));
    [
        ("wharfinger-demo", None, "tenants/", client("demo", "demo-secret")),
        ("globex-exchange", Some("globex"), "", client("globex", "globex-secret")),
    ]
}

/// The S3 of a running demo.
pub struct Watch(Levers);

impl Watch {
    /// Watches `demo`. Call it before `Demo::run`.
    pub fn of(demo: &Demo) -> Self {
        Self((**demo.s3()).clone())
    }

    /// Number of requests of an operation so far.
    pub fn requests(&self, operation: &str) -> u64 {
        self.0.requests().get(operation).copied().unwrap_or_default()
    }

    /// The other test hooks of the S3.
    pub fn s3(&self) -> &Levers {
        &self.0
    }
}
