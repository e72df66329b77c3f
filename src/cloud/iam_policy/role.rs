//! The policies of the role that a tenant's sessions assume. The owner of the bucket installs them.
//!
//! Invariant: a session that a session policy narrows may do the same under [`RolePolicy`] as under a role that may do
//! everything, except with a KMS key that the role's policy doesn't name.
//!
//! Sources: IAM user guide, "How to use an external ID when granting access to your AWS resources to a third party";
//! service authorization reference, "Actions, resources, and condition keys for Amazon S3".

use super::{
    actions::{ABORT_UPLOADS, Actions, FIND_UPLOADS, KMS},
    arns::Arns,
    document::{IamDocument, PolicyPrincipal, PolicyStatement, literal},
    no_policy::NoPolicy,
};
use crate::{
    account::{Permissions, PrincipalArn, Role, Storage},
    cloud::SessionName,
    name::TenantName,
};
use serde::Serialize;

/// The condition key with the VPC endpoint that a request came through.
const SOURCE_VPCE: &str = "aws:SourceVpce";
/// The action of a request for a role with tags, or by a session with transitive tags.
const TAG_SESSION: &str = "sts:TagSession";
/// The action of a request for a role with a source identity, or by a session that has one.
const SET_SOURCE_IDENTITY: &str = "sts:SetSourceIdentity";

/// The identity-based policy of a role: the least that the sessions of a tenant and the janitor need.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct RolePolicy(IamDocument);

/// The trust policy of a role: the server may assume it, with the external ID.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct RoleTrust(IamDocument);

/// The policy of the identity that asks for a tenant's role, the server's own or the vendor's role: it may assume one role.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct ServerPolicy(IamDocument);

/// The policy of a bucket. It grants nothing: the role has its own policy.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub struct BucketPolicy(IamDocument);

impl RolePolicy {
    /// The policy for `permissions` below the tenant's prefix. `kms_key` is the ARN of the key that encrypts the bucket;
    /// without it the policy grants no use of a key.
    ///
    /// # Errors
    /// [`NoPolicy::Alias`].
    pub fn new(storage: &Storage, permissions: Permissions, kms_key: Option<&str>) -> Result<Self, NoPolicy> {
        let arns = Arns::new(storage)?;
        let below = literal(storage.prefix.as_str());
        let actions = Actions::needed(permissions, &storage.objects);
        let (encrypts, uploads) = (actions.read_or_write(), actions.objects.contains(&ABORT_UPLOADS));
        let listing = PolicyStatement::listing(actions.bucket, &arns.bucket, &below).named("Listing");
        let (objects, markers) = (format!("{}{below}*", arns.objects), format!("{}{below}*/", arns.objects));
        // Markers have actions of their own only if objects lack them.
        let control = PolicyStatement::owner_control(&actions.objects, &objects)
            .or_else(|| PolicyStatement::owner_control(&actions.markers, &markers));
        let objects = PolicyStatement::objects(&actions.objects, &objects);
        let markers = PolicyStatement::objects(&actions.markers, &markers);
        let open_uploads = uploads.then(|| PolicyStatement::listing(FIND_UPLOADS, &arns.bucket, ""));
        let of_s3 = [
            Some(listing),
            objects.map(|objects| objects.named("Objects")),
            markers.map(|markers| markers.named("DirectoryMarkers")),
            control.map(|control| control.named("OwnerControl")),
            open_uploads.map(|uploads| uploads.named("OpenUploads")),
        ];
        let limited = |statement: PolicyStatement| {
            // The ARN of an access point names its account, which need not be that of the bucket.
            let owner = storage.expected_bucket_owner.clone().filter(|_| storage.access_point().is_none());
            let endpoints = storage.source_vpc_endpoints.clone();
            let limited = statement.only_if("StringEquals", "s3:ResourceAccount", owner);
            limited.only_if("StringEquals", SOURCE_VPCE, endpoints)
        };
        // S3 calls KMS itself, so that neither condition would hold there.
        let key = kms_key.filter(|_| encrypts);
        let key = key.map(|key| PolicyStatement::kms(KMS, Some(key), arns.encryption_contexts).named("EncryptionKey"));
        Ok(Self(IamDocument::new(of_s3.into_iter().flatten().map(limited).chain(key).collect())))
    }
}

