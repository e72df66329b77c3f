//! Checks that the SDK can send requests to a bucket, before a client for it exists.

use crate::account::Storage;
use aws_sdk_s3::config::endpoint::{DefaultResolver, Params, ResolveEndpoint as _};
use futures_util::FutureExt as _;
use std::net::Ipv4Addr;

/// The reason why no request can reach a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InvalidBucket {
    /// S3 creates no bucket of this name.
    #[error(
        "is no name that S3 gives to a bucket; it takes 3 to 63 lower-case letters, digits, `-` and `.`, which begins and \
         ends with a letter or a digit, has no two dots in a row and is no IP address"
    )]
    Name,
    /// The SDK can't determine an endpoint for the bucket.
    #[error("no request can be sent to it: {0}")]
    Unreachable(String),
}

/// Checks that requests can be sent to the bucket. Sends none.
///
/// # Errors
/// If no bucket in AWS can have the name, or if the SDK would fail on every request.
pub(crate) fn check_bucket(storage: &Storage) -> Result<(), InvalidBucket> {
    if storage.id.is_in_aws() && !storage.bucket.starts_with("arn:") && !is_aws_name(&storage.bucket, &storage.region) {
        return Err(InvalidBucket::Name);
    }
    let unreachable = |error: &dyn std::error::Error| InvalidBucket::Unreachable(error.to_string());
    // The same parameters that the client uses, which is made at the first request.
    let params = Params::builder()
        .bucket(&storage.bucket)
        .region(&storage.region)
        .set_endpoint(storage.endpoint.clone())
        .force_path_style(storage.path_style)
        .use_dual_stack(storage.address.dual_stack)
        .use_fips(storage.address.fips)
        .build()
        .map_err(|error| unreachable(&error))?;
    let resolver = DefaultResolver::new();
    let endpoint = resolver.resolve_endpoint(&params).now_or_never();
    endpoint.transpose().map(drop).map_err(|error| unreachable(&*error))
}

/// True for a name that a bucket in AWS can have. Prefixes and suffixes that S3 reserved later are accepted: a bucket
/// may be older than the rule.
fn is_aws_name(name: &str, region: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    // Until 2018 S3 accepted more names in us-east-1, and those buckets still exist.
    if region == "us-east-1" {
        return (3..=255).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    }
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| is_word(byte) || b"-.".contains(&byte))
        && [name.bytes().next(), name.bytes().last()].iter().flatten().all(|byte| is_word(*byte))
        && !name.contains("..")
        && name.parse::<Ipv4Addr>().is_err()
}
