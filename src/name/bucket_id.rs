//! The identity of a bucket. It is the same on every node and after every restart.

use serde::{Serialize, Serializer};
use std::fmt;

/// A bucket's name and the store that the name belongs to. It excludes credentials: two tenants in one bucket have one
/// id.
///
/// A bucket that also has another name, such as an access point's, has another id under that name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(String);

impl BucketId {
    /// Returns the id of the bucket `name` at `endpoint`; `None` stands for AWS's own endpoints.
    ///
    /// In AWS a bucket's name means one bucket at every endpoint. Another store's names are its own, so the id begins
    /// with the store's host, and with its port unless that is the scheme's default.
    #[must_use]
    pub fn new(name: &str, endpoint: Option<&str>) -> Self {
        endpoint.and_then(foreign_host).map_or_else(|| Self(name.to_owned()), |host| Self::in_store(&host, name))
    }

    /// Returns the id of the bucket `name` in the store named `store`, independently of the store's current address.
    #[must_use]
    pub(crate) fn in_store(store: &str, name: &str) -> Self {
        // No host contains a slash, and an access point's ARN contains one only behind its first colon.
        Self(format!("//{store}/{name}"))
    }

    /// Returns the id that was recorded as `id`.
    #[must_use]
    pub(crate) fn recorded(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// True if the bucket is in AWS, false for another store.
    #[must_use]
    pub(crate) fn is_in_aws(&self) -> bool {
        !self.0.starts_with("//")
    }

    /// Returns the id in its recorded form.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for BucketId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl fmt::Display for BucketId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns the host of an endpoint that isn't AWS's.
fn foreign_host(endpoint: &str) -> Option<String> {
    let endpoint = endpoint.to_ascii_lowercase();
    let (scheme, host) = endpoint.trim_end_matches('/').split_once("://")?;
    let own_port = if scheme == "https" { ":443" } else { ":80" };
    let host = host.strip_suffix(own_port).unwrap_or(host);
    let is_aws = [".amazonaws.com", ".amazonaws.com.cn"].iter().any(|domain| host.ends_with(domain));
    (!is_aws).then(|| host.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    // S90: A bucket that is reached under two names has two ids, and what is set under one isn't seen under the other.
    #[test]
    fn a_name_means_one_bucket_in_aws_and_another_in_every_other_store() {
        let id = |endpoint| BucketId::new("files", endpoint).to_string();
        for aws in
            [None, Some("https://s3.eu-central-1.amazonaws.com"), Some("https://s3.cn-north-1.amazonaws.com.cn/")]
        {
            assert_eq!(id(aws), "files", "{aws:?}");
            assert!(BucketId::new("files", aws).is_in_aws());
        }
        for same in ["https://S3.example.com", "https://s3.example.com:443/"] {
            assert_eq!(id(Some(same)), "//s3.example.com/files", "{same}");
            assert!(!BucketId::new("files", Some(same)).is_in_aws());
        }
        assert_eq!(id(Some("http://127.0.0.1:8333")), "//127.0.0.1:8333/files");
        assert_eq!(id(Some("http://s3.example.com:443")), "//s3.example.com:443/files");
    }
}
