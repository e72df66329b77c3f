//! The cure for a request that failed: the thing to change, and the one who can.

use super::VerifyStep;
use crate::{name::TenantName, store::Error};

/// Returns what to do about `error`, which a request of `step` for `tenant` met.
pub(super) fn cure(step: VerifyStep, error: &Error, tenant: &TenantName) -> String {
    match error {
        Error::Forbidden { request } if request.contains("kms:") => format!(
            "let the role use the KMS key that S3 names, in the role's policy and in the key's: `wharfinger tenant policy {tenant} \
             --kms-key ARN` prints the statement for the role"
        ),
        Error::Forbidden { request } => format!(
            "the role's policy must allow {} below the tenant's prefix, and no policy of the bucket, the key or the organization \
             may deny it: `wharfinger tenant policy {tenant}` prints the role's policy",
            denied_action(request).unwrap_or_else(|| step.actions())
        ),
        Error::Refused { code, .. } if code.starts_with("KMS.") => {
            "the KMS key is disabled, deleted or not there: enable it, or name another in the bucket's default encryption or in \
             `kms_key`"
                .to_owned()
        }
        Error::Refused { code, .. } if code == "NoSuchBucket" => {
            "make the bucket, or correct `bucket` in the tenant's file".to_owned()
        }
        Error::Refused { code, .. }
            if matches!(code.as_str(), "PermanentRedirect" | "AuthorizationHeaderMalformed" | "HTTP 301" | "HTTP 400") =>
        {
            "the bucket may lie in another region: correct `region` in the tenant's file".to_owned()
        }
        Error::Refused { .. } => "the store may lack this function: ask its documentation or its operator".to_owned(),
        Error::Credentials(text) if text.contains("RequestTimeTooSkewed") || text.contains("clock") => {
            "set this machine's clock right, by NTP".to_owned()
        }
        Error::Credentials(_) => "do what the cause says".to_owned(),
        Error::Unreachable(_) => {
            "check `endpoint`, `sts_endpoint` and `region` in the tenant's file, name resolution, and the network to there"
                .to_owned()
        }
        Error::Throttled { .. } => "run the command again, later".to_owned(),
        Error::Full { .. } => "make room in the bucket, or raise its owner's quota".to_owned(),
        Error::Archived => "the bucket moves new objects to an archive at once: change its lifecycle rules".to_owned(),
        Error::NotFound | Error::UploadGone | Error::Conflict { .. } | Error::RangeNotSatisfiable { .. } => {
            "another program changes the objects of the verification, or the store isn't consistent: run the command again"
                .to_owned()
        }
        Error::DailyLimit(_) | Error::RateReached(_) | Error::Broken(_) => {
            "a proxy between this machine and S3 may change answers: go around it, and run the command again".to_owned()
        }
    }
}

/// Returns the action that S3 says it denied: `… is not authorized to perform: s3:PutObject on resource: …`.
///
/// Source: S3 user guide, "Troubleshoot access denied (403 Forbidden) errors".
fn denied_action(said: &str) -> Option<&str> {
    let (_, rest) = said.split_once("is not authorized to perform: ")?;
    rest.split(|letter: char| letter.is_whitespace() || letter == ')').next().filter(|action| action.starts_with("s3:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_action_that_s3_names_is_the_one_to_allow() {
        let tenant: TenantName = "globex".parse().unwrap();
        let cure = |said: &str| cure(VerifyStep::Abort, &Error::Forbidden { request: said.to_owned() }, &tenant);
        let named =
            cure("User: arn:aws:sts::1:assumed-role/r/s is not authorized to perform: s3:PutObject on resource: \"b\"");
        assert!(named.contains("must allow s3:PutObject below"), "{named}");
        let unnamed = cure("Access Denied");
        assert!(
            unnamed.contains("must allow s3:AbortMultipartUpload and s3:ListMultipartUploadParts below"),
            "{unnamed}"
        );
    }
}
