//! The documents as a shell script for the AWS CLI.
//!
//! Source: AWS CLI command reference, `iam create-role`, `iam put-role-policy`, `s3api put-*`.

use super::{
    tenant_documents::{BucketDocuments, NoDocuments, TenantDocuments},
    text::{json, shell},
};

/// Returns a POSIX script that makes the role, or brings it up to date. If the bucket is known, the script can also
/// replace its settings.
pub(super) fn script(documents: &TenantDocuments) -> Result<String, NoDocuments> {
    let role = documents.role()?;
    let bucket = documents.bucket.as_ref();
    let usage = bucket.map_or("sh FILE", |_| "sh FILE [--configure-bucket]");
    let parameters = bucket.map_or("", |_| USAGE_OF_BUCKET);
    let arguments = bucket.map_or("''", |_| "'' | --configure-bucket");
    let commands = format!(
        r#"#!/bin/sh
# Makes the role that admits the file exchange server of {tenant}, or brings it up to date.
# Run it with credentials of the account {account}: {usage}
{parameters}set -eu
export AWS_PAGER=''

case "$*" in
{arguments}) ;;
*)
  echo "usage: {usage}" >&2
  exit 2
  ;;
esac

account=$(aws sts get-caller-identity --query Account --output text)
if [ "$account" != '{account}' ]; then
  echo "these credentials are of the account $account, and the role belongs to {account}" >&2
  exit 1
fi

trust_policy() {{
  cat <<'JSON'
{trust}
JSON
}}

permissions_policy() {{
  cat <<'JSON'
{permissions}
JSON
}}

# Without the permission to look, create-role says if the role exists.
arn=$(aws iam get-role --role-name {name} --query Role.Arn --output text 2>/dev/null || true)
case "$arn" in
'')
  aws iam create-role --role-name {name} --path {path} --max-session-duration 3600 \
    --assume-role-policy-document "$(trust_policy)" >/dev/null
  ;;
{arn})
  aws iam update-assume-role-policy --role-name {name} --policy-document "$(trust_policy)"
  ;;
*)
  echo "another role has this name, $arn: nothing was changed" >&2
  exit 1
  ;;
esac
aws iam put-role-policy --role-name {name} --policy-name {policy_name} --policy-document "$(permissions_policy)"
"#,
        tenant = documents.tenant,
        account = role.arn.account(),
        arn = shell(role.arn.as_str()),
        trust = json(&role.trust_policy),
        permissions = json(&documents.permissions_policy),
        name = shell(&role.name),
        path = shell(&role.path),
        policy_name = shell(&documents.policy_name()),
    );
    let done = format!("echo {}\n", shell(&format!("the role is {}", role.arn)));
    Ok(commands + &bucket.map(of_bucket).unwrap_or_default() + &done)
}

const USAGE_OF_BUCKET: &str = "# With --configure-bucket it also replaces the bucket's public access block, its policy and \
                               all of its\n# lifecycle rules.\n";

/// Returns the commands for the settings of a bucket.
fn of_bucket(bucket: &BucketDocuments) -> String {
    let settings = bucket.public_access_block.iter().map(|(setting, value)| format!("{setting}={value}"));
    let blocks = settings.collect::<Vec<_>>().join(",");
    format!(
        r#"
bucket_policy() {{
  cat <<'JSON'
{policy}
JSON
}}

lifecycle() {{
  cat <<'JSON'
{lifecycle}
JSON
}}

if [ "${{1:-}}" = --configure-bucket ]; then
  aws s3api put-public-access-block --bucket {name} --public-access-block-configuration {blocks}
  aws s3api put-bucket-policy --bucket {name} --policy "$(bucket_policy)"
  aws s3api put-bucket-lifecycle-configuration --bucket {name} --lifecycle-configuration "$(lifecycle)"
fi
"#,
        policy = json(&bucket.policy),
        lifecycle = json(&bucket.lifecycle),
        name = shell(&bucket.name),
    )
}
