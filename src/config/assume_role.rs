//! The `[storage.assume_role]` table: the role that a tenant's sessions assume.

use super::{
    bucket_address,
    document::ConfigTable,
    interface_endpoint,
    storage::{Endpoint, Region},
    value::parsed,
};
use crate::{
    account::{BucketAddress, ExternalId, Role, RoleArn},
    name::BucketId,
};

/// Reads the role. `in_aws` is true if the bucket lies in AWS, and false for another store. `region` and `address` are the
/// bucket's.
pub(super) fn read(
    table: &mut ConfigTable<'_>,
    in_aws: bool,
    region: Option<&Region>,
    address: &BucketAddress,
) -> Option<Role> {
    let arn = table.required::<RoleArn>("role_arn");
    let external_id = table.required::<ExternalId>("external_id");
    let sts_endpoint = table.optional::<Endpoint>("sts_endpoint");
    let session_tags = table.or("session_tags", false);
    let source_identity = table.or("source_identity", false);
    let accepted = table.optional::<bool>("accept_role_without_external_id");
    if !in_aws && !table.has("sts_endpoint") {
        let message = "is missing; the bucket's endpoint is none of AWS's, so it takes the store's own endpoint of STS";
        table.problem("sts_endpoint", message);
    }
    if let Some(endpoint) = &sts_endpoint {
        if let Some(message) = interface_endpoint::misfit_of_sts(&endpoint.0) {
            table.problem("sts_endpoint", message);
        }
        if let Some(warning) = interface_endpoint::other_region(&endpoint.0, region.map(|region| region.0.as_str())) {
            table.report().warning(&table.spot("sts_endpoint"), warning);
        }
        if bucket_address::chosen_host(address).is_some() {
            let message =
                "names a host of STS, and `dual_stack` and `fips` in `[storage]` choose another; leave it out, or them";
            table.problem("sts_endpoint", message);
        }
    }
    let sts_endpoint = sts_endpoint.map(|endpoint| endpoint.0);
    // The role of a bucket in AWS is AWS's, whatever the host of STS is called.
    let accept_without_external_id = accepted.unwrap_or_else(|| !in_aws && !is_aws(sts_endpoint.as_deref()));
    Some(Role {
        arn: arn?,
        external_id: external_id?,
        sts_endpoint,
        session_tags,
        source_identity,
        accept_without_external_id,
        // The table of the credentials names it.
        via: None,
    })
}

/// True if the STS is AWS's. Other stores ignore external IDs, so that all of their roles are open.
fn is_aws(sts_endpoint: Option<&str>) -> bool {
    BucketId::new("", sts_endpoint).is_in_aws()
}

parsed! {
    RoleArn: "the ARN of a role, such as \"arn:aws:iam::111122223333:role/wharfinger\"",
    ExternalId: "the external ID that the role's trust policy asks for",
}
