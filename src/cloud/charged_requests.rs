//! Charges each HTTP request to S3, retries included, to its tenant's day.
//!
//! A request that stores what a client wrote, or that ends a multipart upload, counts and is never refused: its WRITEs
//! were answered. The engines refuse the requests of clients that would lead to new ones (`Upload`, `Vfs::open_write`),
//! and they run others that must end in a `RequestScope`.

use crate::policy::TenantUsage;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents, interceptors::BeforeTransmitInterceptorContextRef};
use aws_smithy_runtime_api::{box_error::BoxError, client::orchestrator::Metadata};
use std::sync::Arc;

/// The operations that follow from WRITEs that were answered, or that end an upload.
const MUST_END: [&str; 5] =
    ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"];

/// Charges requests just before they are sent.
#[derive(Debug)]
pub(super) struct ChargeRequests(pub(super) Arc<TenantUsage>);

impl Intercept for ChargeRequests {
    fn name(&self) -> &'static str {
        "charge requests to the tenant's day"
    }

    /// Runs once for each try.
    fn read_before_transmit(
        &self,
        _: &BeforeTransmitInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let must_end = config.load::<Metadata>().is_some_and(|operation| MUST_END.contains(&operation.name()));
        Ok(self.0.charge_request(must_end)?)
    }
}
