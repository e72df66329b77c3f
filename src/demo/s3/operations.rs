//! What an operation needs permission for. One row each: an operation without a row is denied to everyone.

/// What an action is done to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// The account, whatever it holds.
    Account,
    /// A bucket.
    Bucket,
    /// A bucket, of which a prefix is listed: judged when the prefix is known.
    Listing,
    /// An object, which may not be there.
    Object,
    /// Several objects: each is judged when its name is known.
    Keys,
}

/// An operation's row.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// As IAM calls it.
    pub action: &'static str,
    pub on: On,
}

/// By the names that S3 and s3s give them.
const OPERATIONS: &[(&str, &str, On)] = &[
    ("ListBuckets", "s3:ListAllMyBuckets", On::Account),
    ("HeadBucket", "s3:ListBucket", On::Bucket),
    ("CreateBucket", "s3:CreateBucket", On::Bucket),
    ("GetBucketVersioning", "s3:GetBucketVersioning", On::Bucket),
    ("GetBucketLocation", "s3:GetBucketLocation", On::Bucket),
    ("ListObjects", "s3:ListBucket", On::Listing),
    ("ListObjectsV2", "s3:ListBucket", On::Listing),
    ("HeadObject", "s3:GetObject", On::Object),
    ("GetObject", "s3:GetObject", On::Object),
    ("PutObject", "s3:PutObject", On::Object),
    // Its source is judged beside it.
    ("CopyObject", "s3:PutObject", On::Object),
    ("DeleteObject", "s3:DeleteObject", On::Object),
    ("DeleteObjects", "s3:DeleteObject", On::Keys),
    ("CreateMultipartUpload", "s3:PutObject", On::Object),
    ("UploadPart", "s3:PutObject", On::Object),
    // Its source is judged beside it.
    ("UploadPartCopy", "s3:PutObject", On::Object),
    ("CompleteMultipartUpload", "s3:PutObject", On::Object),
    ("AbortMultipartUpload", "s3:AbortMultipartUpload", On::Object),
    ("ListParts", "s3:ListMultipartUploadParts", On::Object),
    ("ListMultipartUploads", "s3:ListBucketMultipartUploads", On::Bucket),
];

impl Operation {
    /// The row of an operation.
    pub fn named(wanted: &str) -> Option<Self> {
        OPERATIONS.iter().find(|(name, ..)| *name == wanted).map(|(_, action, on)| Self { action, on: *on })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// `head_object` as S3 says it.
    fn in_s3s_words(function: &str) -> String {
        let words = function.split('_').map(|word| format!("{}{}", word[..1].to_uppercase(), &word[1..]));
        words.collect::<String>()
    }

    #[test]
    fn every_operation_that_is_served_has_one_row_and_nothing_else_has() {
        let source = include_str!("service.rs");
        let functions = source.split("async fn ").skip(1).map(|rest| rest.split('(').next().unwrap());
        let served: BTreeSet<String> = functions.map(in_s3s_words).collect();
        assert!(served.len() > 10 && served.contains("ListObjectsV2"), "{served:?}");
        let rows: Vec<String> = OPERATIONS.iter().map(|(name, ..)| (*name).to_owned()).collect();
        assert_eq!(rows.len(), served.len());
        assert_eq!(rows.into_iter().collect::<BTreeSet<_>>(), served);
        assert!(Operation::named("PostObject").is_none());
    }

    #[test]
    fn policies_may_name_every_action() {
        for (name, action, _) in OPERATIONS {
            let policy = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
            );
            assert!(policy.parse::<crate::demo::iam::Policy>().is_ok(), "{name}");
        }
    }
}
