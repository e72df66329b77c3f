//! The documents as a Terraform configuration.
//!
//! Source: Terraform registry, provider hashicorp/aws, resources `aws_iam_role`, `aws_iam_role_policy` and `aws_s3_bucket_*`.

use super::{
    tenant_documents::{BucketDocuments, NoDocuments, TenantDocuments},
    text::{hcl, indented},
};

/// Returns a configuration with the role. If the bucket is known, the configuration can also replace its settings.
pub(super) fn configuration(documents: &TenantDocuments) -> Result<String, NoDocuments> {
    let role = documents.role()?;
    let role_and_policy = format!(
        r#"# The role that admits the file exchange server of {tenant}.

terraform {{
  required_providers {{
    aws = {{
      source  = "hashicorp/aws"
      version = ">= 5.0"
    }}
  }}
}}

resource "aws_iam_role" "wharfinger" {{
  name                 = {name}
  path                 = {path}
  max_session_duration = 3600

  assume_role_policy = jsonencode({trust})
}}

resource "aws_iam_role_policy" "wharfinger" {{
  name = {policy_name}
  role = aws_iam_role.wharfinger.id

  policy = jsonencode({permissions})
}}

output "role_arn" {{
  description = "The ARN of the role, for the operator of the server"
  value       = aws_iam_role.wharfinger.arn
}}
"#,
        tenant = documents.tenant,
        name = hcl(&role.name),
        path = hcl(&role.path),
        trust = indented(&hcl(&role.trust_policy), 2),
        policy_name = hcl(&documents.policy_name()),
        permissions = indented(&hcl(&documents.permissions_policy), 2),
    );
    Ok(role_and_policy + &documents.bucket.as_ref().map(of_bucket).unwrap_or_default())
}

/// Returns the settings of a bucket. They are off unless the owner asks for them, because each replaces what the bucket
/// has. S3 refuses two changes of a bucket's access at once, so one waits for the other.
fn of_bucket(bucket: &BucketDocuments) -> String {
    format!(
        r#"
variable "configure_bucket" {{
  description = "true replaces the bucket's public access block, its policy and all of its lifecycle rules"
  type        = bool
  default     = false
}}

resource "aws_s3_bucket_public_access_block" "exchange" {{
  count = var.configure_bucket ? 1 : 0

  bucket                  = {name}
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}}

resource "aws_s3_bucket_policy" "exchange" {{
  count = var.configure_bucket ? 1 : 0

  bucket     = {name}
  depends_on = [aws_s3_bucket_public_access_block.exchange]

  policy = jsonencode({policy})
}}

resource "aws_s3_bucket_lifecycle_configuration" "exchange" {{
  count = var.configure_bucket ? 1 : 0

  bucket = {name}

  rule {{
    id     = {id}
    status = "Enabled"

    filter {{
      prefix = {prefix}
    }}

    abort_incomplete_multipart_upload {{
      days_after_initiation = {days}
    }}
  }}
}}
"#,
        name = hcl(&bucket.name),
        policy = indented(&hcl(&bucket.policy), 2),
        id = hcl(&bucket.lifecycle.id),
        prefix = hcl(&bucket.lifecycle.prefix),
        days = bucket.lifecycle.days,
    )
}
