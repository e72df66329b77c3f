//! The keys of `[storage]` that further describe a bucket's address, and the addresses that this server can't use.

use super::{
    document::ConfigTable,
    interface_endpoint,
    storage::{AccessPointArn, BucketName, Endpoint, Region},
};
use crate::{
    account::{BucketAddress, is_access_point_alias, is_account_id},
    name::BucketId,
};

/// Reads the keys, and reports what doesn't fit to the bucket.
pub(super) fn read(
    table: &mut ConfigTable<'_>,
    bucket: Option<&BucketName>,
    region: Option<&Region>,
    endpoint: Option<&Endpoint>,
) -> BucketAddress {
    let dual_stack = table.or("dual_stack", false);
    let fips = table.or("fips", false);
    let access_point_arn = table.optional::<AccessPointArn>("access_point_arn").map(|arn| arn.0);
    let in_aws = BucketId::new("", endpoint.map(|endpoint| endpoint.0.as_str())).is_in_aws();
    if let Some(message) = bucket.and_then(|bucket| unsupported(&bucket.0, in_aws)) {
        table.problem("bucket", message);
    }
    if let (Some(arn), Some(bucket)) = (&access_point_arn, bucket) {
        check_alias(table, arn, &bucket.0, region);
    }
    if let Some(endpoint) = endpoint {
        if let Some(message) = interface_endpoint::misfit_of_s3(&endpoint.0, bucket.map(|bucket| bucket.0.as_str())) {
            table.problem("endpoint", message);
        }
        if let Some(warning) = interface_endpoint::other_region(&endpoint.0, region.map(|region| region.0.as_str())) {
            table.report().warning(&table.spot("endpoint"), warning);
        }
        for (key, _) in [("dual_stack", dual_stack), ("fips", fips)].into_iter().filter(|(_, is_set)| *is_set) {
            table.problem(key, "chooses AWS's host in the region, and `endpoint` names another; leave one of them out");
        }
    }
    BucketAddress { access_point_arn, dual_stack, fips }
}

/// Returns the key that chooses another host of AWS than the region's own, if one does.
pub(super) fn chosen_host(address: &BucketAddress) -> Option<&'static str> {
    let (fips, dual_stack) = (address.fips.then_some("fips"), address.dual_stack.then_some("dual_stack"));
    fips.or(dual_stack)
}

/// Returns why a bucket can't hold a tenant's files, if it is of a kind that can't. Other stores may give buckets any name.
fn unsupported(bucket: &str, in_aws: bool) -> Option<&'static str> {
    let ends_in = |end: &str| (in_aws || bucket.starts_with("arn:")) && bucket.ends_with(end);
    if ends_in("--ol-s3") || service(bucket) == Some("s3-object-lambda") {
        return Some(
            "is an Object Lambda access point, whose answers may differ from the files that S3 stores; it takes the bucket \
             itself, or an access point of it without a function",
        );
    }
    if ends_in(".mrap") {
        return Some(
            "is a Multi-Region Access Point, behind which a file may be missing that was just uploaded; it takes the bucket of \
             one region, or an access point of it",
        );
    }
    None
}

/// Reports an ARN that isn't that of the alias in `bucket`, as far as one can tell without a request.
fn check_alias(table: &ConfigTable<'_>, arn: &str, bucket: &str, region: Option<&Region>) {
    if bucket.starts_with("arn:") {
        let message = "means nothing where `bucket` is an ARN itself; leave one of them out";
        table.problem("access_point_arn", message);
    } else if !is_access_point_alias(bucket) {
        let message = "goes with the access point's alias in `bucket`, which ends in `-s3alias`, and `bucket` is none; \
                       requests for a bucket's own name don't go through an access point";
        table.problem("access_point_arn", message);
    }
    let of_arn = arn.split(':').nth(3).unwrap_or_default();
    if let Some(region) = region.filter(|region| region.0 != of_arn) {
        let message = format!("lies in {of_arn}, and `region` is {}; both take the bucket's own", region.0);
        table.problem("access_point_arn", message);
    }
}

/// True for the ARN of an access point in one region, in the form that policies take.
pub(super) fn is_access_point_arn(text: &str) -> bool {
    let fields: Vec<&str> = text.splitn(6, ':').collect();
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    match fields[..] {
        ["arn", partition, "s3", region, account, resource] => {
            is_word(partition)
                && is_word(region)
                && is_account_id(account)
                && resource.strip_prefix("accesspoint/").is_some_and(is_word)
        }
        _ => false,
    }
}

/// The service in an ARN.
fn service(bucket: &str) -> Option<&str> {
    bucket.strip_prefix("arn:")?.split(':').nth(1)
}
