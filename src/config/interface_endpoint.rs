//! The hosts of VPC interface endpoints, which name their service, their region and the kind of requests that they take.
//!
//! Source: S3 user guide, "AWS PrivateLink for Amazon S3"; IAM user guide, "Interface VPC endpoints" of STS.

/// An interface endpoint, such as `https://bucket.vpce-0123-abcd.s3.eu-central-1.vpce.amazonaws.com`.
struct InterfaceEndpoint {
    /// The word before the endpoint's id: `bucket`, `accesspoint` or `control` for S3, none for STS.
    kind: String,
    /// `s3` or `sts`.
    service: String,
    region: String,
}

impl InterfaceEndpoint {
    /// Returns `None` for every other endpoint.
    fn parse(endpoint: &str) -> Option<Self> {
        let endpoint = endpoint.to_ascii_lowercase();
        let host = endpoint.split_once("://")?.1.trim_end_matches('/');
        let host = host.split_once(':').map_or(host, |(host, _port)| host);
        let host = host.strip_suffix(".cn").unwrap_or(host).strip_suffix(".vpce.amazonaws.com")?;
        let (host, region) = host.rsplit_once('.')?;
        let (host, service) = host.rsplit_once('.')?;
        let (kind, id) = host.rsplit_once('.').unwrap_or(("", host));
        id.starts_with("vpce-").then(|| Self {
            kind: kind.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
        })
    }

    /// Returns what keeps the endpoint from answering requests to `service`.
    fn misfit(&self, service: &str, name: &str) -> Option<String> {
        // An endpoint with FIPS has the service `s3-fips` or `sts-fips`.
        let is_other = self.service.split('-').next() != Some(service);
        is_other.then(|| format!("is a VPC endpoint of {}; it takes one of {name}", self.service))
    }
}

/// Returns why requests for `bucket` fail at this endpoint of S3, if it is an interface endpoint that doesn't fit.
pub(super) fn misfit_of_s3(endpoint: &str, bucket: Option<&str>) -> Option<String> {
    let endpoint = InterfaceEndpoint::parse(endpoint)?;
    if let Some(message) = endpoint.misfit("s3", "S3") {
        return Some(message);
    }
    let is_arn = bucket?.starts_with("arn:");
    let (wanted, what) =
        if is_arn { ("accesspoint", "the ARN of an access point") } else { ("bucket", "a name or an alias") };
    let is_other = endpoint.kind != wanted && matches!(&*endpoint.kind, "bucket" | "accesspoint" | "control");
    is_other.then(|| {
        format!(
            "begins with `{}.`; with {what} in `bucket` it takes the host that begins with `{wanted}.`",
            endpoint.kind
        )
    })
}

/// Returns why requests to STS fail at this endpoint, if it is an interface endpoint that doesn't fit.
pub(super) fn misfit_of_sts(endpoint: &str) -> Option<String> {
    InterfaceEndpoint::parse(endpoint)?.misfit("sts", "STS")
}

/// Returns a warning if this is an interface endpoint whose name has another region. It may be right: an endpoint may serve
/// a VPC of another region than its service's.
pub(super) fn other_region(endpoint: &str, region: Option<&str>) -> Option<String> {
    let endpoint = InterfaceEndpoint::parse(endpoint)?;
    let region = region.filter(|region| *region != endpoint.region)?;
    Some(format!(
        "is a VPC endpoint in {}, and `region` is {region}: requests fail if it doesn't serve both",
        endpoint.region
    ))
}
