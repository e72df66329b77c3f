//! Access points: further names of a bucket, with ARNs of their own.
//!
//! IAM judges a request through an access point by the access point's ARN instead of the bucket's, whether the request
//! names that ARN or the alias. The bucket must permit the request too.
//!
//! Sources: S3 user guide, "Configuring IAM policies for using access points" and "Referencing access points with ARNs,
//! access point aliases, or virtual-hosted–style URIs".

use super::{AccessDenial, AccountId, AuthorizationRequest, Principal, ResourcePolicy, policy::Evaluation};

/// An access point of a bucket, which serves requests only if the bucket delegates access to its account.
#[derive(Clone, Debug)]
pub struct AccessPoint {
    /// Its name, which is unique in its account and region.
    pub name: String,
    /// The account that it belongs to.
    pub account: AccountId,
    /// The region in its ARN and in its host.
    pub region: String,
    /// The name that stands in a bucket's place and ends in `-s3alias`.
    pub alias: String,
    /// The name of the bucket.
    pub bucket: String,
    /// Its policy. Without one it serves principals of its own account alone.
    pub policy: Option<ResourcePolicy>,
}

impl AccessPoint {
    /// `arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME`. Actions on the bucket have it as their resource.
    #[must_use]
    pub fn arn(&self) -> String {
        format!("arn:aws:s3:{}:{}:accesspoint/{}", self.region, self.account, self.name)
    }

    /// Checks a request to the access point against its policy and those of the principal. It doesn't check what the
    /// bucket permits.
    ///
    /// # Errors
    /// The denial of the first policy that forbids the request.
    ///
    /// Source: IAM user guide, "Policy evaluation logic": within an account one of both policies must allow the request,
    /// and across accounts both.
    pub(crate) fn decide(&self, principal: &Principal, request: &AuthorizationRequest<'_>) -> Result<(), AccessDenial> {
        let is_own = principal.account == self.account;
        let (verdict, names) = self.policy.as_ref().map_or((Evaluation::Unmentioned, false), |policy| {
            (policy.judge(principal, request), policy.names(principal, request))
        });
        let denial = AccessDenial::by("resource-based policy", verdict, &principal.arn, request);
        match denial {
            Some(denial) if verdict == Evaluation::Denied || !is_own => Err(denial),
            None if is_own && names => principal.decide_on_public(request),
            _ => principal.decide(request),
        }
    }

    /// The first label of its host.
    pub(crate) fn label(&self) -> String {
        format!("{}-{}", self.name, self.account)
    }
}
