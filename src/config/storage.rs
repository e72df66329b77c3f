//! The `[storage]` table of a tenant's file.

use super::{
    assume_role, bucket_address, credentials,
    document::ConfigTable,
    object_settings,
    problem::Spot,
    value::{Value, texts, words},
};
use crate::{
    account::{
        BucketAddress, Checksums, ObjectMetadata, PayloadSigning, Role, Storage, StorageCredentials,
        is_access_point_alias, is_account_id,
    },
    cloud,
    name::{BucketId, Prefix},
};
use toml::de::DeValue;

/// A tenant's storage, and the positions of its keys.
pub(super) struct SpottedStorage {
    pub(super) storage: Storage,
    /// The parts of a new file's origin that its metadata names.
    pub(super) object_metadata: ObjectMetadata,
    /// True if other tenants may reach the same objects.
    pub(super) allow_shared_prefix: bool,
    /// The position of the prefix.
    pub(super) spot: Spot,
    /// The position of the external ID, if there is a role.
    pub(super) external_id_spot: Option<Spot>,
    /// The positions of the vendor's role and of its external ID.
    pub(super) vendor_role_spots: Option<[Spot; 2]>,
}

impl SpottedStorage {
    pub(super) fn read(table: &mut ConfigTable<'_>) -> Option<Self> {
        let bucket = table.required::<BucketName>("bucket");
        let prefix = table.required::<Prefix>("prefix");
        let region = table.required::<Region>("region");
        let endpoint = table.optional::<Endpoint>("endpoint");
        let address = bucket_address::read(table, bucket.as_ref(), region.as_ref(), endpoint.as_ref());
        let path_style = table.or("path_style", false);
        let expected_bucket_owner = table.optional::<AccountId>("expected_bucket_owner");
        let source_vpc_endpoints = table.list::<VpcEndpointId>("source_vpc_endpoints").unwrap_or_default();
        let objects = object_settings::read(table);
        let object_metadata = object_settings::read_metadata(table);
        let payload_signing = table.or("payload_signing", PayloadSigning::default());
        let checksums = table.or("checksums", Checksums::default());
        let allow_shared_prefix = table.or("allow_shared_prefix", false);
        let (bucket, endpoint) = (bucket.map(|bucket| bucket.0), endpoint.map(|endpoint| endpoint.0));
        let id = BucketId::new(bucket.as_deref().unwrap_or_default(), endpoint.as_deref());
        let has_role = table.has("assume_role");
        let mut external_id_spot = None;
        let role = has_role.then(|| {
            table.table("assume_role", |role| {
                external_id_spot = Some(role.spot("external_id"));
                assume_role::read(role, id.is_in_aws(), region.as_ref(), &address)
            })
        });
        let mut vendor_role_spots = None;
        let credentials = table.table("credentials", |credentials| {
            vendor_role_spots = Some(["role_arn", "external_id"].map(|key| credentials.spot(key)));
            credentials::read(credentials, has_role, role.as_ref().and_then(Option::as_ref))
        });
        if has_role && id.is_in_aws() && !table.has("expected_bucket_owner") {
            warn_of_an_unknown_owner(table);
        }
        let (base, via) = credentials?;
        let role = role.map_or(Some(None), |role| role.map(Some))?.map(|role| Role { via, ..role });
        let storage = Storage {
            id,
            prefix: prefix?,
            bucket: bucket?,
            region: region?.0,
            endpoint,
            address,
            path_style,
            expected_bucket_owner: expected_bucket_owner.map(|owner| owner.0),
            source_vpc_endpoints: source_vpc_endpoints.into_iter().map(|endpoint| endpoint.0).collect(),
            objects,
            payload_signing,
            checksums,
            credentials: StorageCredentials { base, role },
        };
        if let Err(error) = cloud::check_bucket(&storage) {
            let plain = Storage { address: BucketAddress::default(), ..storage.clone() };
            if let Some(key) = bucket_address::chosen_host(&storage.address)
                && storage.endpoint.is_none()
                && cloud::check_bucket(&plain).is_ok()
            {
                table.problem(key, format!("chooses no host of this region: {error}"));
                return None;
            }
            // Earlier versions accepted this and failed at the tenant's first request. An error would affect the other
            // tenants.
            table.report().warning(&table.spot("bucket"), error.to_string());
        }
        Some(Self {
            storage,
            object_metadata,
            allow_shared_prefix,
            spot: table.spot("prefix"),
            external_id_spot,
            vendor_role_spots,
        })
    }
}

/// Warns of a bucket without an expected owner. After its owner deletes it, anyone may create a bucket of its name,
/// admit our role and collect the uploads.
fn warn_of_an_unknown_owner(storage: &ConfigTable<'_>) {
    let message = "without `expected_bucket_owner` a bucket of this name that changed hands would be written to; it takes \
                   the account's 12 digits";
    storage.report().warning(&storage.spot("bucket"), message);
}

words!(PayloadSigning { "unsigned" => PayloadSigning::Unsigned, "signed" => PayloadSigning::Signed });
words!(Checksums { "crc64nvme" => Checksums::Crc64Nvme, "when_required" => Checksums::WhenRequired });

impl Value for Prefix {
    const TAKES: &'static str = "a prefix that ends in `/`, such as \"tenants/acme/\", or \"\" for all";

    fn read(raw: &DeValue<'_>) -> Result<Self, String> {
        let text = raw.as_str().ok_or_else(|| Self::refuse(raw))?;
        Self::parse(text).map_err(|error| format!("{error}; it takes {}", Self::TAKES))
    }
}

impl BucketName {
    /// True for the alias of an access point.
    pub(crate) fn is_alias(&self) -> bool {
        is_access_point_alias(&self.0)
    }
}

texts! {
    BucketName: "the name of a bucket, or the ARN or alias of an access point", |text| {
        let word = |b: u8| b.is_ascii_alphanumeric() || b"-._".contains(&b);
        let arn = |text: &str| text.bytes().all(|b| word(b) || b":/".contains(&b));
        // S3 allows 63 characters today and allowed 255 before; other stores are as permissive as S3 was.
        text.strip_prefix("arn:").map_or((3..=255).contains(&text.len()) && text.bytes().all(word), arn)
    };
    Region: "a region such as \"eu-central-1\"", |text| {
        // AWS's regions are in lower case; the first one of Ceph and OpenStack is `RegionOne`.
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    Endpoint: "a URL of host and port, such as \"https://s3.example.com\"", |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.strip_suffix('/').unwrap_or(rest)).unwrap_or_default();
        !host.is_empty() && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b))
    };
    AccessPointArn: "the ARN of an access point, such as \"arn:aws:s3:eu-central-1:111122223333:accesspoint/acme\"",
        bucket_address::is_access_point_arn;
    AccountId: "the 12 digits of an AWS account, as a string", is_account_id;
    VpcEndpointId: "the id of a VPC endpoint, such as \"vpce-0123456789abcdef0\"", |text| {
        let digits = text.strip_prefix("vpce-").unwrap_or_default();
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
}
