//! The documents as a CloudFormation template.
//!
//! Source: CloudFormation user guide, "Template reference".

use super::{
    tenant_documents::{BucketDocuments, NoDocuments, TenantDocuments},
    text::{indented, utf8_json as json},
};

/// Returns a template with the role. If the bucket is known, the template can also make it, or replace its policy.
///
/// The template is UTF-8: cfn-lint takes no escapes of surrogate pairs. A fixed name of the role makes AWS ask for the
/// capability `CAPABILITY_NAMED_IAM`. Strings with `${…}` are safe, because the template has no `Fn::Sub`.
pub(super) fn template(documents: &TenantDocuments) -> Result<String, NoDocuments> {
    let role = documents.role()?;
    let TenantDocuments { tenant, permissions_policy, .. } = documents;
    let [parameters, resources] = documents.bucket.as_ref().map(of_bucket).unwrap_or_default();
    Ok(format!(
        r#"{{
  "AWSTemplateFormatVersion": "2010-09-09",
  "Description": "The role that admits the file exchange server of {tenant}",{parameters}
  "Resources": {{
    "WharfingerRole": {{
      "Type": "AWS::IAM::Role",
      "Properties": {{
        "RoleName": {name},
        "Path": {path},
        "MaxSessionDuration": 3600,
        "AssumeRolePolicyDocument": {trust},
        "Policies": [
          {{
            "PolicyName": {policy_name},
            "PolicyDocument": {permissions}
          }}
        ]
      }}
    }}{resources}
  }},
  "Outputs": {{
    "RoleArn": {{
      "Description": "The ARN of the role, for the operator of the server",
      "Value": {{ "Fn::GetAtt": ["WharfingerRole", "Arn"] }}
    }}
  }}
}}
"#,
        name = json(&role.name),
        path = json(&role.path),
        trust = indented(&json(&role.trust_policy), 8),
        policy_name = json(&documents.policy_name()),
        permissions = indented(&json(permissions_policy), 12),
    ))
}

/// Returns the parameters and the resources of a bucket. The bucket stays when the stack is deleted.
fn of_bucket(bucket: &BucketDocuments) -> [String; 2] {
    let BucketDocuments { name, policy, public_access_block, lifecycle } = bucket;
    let name = json(name);
    let parameters = r#"
  "Parameters": {
    "CreateBucket": {
      "Description": "true creates the bucket; false leaves an existing one as it is",
      "Type": "String",
      "AllowedValues": ["false", "true"],
      "Default": "false"
    },
    "ReplaceBucketPolicy": {
      "Description": "true replaces the policy of the bucket by one that refuses requests without TLS",
      "Type": "String",
      "AllowedValues": ["false", "true"],
      "Default": "false"
    }
  },
  "Conditions": {
    "CreatesBucket": { "Fn::Equals": [{ "Ref": "CreateBucket" }, "true"] },
    "ReplacesBucketPolicy": { "Fn::Equals": [{ "Ref": "ReplaceBucketPolicy" }, "true"] }
  },"#;
    let resources = format!(
        r#",
    "Bucket": {{
      "Type": "AWS::S3::Bucket",
      "Condition": "CreatesBucket",
      "DeletionPolicy": "Retain",
      "UpdateReplacePolicy": "Retain",
      "Properties": {{
        "BucketName": {name},
        "PublicAccessBlockConfiguration": {settings},
        "OwnershipControls": {{ "Rules": [{{ "ObjectOwnership": "BucketOwnerEnforced" }}] }},
        "LifecycleConfiguration": {{
          "Rules": [
            {{
              "Id": {id},
              "Prefix": {prefix},
              "Status": "Enabled",
              "AbortIncompleteMultipartUpload": {{ "DaysAfterInitiation": {days} }}
            }}
          ]
        }}
      }}
    }},
    "BucketPolicy": {{
      "Type": "AWS::S3::BucketPolicy",
      "Condition": "ReplacesBucketPolicy",
      "Properties": {{
        "Bucket": {{ "Fn::If": ["CreatesBucket", {{ "Ref": "Bucket" }}, {name}] }},
        "PolicyDocument": {policy}
      }}
    }}"#,
        settings = indented(&json(public_access_block), 8),
        id = json(&lifecycle.id),
        prefix = json(&lifecycle.prefix),
        days = lifecycle.days,
        policy = indented(&json(policy), 8),
    );
    [parameters.to_owned(), resources]
}
