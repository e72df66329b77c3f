//! The caller of a request, and the check of its permissions: policies and ownership of buckets together. It travels
//! with each request.

use super::error::{Error, Result};
use crate::{
    iam::{AccessDenial, AccessPoint, AuthorizationRequest, KmsKeyArn, Principal, Register, RequestContext},
    requests::Failure,
};
use hyper::http::Extensions;
use s3s::{S3Error, dto::CopySource, s3_error};
use std::sync::Arc;

/// Reason why a request with a valid signature is refused.
#[derive(Clone, Debug)]
pub(crate) enum RefusalReason {
    /// A test asked for this failure.
    Wanted(Failure, Option<String>),
    /// The time of the signature is too far from the server's clock.
    Skewed,
    /// The presigned request has expired.
    ExpiredRequest,
    /// The request was signed for another service.
    ForeignScope,
    /// The session doesn't exist, or the token isn't its own.
    InvalidToken,
    /// The session has ended.
    ExpiredToken,
    /// The request has another ACL than the one that buckets without ACLs take.
    AclsDisabled,
    /// This S3 has no operation of this name.
    NotServed(String),
    /// The operation doesn't work through access points.
    NotThroughAccessPoints,
    /// Access is denied, with the sentence to send.
    Denied(String),
}

impl RefusalReason {
    /// A denial without a reason, as AWS answers across accounts.
    pub(crate) fn plain() -> Self {
        Self::Denied("Access Denied".to_owned())
    }
}

impl From<RefusalReason> for S3Error {
    fn from(refusal: RefusalReason) -> Self {
        match refusal {
            RefusalReason::Wanted(failure, sentence) => {
                let mut error = S3Error::from(failure);
                if let Some(sentence) = sentence {
                    error.set_message(sentence);
                }
                error
            }
            RefusalReason::Skewed => Failure::RequestTimeTooSkewed.into(),
            RefusalReason::ExpiredRequest => s3_error!(AccessDenied, "Request has expired"),
            RefusalReason::ForeignScope => {
                let text = "The authorization header is malformed; incorrect service. This endpoint belongs to \"s3\".";
                s3_error!(AuthorizationHeaderMalformed, "{text}")
            }
            RefusalReason::InvalidToken => {
                s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid.")
            }
            RefusalReason::ExpiredToken => s3_error!(ExpiredToken, "The provided token has expired."),
            RefusalReason::AclsDisabled => {
                s3_error!(AccessControlListNotSupported, "The bucket does not allow ACLs")
            }
            RefusalReason::NotServed(operation) => s3_error!(NotImplemented, "{operation} is not implemented here"),
            RefusalReason::NotThroughAccessPoints => {
                s3_error!(MethodNotAllowed, "The specified method is not allowed against this resource.")
            }
            RefusalReason::Denied(sentence) => s3_error!(AccessDenied, "{sentence}"),
        }
    }
}

impl From<AccessDenial> for RefusalReason {
    fn from(denial: AccessDenial) -> Self {
        Self::Denied(denial.to_string())
    }
}

impl From<RefusalReason> for Error {
    fn from(refusal: RefusalReason) -> Self {
        match refusal {
            RefusalReason::Denied(sentence) => Self::Denied(sentence),
            _ => Self::AccessDenied,
        }
    }
}

/// The actions that a public bucket allows to everyone.
const PUBLIC_ACTIONS: [&str; 2] = ["s3:GetObject", "s3:ListBucket"];

/// The principal that signed a request, or the sender of a request without a signature.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// `None` without a signature. Such a caller may read public buckets, and nothing else.
    principal: Option<Principal>,
    register: Arc<Register>,
    /// The VPC endpoint that the request came through.
    source_vpce: Option<String>,
}

/// Keys of a DeleteObjects that the caller may not delete.
#[derive(Clone, Debug, Default)]
pub(crate) struct Forbidden(pub(crate) Vec<String>);

