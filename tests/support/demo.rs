//! The demo's buckets, seen with all rights.

use aws_credential_types::Credentials;
use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Region, retry::RetryConfig},
};
use std::net::SocketAddr;
use wharfinger::demo::{Demo, s3::Levers};

/// A client of an S3 on loopback.
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

/// Each bucket with its tenant (`None`: the first name below the prefix says which), and a client that may do everything
/// in its account.
pub fn places(s3: SocketAddr) -> [(&'static str, Option<&'static str>, &'static str, Client); 2] {
    let client = |user, secret| client(&format!("http://{s3}"), Credentials::new(user, secret, None, None, "test"));
    [
        ("wharfinger-demo", None, "tenants/", client("demo", "demo-secret")),
        ("globex-exchange", Some("globex"), "", client("globex", "globex-secret")),
    ]
}

/// The S3 of a demo that runs.
pub struct Watch(Levers);

impl Watch {
    /// Before it runs.
    pub fn of(demo: &Demo) -> Self {
        Self((**demo.s3()).clone())
    }

    /// How many requests of an operation came.
    pub fn requests(&self, operation: &str) -> u64 {
        self.0.requests().get(operation).copied().unwrap_or_default()
    }

    /// What else it can be made to do.
    pub fn s3(&self) -> &Levers {
        &self.0
    }
}
