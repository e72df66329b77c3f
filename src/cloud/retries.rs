//! Retries: the limit for each request, and the quota that all requests of a tenant share.
//!
//! Each retry takes tokens from its tenant's quota, and returns them if it succeeds. An outage uses them up. After
//! that every request is tried only once, so a store that recovers isn't flooded with retries.
//!
//! The SDK's own quota refills only by successful requests, one token for each. A tenant had no retries for minutes
//! after an outage. This quota refills with time, too.

use aws_sdk_s3::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use std::time::Duration;

/// The number of tries, including the first.
const MAX_ATTEMPTS: u32 = 7;
/// Doubles with each retry, and is cut at random. SlowDown has at most 12.6 s to pass. A retry after a broken
/// connection, before which the SDK would wait up to a second, costs little.
const FIRST_BACKOFF: Duration = Duration::from_millis(200);
/// The SDK's capacity. A retry takes 10 tokens after a 500, a 503 or no answer, and 5 after SlowDown.
const RETRY_QUOTA_TOKENS: usize = 500;
/// Refills the quota within 20 s. While an outage lasts, it permits 2.5 retries a second.
const TOKENS_PER_SECOND: f32 = 25.0;

/// The retries of one request.
pub(super) fn of_a_request() -> RetryConfig {
    RetryConfig::standard().with_max_attempts(MAX_ATTEMPTS).with_initial_backoff(FIRST_BACKOFF)
}

/// The quotas of one tenant. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct RetryQuotas {
    /// For requests to S3.
    pub(super) s3: RetryPartition,
    /// For requests to STS, which an outage of S3 doesn't affect.
    pub(super) sts: RetryPartition,
}

impl Default for RetryQuotas {
    fn default() -> Self {
        Self { s3: retry_quota("S3"), sts: retry_quota("STS") }
    }
}

/// A quota that is shared with no other, even one of the same name.
fn retry_quota(service: &'static str) -> RetryPartition {
    let tokens = TokenBucket::builder().capacity(RETRY_QUOTA_TOKENS).refill_rate(TOKENS_PER_SECOND).build();
    RetryPartition::custom(service).token_bucket(tokens).build()
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_s3::{
        Client,
        config::{BehaviorVersion, Credentials, Region, SharedAsyncSleep},
    };
    use aws_smithy_async::{rt::sleep::TokioSleep, time::TimeSource};
    use aws_smithy_runtime_api::{
        client::{
            http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
            orchestrator::{HttpRequest, HttpResponse},
        },
        http::StatusCode,
    };
    use aws_smithy_types::body::SdkBody;
    use std::{
        sync::{
            Arc,
            atomic::{AtomicU32, Ordering},
        },
        time::SystemTime,
    };
    use tokio::time::{Instant, advance};

    /// An S3 that always fails. Counts its requests.
    #[derive(Clone, Debug, Default)]
    struct FailingS3(Arc<AtomicU32>);

    impl HttpConnector for FailingS3 {
        fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
            self.0.fetch_add(1, Ordering::Relaxed);
            HttpConnectorFuture::ready(Ok(HttpResponse::new(StatusCode::try_from(503).unwrap(), SdkBody::empty())))
        }
    }

    /// A clock that follows tokio's, which tests pause.
    #[derive(Debug)]
    struct TokioClock(Instant);

    impl TimeSource for TokioClock {
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + Duration::from_hours(500_000) + self.0.elapsed()
        }
    }

    impl FailingS3 {
        fn client(&self, retry_quotas: &RetryQuotas) -> Client {
            let connector = SharedHttpConnector::new(self.clone());
            let config = aws_sdk_s3::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::from_static("us-east-1"))
                .credentials_provider(Credentials::for_tests())
                .http_client(http_client_fn(move |_, _| connector.clone()))
                .sleep_impl(SharedAsyncSleep::new(TokioSleep::new()))
                .time_source(TokioClock(Instant::now()))
                .retry_config(of_a_request())
                .retry_partition(retry_quotas.s3.clone());
            Client::from_conf(config.build())
        }

        /// Returns the number of tries of one request.
        async fn tries(&self, client: &Client) -> u32 {
            let before = self.0.load(Ordering::Relaxed);
            client.head_object().bucket("vendor").key("x").send().await.unwrap_err();
            self.0.load(Ordering::Relaxed) - before
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_uses_the_retry_quota_up_and_time_refills_it() {
        let (outage, retry_quotas) = (FailingS3::default(), RetryQuotas::default());
        let client = outage.client(&retry_quotas);
        // All at once, so that little time passes.
        let tries = futures_util::future::join_all((0..200).map(|_| outage.tries(&client))).await;
        assert_eq!(tries.len(), 200);
        let further = outage.0.load(Ordering::Relaxed) - 200;
        assert!((50..80).contains(&further), "{further} further tries");
        assert!(outage.tries(&outage.client(&retry_quotas)).await <= 2, "the clients of a tenant share the quota");
        assert_eq!(
            outage.tries(&outage.client(&RetryQuotas::default())).await,
            MAX_ATTEMPTS,
            "a neighbour has its own"
        );
        advance(Duration::from_secs(20)).await;
        assert_eq!(outage.tries(&client).await, MAX_ATTEMPTS);
    }
}
