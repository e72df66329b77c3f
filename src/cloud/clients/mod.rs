//! The HTTP client that all tenants share, and the clients of S3 and STS on top of it.

mod issuer;

pub(super) use issuer::issuer;

use super::{
    assume_role::{AssumedRole, ForgetExpired, RetryExpired},
    charged_requests::ChargeRequests,
    retries::{self, RetryQuotas},
};
use crate::{
    account::{BaseCredentials, Checksums, Encryption, ObjectSettings, PayloadSigning, Role, Secret, Storage},
    policy::TenantUsage,
    store::{S3Bucket, S3ObjectOptions, S3Options},
};
use aws_config::{
    default_provider::credentials::DefaultCredentialsChain, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, provider_config::ProviderConfig,
};
use aws_credential_types::{Credentials as AccessKey, provider::SharedCredentialsProvider};
use aws_sdk_s3::{
    config::{
        BehaviorVersion, IdentityCache, Region, SharedAsyncSleep, SharedHttpClient, SharedIdentityCache,
        StalledStreamProtectionConfig, timeout::TimeoutConfig,
    },
    types::{ObjectCannedAcl, ServerSideEncryption, StorageClass},
};
use aws_sdk_sts::config as sts;
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// The value of all AWS SDKs. A longer one would only delay the retry.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
/// The time from the first byte of a request to the first of its answer. It includes sending a part and, for Complete
/// and Copy of many GiB, S3's own work. The value selects the connection pool, so it must be the same for every
/// request.
const READ_TIMEOUT: Duration = Duration::from_mins(10);
/// A transfer without progress for this long is aborted. The SDK's 5 s abort healthy transfers under load.
const STALL_GRACE: Duration = Duration::from_secs(20);
/// S3 closes connections after about this idle time. A connection that S3 has closed costs a retry.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// The time-out for one request to STS, which answers at once or not at all, and for all its retries together.
const STS_ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
const STS_TIMEOUT: Duration = Duration::from_secs(40);
/// The time before their expiry at which credentials are renewed, so that a request that waits for a retry still has
/// valid credentials.
const CREDENTIALS_BUFFER: Duration = Duration::from_mins(2);

/// Creates clients that share one pool of connections, one TLS configuration (rustls with aws-lc) and, if they use it,
/// the default chain.
#[derive(Debug)]
pub(super) struct Clients {
    http: SharedHttpClient,
    default_chain: OnceCell<Identity>,
}

/// A source of credentials and the cache that keeps them until they expire.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    provider: SharedCredentialsProvider,
    cache: SharedIdentityCache,
    /// The session that the credentials belong to, if they are a session's.
    session: Option<AssumedRole>,
}

impl Identity {
    /// Returns the credentials of a session. The session caches them itself, because each try of each request asks for
    /// them.
    pub(super) fn session(session: AssumedRole) -> Self {
        Self {
            provider: SharedCredentialsProvider::new(session.clone()),
            cache: IdentityCache::no_cache(),
            session: Some(session),
        }
    }
}

impl Clients {
    /// Creates the factory. Connects to nothing before the first request.
    pub(super) fn new() -> Self {
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build_https();
        Self::through(http)
    }

    fn through(http: SharedHttpClient) -> Self {
        Self { http, default_chain: OnceCell::new() }
    }

    /// Returns the identity of `base`. Web identities are exchanged in `region`, unless the environment names another.
    pub(super) async fn base(&self, base: &BaseCredentials, region: &str) -> Identity {
        match base {
            BaseCredentials::Static { access_key_id, secret_access_key } => fixed(access_key_id, secret_access_key),
            BaseCredentials::DefaultChain => self.default_chain(region).await,
        }
    }

    /// Returns the bucket of `storage`, with requests signed by `identity` and charged to `usage`.
    pub(super) fn bucket(
        &self,
        retry_quotas: &RetryQuotas,
        usage: &Arc<TenantUsage>,
        storage: &Storage,
        identity: Identity,
    ) -> S3Bucket {
        S3Bucket::new(self.s3_config(retry_quotas, usage, storage, Some(identity)), s3_options(storage, usage))
    }