impl RoleTrust {
    /// Admits `server`, if it sends the external ID of `role`. With a source identity, only if that is one of `tenant`.
    #[must_use]
    pub fn new(role: &Role, server: &PrincipalArn, tenant: &TenantName) -> Self {
        let external_id = role.external_id.as_str().to_owned();
        let identities = role.source_identity.then(|| SessionName::pattern(tenant));
        let statement = PolicyStatement::trust(PolicyPrincipal::Aws(server.to_string()), actions_of_sts(role))
            .named("WharfingerServer")
            .only_if("StringEquals", "sts:ExternalId", [external_id])
            .only_if("StringLike", "sts:SourceIdentity", identities);
        Self(IamDocument::new(vec![statement]))
    }
}

impl ServerPolicy {
    /// Allows the request for `role`, with the tags and the source identity that the config asks for.
    #[must_use]
    pub fn new(role: &Role) -> Self {
        Self::allowing(actions_of_sts(role), role)
    }

    /// Narrows a session with the vendor's role to the request for `role`. Sessions inherit transitive tags and a source
    /// identity, such as the server's own, and STS then asks if they may set them. The role's own policy decides that.
    pub(crate) fn of_vendor_session(role: &Role) -> Self {
        Self::allowing(vec!["sts:AssumeRole", TAG_SESSION, SET_SOURCE_IDENTITY], role)
    }

    fn allowing(actions: Vec<&'static str>, role: &Role) -> Self {
        Self(IamDocument::new(vec![PolicyStatement::on(actions, literal(role.arn.as_str()))]))
    }

    /// The policy as STS takes it.
    pub(crate) fn to_ascii(&self) -> String {
        self.0.to_ascii()
    }
}

impl BucketPolicy {
    /// Refuses everyone who doesn't use TLS. If the tenant's requests come through VPC endpoints, refuses the role
    /// everywhere else. `None` for an access point, because its bucket is unknown.
    #[must_use]
    pub fn new(storage: &Storage) -> Option<Self> {
        let arns = Arns::new(storage).ok().filter(Arns::is_bucket)?;
        let resources = || vec![arns.bucket.clone(), format!("{}*", arns.objects)];
        let tls = PolicyStatement::denial(PolicyPrincipal::EVERYONE, resources()).named("TlsOnly").only_if(
            "Bool",
            "aws:SecureTransport",
            ["false".to_owned()],
        );
        let role = storage.credentials.role.as_ref().filter(|_| !storage.source_vpc_endpoints.is_empty());
        let endpoint = role.map(|role| {
            PolicyStatement::denial(PolicyPrincipal::Aws(role.arn.to_string()), resources())
                .named("RoleThroughEndpoint")
                .only_if("StringNotEquals", SOURCE_VPCE, storage.source_vpc_endpoints.clone())
        });
        Some(Self(IamDocument::new([tls].into_iter().chain(endpoint).collect())))
    }
}

