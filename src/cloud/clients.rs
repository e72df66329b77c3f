//! The HTTP client that all tenants share, and an S3 client per tenant on top of it.

use super::{Credentials, Place, Secret};
use crate::store::S3Bucket;
use aws_config::{
    default_provider::credentials::DefaultCredentialsChain, environment::EnvironmentVariableRegionProvider,
    meta::region::RegionProviderChain, provider_config::ProviderConfig,
};
use aws_credential_types::{Credentials as AccessKey, provider::SharedCredentialsProvider};
use aws_sdk_s3::config::{
    BehaviorVersion, IdentityCache, Region, SharedAsyncSleep, SharedHttpClient, SharedIdentityCache,
    StalledStreamProtectionConfig,
    retry::{RetryConfig, RetryPartition},
    timeout::TimeoutConfig,
};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use std::{sync::Arc, time::Duration};
use tokio::sync::OnceCell;

/// What the AWS SDKs agree on: longer only delays the retry.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(3_100);
/// From the first byte of a request to the first of its answer, so it includes sending a part and, for Complete and
/// Copy of many GiB, S3's own work. The connection pool is kept by its value: it must be the same for every request.
const READ_TIMEOUT: Duration = Duration::from_mins(10);
/// A transfer that stands still this long is broken off. The SDK's 5 s end healthy transfers under load.
const STALL_GRACE: Duration = Duration::from_secs(20);
/// S3 closes connections that were idle for about as long; one that it closed costs a retry.
const POOL_IDLE_TIMEOUT: Duration = Duration::from_secs(20);
/// The first try counts.
const MAX_ATTEMPTS: u32 = 7;
/// Doubled for each further try and cut at random. SlowDown has 12.6 s to pass at most, and a broken connection, for
/// which the SDK would wait up to a second, costs little.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// Renewed this long before they expire, so that a request that waits in a retry still has valid credentials.
const CREDENTIALS_BUFFER: Duration = Duration::from_mins(2);

/// Makes S3 clients that share one pool of connections, one TLS configuration (rustls with aws-lc) and, where they use
/// it, the default chain.
#[derive(Debug)]
pub(super) struct Clients {
    http: SharedHttpClient,
    default_chain: OnceCell<Identity>,
}

/// Where credentials come from, and where they are kept until they expire.
#[derive(Clone, Debug)]
struct Identity {
    provider: SharedCredentialsProvider,
    cache: SharedIdentityCache,
}

impl Clients {
    /// Connects to nothing before it is asked to.
    pub(super) fn new() -> Self {
        let http = Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .pool_idle_timeout(POOL_IDLE_TIMEOUT)
            .build_https();
        Self { http, default_chain: OnceCell::new() }
    }

    /// The bucket of `place`. `owner` names the retry allowance: one tenant's outage can't use up another's.
    pub(super) async fn bucket(&self, owner: &str, place: &Place) -> Arc<S3Bucket> {
        let identity = match &place.credentials {
            Credentials::Static { access_key_id, secret_access_key } => fixed(access_key_id, secret_access_key),
            Credentials::DefaultChain => self.default_chain(&place.region).await,
        };
        let mut config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(self.http.clone())
            .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
            .credentials_provider(identity.provider)
            .identity_cache(identity.cache)
            .region(Region::new(place.region.clone()))
            .force_path_style(place.path_style)
            .retry_config(RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF))
            .retry_partition(RetryPartition::new(owner.to_owned()))
            .timeout_config(
                TimeoutConfig::builder().connect_timeout(CONNECT_TIMEOUT).read_timeout(READ_TIMEOUT).build(),
            )
            .stalled_stream_protection(StalledStreamProtectionConfig::enabled().grace_period(STALL_GRACE).build());
        if let Some(endpoint) = &place.endpoint {
            config = config.endpoint_url(endpoint);
        }
        Arc::new(S3Bucket::new(config, place.s3_options()))
    }

    /// One chain for all, so that a thousand tenants ask the instance metadata once. `region` is where web identities
    /// are exchanged, unless the environment says another.
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
                }
            })
            .await
            .clone()
    }
}

fn fixed(access_key_id: &str, secret_access_key: &Secret) -> Identity {
    let key = AccessKey::new(access_key_id, secret_access_key.expose(), None, None, "config");
    Identity { provider: SharedCredentialsProvider::new(key), cache: IdentityCache::no_cache() }
}
