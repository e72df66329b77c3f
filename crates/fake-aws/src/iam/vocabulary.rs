//! The actions and condition keys that a policy may name. Unknown words are refused: a policy with a typo would
//! silently mean something else.

/// Known actions, in AWS's spelling.
const ACTIONS: &[&str] = &[
    "iam:CreateRole",
    "iam:DeleteRole",
    "iam:DeleteRolePolicy",
    "iam:GetRole",
    "iam:GetRolePolicy",
    "iam:PutRolePolicy",
    "iam:UpdateAssumeRolePolicy",
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "s3:AbortMultipartUpload",
    "s3:CreateBucket",
    "s3:DeleteBucket",
    "s3:DeleteObject",
    "s3:DeleteObjectTagging",
    "s3:DeleteObjectVersion",
    "s3:GetBucketLocation",
    "s3:GetBucketVersioning",
    "s3:GetObject",
    "s3:GetObjectAcl",
    "s3:GetObjectAttributes",
    "s3:GetObjectTagging",
    "s3:GetObjectVersion",
    "s3:GetObjectVersionTagging",
    "s3:ListAllMyBuckets",
    "s3:ListBucket",
    "s3:ListBucketMultipartUploads",
    "s3:ListBucketVersions",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
    "s3:PutObjectAcl",
    "s3:PutObjectTagging",
    "s3:RestoreObject",
    "sts:AssumeRole",
    "sts:GetCallerIdentity",
    "sts:SetSourceIdentity",
    "sts:TagSession",
];

/// Known condition keys, in AWS's spelling. A key that ends in `/` stands for every key with that prefix.
const CONDITION_KEYS: &[&str] = &[
    "aws:RequestTag/",
    "aws:SourceVpce",
    "kms:EncryptionContext:aws:s3:arn",
    "kms:ViaService",
    "s3:DataAccessPointAccount",
    "s3:DataAccessPointArn",
    "s3:ResourceAccount",
    "s3:delimiter",
    "s3:max-keys",
    "s3:prefix",
    "s3:x-amz-acl",
    "sts:ExternalId",
    "sts:RoleSessionName",
    "sts:SourceIdentity",
];

/// Returns all known actions.
pub(crate) fn actions() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().copied()
}

/// True if a condition may test `key`. Case doesn't matter.
pub(crate) fn is_condition_key(key: &str) -> bool {
    CONDITION_KEYS.iter().any(|known| match known.strip_suffix('/') {
        Some(family) => {
            key.split_once('/').is_some_and(|(head, tag)| head.eq_ignore_ascii_case(family) && !tag.is_empty())
        }
        None => key.eq_ignore_ascii_case(known),
    })
}
