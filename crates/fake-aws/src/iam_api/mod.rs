//! IAM's API for the roles of the caller's account, in the query protocol, at the address of S3 and STS.
//!
//! It has the calls that install a role for another account: CreateRole, UpdateAssumeRolePolicy, PutRolePolicy, and the
//! calls that read and delete what these made. All others are refused as unknown. A caller needs the action in its own
//! policy, for the ARN of the role.
//!
//! ```text
//! POST / → signature → call → role_call → answer
//! ```

mod answer;
mod call;
mod error;
mod role_call;
mod signature;

use crate::{
    iam::Principal,
    requests::{AwsRequest, Requests},
    sts::{self, MAX_FORM_BYTES, Parameters, Sts, Unfit},
};
use error::Error;
use hyper::{HeaderMap, Request, Response, body::Incoming};
use role_call::RoleCall;
use s3s::Body;
use signature::{FormSignature, header};

const VERSION: &str = "2010-05-08";
/// The region that IAM is in.
const REGION: &str = "us-east-1";

/// True if the signature of a form is for IAM.
pub(crate) fn is_for_iam(headers: &HeaderMap) -> bool {
    header(headers, "authorization").contains("/iam/aws4_request")
}

/// Answers a form that is signed for IAM.
pub(crate) async fn serve(sts: &Sts, requests: &Requests, request: Request<Incoming>) -> Response<Body> {
    answer::response(perform(sts, requests, request).await)
}

async fn perform(sts: &Sts, requests: &Requests, request: Request<Incoming>) -> Result<String, Error> {
    let (parts, body) = request.into_parts();
    let mut body = Body::from(body);
    let form = body.store_all_limited(MAX_FORM_BYTES).await;
    let form = form.map_err(|_| sts::Error::Validation("The form is too long or broken off".to_owned()))?;
    let caller = authenticate(sts, &parts.headers, &form)?;
    let mut parameters = Parameters::parse(&form)?;
    let action = parameters.need("Action", "action")?;
    let version = parameters.need("Version", "version")?;
    if version != VERSION || !call::ACTIONS.contains(&action.as_str()) {
        return Err(sts::Error::InvalidAction(format!("{action} for version {version}")).into());
    }
    if let Some((failure, _)) = requests.arrive(AwsRequest::of(&action)).await {
        return Err(sts::Error::from(failure).into());
    }
    let (name, call) = call::parse(&action, parameters)?;
    RoleCall { sts, caller: &caller, action: &action, name }.answer(call)
}

/// Returns the principal that signed the form.
fn authenticate(sts: &Sts, headers: &HeaderMap, form: &[u8]) -> Result<Principal, Error> {
    let signature = FormSignature::parse(header(headers, "authorization")).ok_or(Error::IncompleteSignature)?;
    let secret = sts.secret(signature.access_key_id).ok_or(sts::Error::InvalidClientTokenId)?;
    if signature.region != REGION {
        return Err(Error::Region(signature.region.to_owned()));
    }
    if !signature.is_valid(secret.expose(), headers, form) {
        return Err(sts::Error::SignatureDoesNotMatch.into());
    }
    sts.clock.check(header(headers, "x-amz-date"), None).map_err(sts::Error::from)?;
    let token = headers.get("x-amz-security-token").map(|token| token.to_str().unwrap_or_default());
    sts.principal(signature.access_key_id, token).map_err(|unfit| match unfit {
        Unfit::Token => sts::Error::InvalidClientTokenId.into(),
        Unfit::Expired => sts::Error::ExpiredToken.into(),
    })
}
