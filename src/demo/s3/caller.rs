//! Who asks, and whether they may: policies and the ownership of buckets together. It travels with each request.

use super::{Failure, error::Error};
use crate::demo::iam::{AccountId, Context, Principal, Register, Request};
use hyper::http::Extensions;
use s3s::{S3Error, s3_error};
use std::sync::Arc;

/// Why a request whose signature is right is refused.
#[derive(Clone, Debug)]
pub enum Refusal {
    /// A test wants it.
    Wanted(Failure),
    /// Signed for another service.
    ForeignScope,
    /// No session, or not this one's token.
    InvalidToken,
    /// The session has ended.
    ExpiredToken,
    /// Not allowed, and why.
    Denied(String),
}

impl Refusal {
    /// A denial that says nothing, as between accounts.
    pub fn plain() -> Self {
        Self::Denied("Access Denied".to_owned())
    }
}

impl From<Refusal> for S3Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Wanted(failure) => failure.into(),
            Refusal::ForeignScope => {
                let text = "The authorization header is malformed; incorrect service. This endpoint belongs to \"s3\".";
                s3_error!(AuthorizationHeaderMalformed, "{text}")
            }
            Refusal::InvalidToken => s3_error!(InvalidToken, "The provided token is malformed or otherwise invalid."),
            Refusal::ExpiredToken => s3_error!(ExpiredToken, "The provided token has expired."),
            Refusal::Denied(sentence) => s3_error!(AccessDenied, "{sentence}"),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug)]
pub struct Caller {
    principal: Principal,
    register: Arc<Register>,
}

impl Caller {
    pub fn new(principal: Principal, register: Arc<Register>) -> Self {
        Self { principal, register }
    }

    /// Who it is, as an ARN.
    pub fn arn(&self) -> &str {
        &self.principal.arn
    }

    /// The account whose buckets it may reach.
    pub fn account(&self) -> &AccountId {
        &self.principal.account
    }

    /// Whether a bucket is its account's.
    pub fn owns(&self, bucket: &str) -> bool {
        self.register.owner(bucket) == Some(self.account())
    }

    /// Whether a bucket belongs to the account that the client expects. One that isn't there belongs to anyone.
    pub fn expects(&self, bucket: &str, owner: Option<&str>) -> Result<(), Refusal> {
        match (self.register.owner(bucket), owner) {
            (Some(owner), Some(expected)) if owner.as_str() != expected => Err(Refusal::plain()),
            _ => Ok(()),
        }
    }

    /// Whether it may do something to its account as a whole.
    pub fn may_in_account(&self, action: &str) -> Result<(), Refusal> {
        self.decide(action, "arn:aws:s3:::*", &Context::default())
    }

    /// Whether it may do something to a bucket. What isn't there can be asked for by anyone: the answer is
    /// NoSuchBucket.
    pub fn may(&self, action: &str, bucket: &str, context: &Context) -> Result<(), Refusal> {
        self.reach(action, bucket, &format!("arn:aws:s3:::{bucket}"), context)
    }

    /// Whether it may do something to an object.
    pub fn may_with(&self, action: &str, bucket: &str, key: &str) -> Result<(), Refusal> {
        self.reach(action, bucket, &format!("arn:aws:s3:::{bucket}/{key}"), &Context::default())
    }

    /// No bucket here has a policy that lets another account in.
    fn reach(&self, action: &str, bucket: &str, resource: &str, context: &Context) -> Result<(), Refusal> {
        match self.register.owner(bucket) {
            None => Ok(()),
            Some(owner) if owner != self.account() => Err(Refusal::plain()),
            Some(_) => self.decide(action, resource, context),
        }
    }

    fn decide(&self, action: &str, resource: &str, context: &Context) -> Result<(), Refusal> {
        let decision = self.principal.decide(&Request { action, resource, context });
        decision.map_err(|denial| Refusal::Denied(denial.to_string()))
    }
}

/// The answer to a request for a key that isn't there: nothing, unless its caller may list the bucket whole. HEAD, GET,
/// a DELETE on a condition and a copy's source have no prefix, so a permission to list some prefix is none.
pub fn told(extensions: &Extensions, bucket: &str, error: Error) -> Error {
    let may_list = |caller: &Caller| caller.may("s3:ListBucket", bucket, &Context::default()).is_ok();
    match error {
        Error::NoSuchKey if !extensions.get::<Caller>().is_some_and(may_list) => Error::AccessDenied,
        error => error,
    }
}