impl Caller {
    pub(crate) fn new(principal: Option<Principal>, register: Arc<Register>, source_vpce: Option<String>) -> Self {
        Self { principal, register, source_vpce }
    }

    /// Returns the caller whose request has these extensions.
    pub(crate) fn of(extensions: &Extensions) -> Result<&Self, RefusalReason> {
        extensions.get().ok_or_else(RefusalReason::plain)
    }

    /// The principal that signed the request.
    pub(crate) fn principal(&self) -> Result<&Principal, RefusalReason> {
        self.principal.as_ref().ok_or_else(RefusalReason::plain)
    }

    /// Checks that the caller agreed to pay if it has to. Requests without a signature can't pay.
    pub(crate) fn pays_for(&self, bucket: &str, payer: Option<&str>) -> Result<(), RefusalReason> {
        let pays = self.principal.is_some() && payer == Some("requester");
        if !self.register.has_paying_requesters(bucket) || pays || self.owns(bucket) {
            Ok(())
        } else {
            Err(RefusalReason::plain())
        }
    }

    /// True if the bucket belongs to the caller's account.
    pub(crate) fn owns(&self, bucket: &str) -> bool {
        self.principal().is_ok_and(|principal| self.register.owner(bucket) == Some(&principal.account))
    }

    /// True if the name in a bucket's place is that of an access point.
    pub(crate) fn goes_through_access_point(&self, name: &str) -> bool {
        self.register.access_point(name).is_some()
    }

    /// Checks that a bucket belongs to the account that the client expects. A bucket that doesn't exist passes.
    pub(crate) fn expects(&self, bucket: &str, owner: Option<&str>) -> Result<(), RefusalReason> {
        match (self.register.owner(bucket), owner) {
            (Some(owner), Some(expected)) if owner.as_str() != expected => Err(RefusalReason::plain()),
            _ => Ok(()),
        }
    }

    /// Checks that the caller may perform `action` on its account as a whole.
    pub(crate) fn may_in_account(&self, action: &str) -> Result<(), RefusalReason> {
        let (resource, context) = ("arn:aws:s3:::*", &RequestContext::default());
        Ok(self.principal()?.decide(&AuthorizationRequest { action, resource, context })?)
    }

    /// Checks that the caller may perform `action` on a bucket. A bucket that doesn't exist passes: the operation then
    /// answers NoSuchBucket.
    pub(crate) fn may(&self, action: &str, bucket: &str, context: &RequestContext) -> Result<(), RefusalReason> {
        self.reach(action, bucket, None, context)
    }

    /// Checks that the caller may perform `action` on an object.
    pub(crate) fn may_with(&self, action: &str, bucket: &str, key: &str) -> Result<(), RefusalReason> {
        self.reach(action, bucket, Some(key), &RequestContext::default())
    }

    /// Checks that the caller may give an object this canned ACL.
    pub(crate) fn may_set_acl(&self, acl: &str, bucket: &str, key: &str) -> Result<(), RefusalReason> {
        let context = RequestContext::default().with("s3:x-amz-acl", Some(acl));
        self.reach("s3:PutObjectAcl", bucket, Some(key), &context)
    }

    /// Denies access to buckets and access points of other accounts, except to public buckets. `bucket` may be an alias.
    fn reach(
        &self,
        action: &str,
        bucket: &str,
        key: Option<&str>,
        context: &RequestContext,
    ) -> Result<(), RefusalReason> {
        let Some(owner) = self.register.owner(bucket) else { return Ok(()) };
        let context = context.clone().with("s3:ResourceAccount", Some(owner));
        let context = context.with("aws:SourceVpce", self.source_vpce.as_deref());
        if let Some(point) = self.register.access_point(bucket) {
            return self.reach_through(point, action, key, context);
        }
        let resource =
            &key.map_or_else(|| format!("arn:aws:s3:::{bucket}"), |key| format!("arn:aws:s3:::{bucket}/{key}"));
        let request = AuthorizationRequest { action, resource, context: &context };
        let public = self.register.is_public(bucket) && PUBLIC_ACTIONS.contains(&action);
        match &self.principal {
            None if public => Ok(()),
            Some(principal) if principal.account == *owner && public => Ok(principal.decide_on_public(&request)?),
            // From another account, both policies must allow the request.
            Some(principal) if principal.account == *owner || public => Ok(principal.decide(&request)?),
            _ => Err(RefusalReason::plain()),
        }
    }

