//! The permission that each operation requires, one row each. An operation without a row is refused to every caller.

/// The kind of resource that an action applies to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// The account as a whole.
    Account,
    Bucket,
    /// The listing of a prefix in a bucket, judged once the prefix is parsed.
    Listing,
    /// An object, which may not exist.
    Object,
    /// Several objects, each judged once its key is parsed.
    Keys,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct S3Operation {
    /// IAM's name of the action.
    pub(crate) action: &'static str,
    pub(crate) on: On,
    /// True if an access point can stand in the bucket's place.
    pub(crate) through_access_points: bool,
}

/// Rows by the operation names that S3 and s3s use.
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
    // The gate's hook judges the source.
    ("CopyObject", "s3:PutObject", On::Object),
    // The gate also judges tags and ACLs that a PutObject, a CopyObject or a CreateMultipartUpload brings.
    ("GetObjectTagging", "s3:GetObjectTagging", On::Object),
    ("PutObjectTagging", "s3:PutObjectTagging", On::Object),
    ("DeleteObjectTagging", "s3:DeleteObjectTagging", On::Object),
    ("DeleteObject", "s3:DeleteObject", On::Object),
    ("DeleteObjects", "s3:DeleteObject", On::Keys),
    ("CreateMultipartUpload", "s3:PutObject", On::Object),
    ("UploadPart", "s3:PutObject", On::Object),
    // The gate's hook judges the source.
    ("UploadPartCopy", "s3:PutObject", On::Object),
    ("CompleteMultipartUpload", "s3:PutObject", On::Object),
    ("AbortMultipartUpload", "s3:AbortMultipartUpload", On::Object),
    ("ListParts", "s3:ListMultipartUploadParts", On::Object),
    ("ListMultipartUploads", "s3:ListBucketMultipartUploads", On::Bucket),
];

/// The operations that don't work through an access point: S3's API reference doesn't offer them one.
const ON_BUCKETS_ALONE: [&str; 2] = ["CreateBucket", "GetBucketVersioning"];

impl S3Operation {
    /// Returns the row of an operation.
    pub(crate) fn named(wanted: &str) -> Option<Self> {
        OPERATIONS.iter().find(|(name, ..)| *name == wanted).map(|(name, action, on)| Self {
            action,
            on: *on,
            through_access_points: !ON_BUCKETS_ALONE.contains(name),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// Converts `head_object` to S3's `HeadObject`.
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
        assert!(S3Operation::named("PostObject").is_none());
    }

    #[test]
    fn policies_may_name_every_action() {
        for (name, action, _) in OPERATIONS {
            let policy = format!(
                r#"{{"Version": "2012-10-17", "Statement": {{"Effect": "Allow", "Action": "{action}", "Resource": "*"}}}}"#
            );
            assert!(policy.parse::<crate::iam::Policy>().is_ok(), "{name}");
        }
    }
}