/// The actions of the request for `role`: tags and a source identity have their own.
fn actions_of_sts(role: &Role) -> Vec<&'static str> {
    let tags = role.session_tags.then_some(TAG_SESSION);
    let identity = role.source_identity.then_some(SET_SOURCE_IDENTITY);
    ["sts:AssumeRole"].into_iter().chain(tags).chain(identity).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::{BucketAddress, ObjectSettings, Permission, StorageCredentials};

    fn role() -> Role {
        Role {
            arn: "arn:aws:iam::444455556666:role/exchange/wharfinger".parse().unwrap(),
            external_id: "wh-c2a4d0de".parse().unwrap(),
            sts_endpoint: None,
            session_tags: false,
            source_identity: false,
            accept_without_external_id: false,
            via: None,
        }
    }

    fn json(document: &impl Serialize) -> String {
        serde_json::to_string(document).unwrap()
    }

    fn policy(storage: &Storage, permissions: &[Permission], key: Option<&str>) -> String {
        json(&RolePolicy::new(storage, permissions.iter().copied().collect(), key).unwrap())
    }

    fn trust(role: &Role) -> String {
        let server = "arn:aws:iam::111122223333:role/wharfinger-server".parse().unwrap();
        json(&RoleTrust::new(role, &server, &"globex".parse().unwrap()))
    }

    #[test]
    fn a_role_has_what_the_permissions_need() {
        let storage = Storage::of_a_test("sftp/");
        let read = policy(&storage, &[Permission::Read], None);
        let listing = r#"{"Sid":"Listing","Effect":"Allow","Action":["s3:ListBucket"],"Resource":"arn:aws:s3:::vendor","Condition":{"StringLike":{"s3:prefix":["sftp/*"]}}}"#;
        let objects = r#"{"Sid":"Objects","Effect":"Allow","Action":["s3:GetObject","s3:GetObjectVersion"],"Resource":"arn:aws:s3:::vendor/sftp/*"}"#;
        assert_eq!(read, format!(r#"{{"Version":"2012-10-17","Statement":[{listing},{objects}]}}"#));
        let mkdir = policy(&storage, &[Permission::Mkdir], None);
        let markers = r#"{"Sid":"DirectoryMarkers","Effect":"Allow","Action":["s3:PutObject"],"Resource":"arn:aws:s3:::vendor/sftp/*/"}"#;
        assert_eq!(mkdir, format!(r#"{{"Version":"2012-10-17","Statement":[{listing},{markers}]}}"#));
        let write = policy(&storage, &[Permission::Write], None);
        let uploads = r#"{"Sid":"OpenUploads","Effect":"Allow","Action":["s3:ListBucketMultipartUploads"],"Resource":"arn:aws:s3:::vendor"}"#;
        assert!(write.contains(uploads) && !read.contains("Uploads") && !mkdir.contains("Uploads"), "{write}");
    }

    #[test]
    fn a_prefix_ends_in_a_slash_before_the_wildcard() {
        let all = policy(&Storage::of_a_test("sftp/"), &Permission::ALL, None);
        assert!(all.contains("/sftp/*") && !all.contains("/sftp*"), "{all}");
        let whole = policy(&Storage::of_a_test(""), &Permission::ALL, None);
        assert!(whole.contains(r#""Resource":"arn:aws:s3:::vendor/*""#) && !whole.contains("s3:prefix"), "{whole}");
        let odd = policy(&Storage::of_a_test("a*b?c$d/"), &Permission::ALL, None);
        assert!(odd.contains("arn:aws:s3:::vendor/a${*}b${?}c${$}d/*"), "{odd}");
    }

    #[test]
    fn an_acl_needs_its_action_beside_each_put() {
        let objects = ObjectSettings { bucket_owner_full_control: true, ..ObjectSettings::default() };
        let storage = Storage { objects, ..Storage::of_a_test("sftp/") };
        let all = policy(&storage, &Permission::ALL, None);
        let control = |resource: &str| {
            format!(
                r#"{{"Sid":"OwnerControl","Effect":"Allow","Action":["s3:PutObjectAcl"],"Resource":"{resource}","Condition":{{"StringEquals":{{"s3:x-amz-acl":["bucket-owner-full-control"]}}}}}}"#
            )
        };
        assert!(all.contains(&control("arn:aws:s3:::vendor/sftp/*")), "{all}");
        assert_eq!(all.matches("Acl").count(), 1, "{all}");
        let markers = policy(&storage, &[Permission::Mkdir], None);
        assert!(markers.contains(&control("arn:aws:s3:::vendor/sftp/*/")), "{markers}");
        assert!(!policy(&storage, &[Permission::Read], None).contains("Acl"));
        assert!(!policy(&Storage::of_a_test("sftp/"), &Permission::ALL, None).contains("Acl"));
    }

    #[test]
    fn the_owner_and_the_endpoint_limit_the_statements_on_s3_but_not_those_on_the_key() {
        let storage = Storage {
            expected_bucket_owner: Some("444455556666".to_owned()),
            source_vpc_endpoints: vec!["vpce-1".to_owned(), "vpce-2".to_owned()],
            ..Storage::of_a_test("sftp/")
        };
        let key = "arn:aws:kms:eu-central-1:444455556666:key/1234abcd";
        let all = policy(&storage, &Permission::ALL, Some(key));
        let limits = r#""StringEquals":{"aws:SourceVpce":["vpce-1","vpce-2"],"s3:ResourceAccount":["444455556666"]}"#;
        assert_eq!(all.matches(limits).count(), 3, "{all}");
        let of_key = r#"{"Sid":"EncryptionKey","Effect":"Allow","Action":["kms:Decrypt","kms:GenerateDataKey"],"Resource":"arn:aws:kms:eu-central-1:444455556666:key/1234abcd","Condition":{"StringLike":{"kms:EncryptionContext:aws:s3:arn":["arn:aws:s3:::vendor","arn:aws:s3:::vendor/*"],"kms:ViaService":["s3.*"]}}}"#;
        assert!(all.ends_with(&format!("{of_key}]}}")), "{all}");
        assert!(!policy(&storage, &[Permission::Delete], Some(key)).contains("kms:"), "a deletion reads no bytes");
    }

    #[test]
    fn a_role_trusts_the_server_with_the_external_id() {
        let plain = r#"{"Version":"2012-10-17","Statement":[{"Sid":"WharfingerServer","Effect":"Allow","Principal":{"AWS":"arn:aws:iam::111122223333:role/wharfinger-server"},"Action":["sts:AssumeRole"],"Condition":{"StringEquals":{"sts:ExternalId":["wh-c2a4d0de"]}}}]}"#;
        assert_eq!(trust(&role()), plain);
        let tags = trust(&Role { session_tags: true, ..role() });
        assert!(tags.contains(r#""Action":["sts:AssumeRole","sts:TagSession"],"#), "{tags}");
        let identity = trust(&Role { source_identity: true, ..role() });
        assert!(identity.contains(r#""Action":["sts:AssumeRole","sts:SetSourceIdentity"],"#), "{identity}");
        assert!(identity.contains(r#""StringLike":{"sts:SourceIdentity":["globex.*"]}"#), "{identity}");
        let server = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["sts:AssumeRole"],"Resource":"arn:aws:iam::444455556666:role/exchange/wharfinger"}]}"#;
        assert_eq!(json(&ServerPolicy::new(&role())), server);
        let all = r#"["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"]"#;
        let vendor = json(&ServerPolicy::of_vendor_session(&role()));
        assert_eq!(vendor, server.replace(r#"["sts:AssumeRole"]"#, all), "also what the config doesn't ask for");
    }

    #[test]
    fn a_bucket_refuses_what_is_not_encrypted_and_the_role_elsewhere() {
        let plain = json(&BucketPolicy::new(&Storage::of_a_test("sftp/")).unwrap());
        let tls = r#"{"Sid":"TlsOnly","Effect":"Deny","Principal":"*","Action":["s3:*"],"Resource":["arn:aws:s3:::vendor","arn:aws:s3:::vendor/*"],"Condition":{"Bool":{"aws:SecureTransport":["false"]}}}"#;
        assert_eq!(plain, format!(r#"{{"Version":"2012-10-17","Statement":[{tls}]}}"#));
        let storage = Storage::of_a_test("sftp/");
        let credentials = StorageCredentials { role: Some(role()), ..storage.credentials.clone() };
        let storage = Storage { source_vpc_endpoints: vec!["vpce-1".to_owned()], credentials, ..storage };
        let through = json(&BucketPolicy::new(&storage).unwrap());
        let endpoint = r#"{"Sid":"RoleThroughEndpoint","Effect":"Deny","Principal":{"AWS":"arn:aws:iam::444455556666:role/exchange/wharfinger"},"Action":["s3:*"],"Resource":["arn:aws:s3:::vendor","arn:aws:s3:::vendor/*"],"Condition":{"StringNotEquals":{"aws:SourceVpce":["vpce-1"]}}}"#;
        assert!(through.ends_with(&format!(",{endpoint}]}}")), "{through}");
        let point = Storage { bucket: "arn:aws:s3:eu-west-1:111122223333:accesspoint/acme".to_owned(), ..storage };
        assert!(BucketPolicy::new(&point).is_none());
    }

    #[test]
    fn an_access_point_goes_by_its_arn() {
        let arn = "arn:aws:s3:eu-west-1:111122223333:accesspoint/acme";
        let point = Storage { bucket: arn.to_owned(), ..Storage::of_a_test("in/") };
        let read = policy(&point, &[Permission::Read], None);
        assert!(read.contains(&format!(r#""Resource":"{arn}/object/in/*""#)), "{read}");
        let owner = Some("444455556666".to_owned());
        let alias = Storage { bucket: "acme-xyz-s3alias".to_owned(), expected_bucket_owner: owner, ..point };
        assert_eq!(RolePolicy::new(&alias, Permissions::ALL, None).unwrap_err(), NoPolicy::Alias);
        let known = Storage {
            address: BucketAddress { access_point_arn: Some(arn.to_owned()), ..BucketAddress::default() },
            ..alias
        };
        assert_eq!(policy(&known, &[Permission::Read], None), read);
        assert!(BucketPolicy::new(&known).is_none());
    }
}