    /// Returns the configuration of an S3 client. Requests without an identity have no signature.
    pub(super) fn s3_config(
        &self,
        retry_quotas: &RetryQuotas,
        usage: &Arc<TenantUsage>,
        storage: &Storage,
        identity: Option<Identity>,
    ) -> aws_sdk_s3::config::Builder {
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .region(Region::new(storage.region.clone()))
            .force_path_style(storage.path_style)
            .use_dual_stack(storage.address.dual_stack)
            .use_fips(storage.address.fips)
            .retry_config(retries::of_a_request())
            .retry_partition(retry_quotas.s3.clone())
            .interceptor(ChargeRequests(Arc::clone(usage)))
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build(),
            )
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALL_GRACE).build());
        if let Some(endpoint) = &storage.endpoint {
            config = config.endpoint_url(endpoint);
        }
        let Some(Identity { provider, cache, session }) = identity else { return config.allow_no_auth() };
        config = config.credentials_provider(provider).identity_cache(cache);
        match session {
            Some(session) => config.interceptor(ForgetExpired(session)).retry_classifier(RetryExpired),
            None => config,
        }
    }

    /// Returns the STS client that issues `role`, with requests signed by `identity` in the region of `storage`.
    pub(super) fn sts(
        &self,
        retry_quotas: &RetryQuotas,
        role: &Role,
        storage: &Storage,
        identity: Identity,
    ) -> aws_sdk_sts::Client {
        aws_sdk_sts::Client::from_conf(self.sts_config(retry_quotas, role, storage, identity).build())
    }

    /// Returns the configuration of that client.
    pub(super) fn sts_config(
        &self,
        retry_quotas: &RetryQuotas,
        role: &Role,
        storage: &Storage,
        identity: Identity,
    ) -> sts::Builder {
        let config = sts::Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .credentials_provider(identity.provider)
            .identity_cache(identity.cache)
            .region(Region::new(storage.region.clone()))
            .use_dual_stack(storage.address.dual_stack)
            .use_fips(storage.address.fips)
            .retry_config(retries::of_a_request())
            .retry_partition(retry_quotas.sts.clone())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT_TIMEOUT)
                    .read_timeout(READ_TIMEOUT)
                    .operation_attempt_timeout(STS_ATTEMPT_TIMEOUT)
                    .operation_timeout(STS_TIMEOUT)
                    .build(),
            );
        match &role.sts_endpoint {
            Some(endpoint) => config.endpoint_url(endpoint),
            None => config,
        }
    }

    /// All tenants share one chain, so that a thousand tenants query the instance metadata once.
    async fn default_chain(&self, region: &str) -> Identity {
        self.default_chain
            .get_or_init(|| async {
                let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
                    .or_else(Region::new(region.to_owned()));
                let environment =
                    ProviderConfig::default().with_http_client(self.http.clone()).with_sleep_impl(TokioSleep::new());
                let chain = DefaultCredentialsChain::builder().configure(environment).region(region).build().await;
                Identity {
                    provider: SharedCredentialsProvider::new(chain),
                    cache: IdentityCache::lazy().buffer_time(CREDENTIALS_BUFFER).build(),
                    session: None,
                }
            })
            .await
            .clone()
    }
}

pub(super) fn s3_options(storage: &Storage, usage: &Arc<TenantUsage>) -> S3Options {
    S3Options {
        id: storage.id.clone(),
        bucket: storage.bucket.clone(),
        expected_bucket_owner: storage.expected_bucket_owner.clone(),
        requester_pays: storage.objects.requester_pays,
        objects: object_options(&storage.objects),
        sign_payloads: storage.payload_signing == PayloadSigning::Signed,
        send_checksums: storage.checksums == Checksums::Crc64Nvme,
        usage: Arc::clone(usage),
    }
}

fn object_options(settings: &ObjectSettings) -> S3ObjectOptions {
    let (encryption, bucket_key) = match &settings.encryption {
        Encryption::Bucket => (None, None),
        Encryption::SseS3 => (Some(ServerSideEncryption::Aes256), None),
        Encryption::SseKms { bucket_key, .. } => (Some(ServerSideEncryption::AwsKms), *bucket_key),
        Encryption::DsseKms { .. } => (Some(ServerSideEncryption::AwsKmsDsse), None),
    };
    S3ObjectOptions {
        storage_class: settings.storage_class.as_deref().map(StorageClass::from),
        encryption,
        kms_key: settings.encryption.kms_key().map(str::to_owned),
        bucket_key,
        acl: settings.bucket_owner_full_control.then_some(ObjectCannedAcl::BucketOwnerFullControl),
        tagging: settings.tagging(),
    }
}

fn fixed(access_key_id: &str, secret_access_key: &Secret) -> Identity {
    let key = AccessKey::new(access_key_id, secret_access_key.expose(), None, None, "config");
    Identity { provider: SharedCredentialsProvider::new(key), cache: IdentityCache::no_cache(), session: None }
}

#[cfg(test)]
mod tests;
