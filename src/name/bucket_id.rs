//! Which bucket is meant, in words that are the same on every node and after every restart.

use serde::{Serialize, Serializer};
use std::fmt;

/// A bucket and the store that knows it by its name. Not its credentials: two tenants in one bucket have one id.
///
/// A bucket that is also reached under another name, such as an access point's, has another id there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BucketId(String);

impl BucketId {
    /// The bucket `name`, reached at `endpoint`; `None` is AWS's own.
    ///
    /// Whichever of AWS's endpoints is asked, a bucket's name means one bucket. Another store's names are its own, and
    /// stand behind its host, with the port unless that is the scheme's own.
    #[must_use]
    pub fn new(name: &str, endpoint: Option<&str>) -> Self {
        endpoint.and_then(foreign_host).map_or_else(|| Self(name.to_owned()), |host| Self::in_store(&host, name))
    }

    /// The bucket `name` of the store that is called `store`, wherever that is reached today.
    #[must_use]
    pub fn in_store(store: &str, name: &str) -> Self {
        // No host holds a slash, and the ARN of an access point holds one only behind its first colon.
        Self(format!("//{store}/{name}"))
    }

    /// The id that was written down as `id`.
    #[must_use]
    pub fn recorded(id: &str) -> Self {
        Self(id.to_owned())
    }

    /// Whether it lies in AWS, and not in another store.
    #[must_use]
    pub fn is_in_aws(&self) -> bool {
        !self.0.starts_with("//")
    }

    /// The id as it is written down.
    #[must_use]
    pub fn as_str(&self) -> &str {
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

/// The host of an endpoint that isn't AWS's.
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