    /// Judges the request by the ARN of the access point: the policies of the caller never hear of the bucket. The bucket
    /// permits what it delegates to the access point. Only principals of the access point's account learn the reason of a
    /// denial.
    ///
    /// Sources: S3 user guide, "Configuring IAM policies for using access points" and "Troubleshoot access denied (403
    /// Forbidden) errors in Amazon S3".
    fn reach_through(
        &self,
        point: &AccessPoint,
        action: &str,
        key: Option<&str>,
        context: RequestContext,
    ) -> Result<(), RefusalReason> {
        let arn = point.arn();
        let context = context.with("s3:DataAccessPointAccount", Some(&point.account));
        let context = &context.with("s3:DataAccessPointArn", Some(&arn));
        let resource = &key.map_or_else(|| arn.clone(), |key| format!("{arn}/object/{key}"));
        let request = AuthorizationRequest { action, resource, context };
        match &self.principal {
            Some(principal) if self.register.delegates_to(point) => {
                let is_own = principal.account == point.account;
                let told = |denial: AccessDenial| if is_own { denial.into() } else { RefusalReason::plain() };
                point.decide(principal, &request).map_err(told)
            }
            _ => Err(RefusalReason::plain()),
        }
    }

    /// Returns bucket and key of a copy's source, with the alias of an access point as the bucket.
    pub(crate) fn source_of<'a>(&'a self, source: &'a CopySource) -> Result<(&'a str, &'a str)> {
        match source {
            CopySource::Bucket { bucket, key, version_id: None } => Ok((bucket, key)),
            CopySource::AccessPoint { region, account_id, access_point_name, key, version_id: None, .. } => {
                let point = self.register.access_points().iter().find(|point| {
                    *point.name == **access_point_name
                        && *point.region == **region
                        && *point.account.as_str() == **account_id
                });
                Ok((&point.ok_or(Error::NoSuchAccessPoint)?.alias, key))
            }
            CopySource::Outpost { .. } => Err(Error::NotImplemented("outposts")),
            _ => Err(Error::NotImplemented("versions")),
        }
    }

    /// Checks that the caller may perform `action` with a KMS key. S3 calls KMS in the caller's name, in the key's region,
    /// which is also the bucket's.
    pub(crate) fn may_use_key(&self, action: &str, key: &KmsKeyArn, context_arn: &str) -> Result<(), RefusalReason> {
        let (principal, resource) = (self.principal()?, &key.to_string());
        if *key.account() != principal.account {
            return Err(RefusalReason::Denied(format!(
                "User: {} is not authorized to perform: {action} on resource: {resource} because the resource does not \
                 exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly \
                 denies access",
                principal.arn
            )));
        }
        let context = &RequestContext::default()
            .with("kms:ViaService", Some(format!("s3.{}.amazonaws.com", key.region())))
            .with("kms:EncryptionContext:aws:s3:arn", Some(context_arn));
        Ok(principal.decide(&AuthorizationRequest { action, resource, context })?)
    }
}

/// Turns NoSuchKey into AccessDenied unless the caller may list the whole bucket. HEAD, GET, a conditional DELETE and a
/// copy's source have no prefix, so permission to list one prefix doesn't suffice.
pub(crate) fn told(extensions: &Extensions, bucket: &str, error: Error) -> Error {
    let may_list = |caller: &Caller| caller.may("s3:ListBucket", bucket, &RequestContext::default()).is_ok();
    match error {
        Error::NoSuchKey if !Caller::of(extensions).is_ok_and(may_list) => Error::AccessDenied,
        error => error,
    }
}
