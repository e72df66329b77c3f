//! S3, STS and IAM of AWS in one process, on loopback: for tests of programs that talk to AWS, and for demos.
//!
//! ```
//! use fake_aws::{AwsSettings, Failure, FakeAws, StorageKind};
//!
//! # tokio::runtime::Runtime::new()?.block_on(async {
//! let storage = StorageKind::Memory { max_bytes: 64 << 20 };
//! let aws = FakeAws::start(AwsSettings::one_user("AKEXAMPLE", "a-secret", &["bucket"], storage)).await?;
//! let endpoint = format!("http://{}", aws.address);
//!
//! // The next PutObject fails with 503 SlowDown. A client with retries doesn't notice.
//! aws.fail("PutObject", Failure::SlowDown, 1);
//! // … run the program against `endpoint` …
//! assert_eq!(aws.requests().get("PutObject"), None);
//! aws.stop().await;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! It checks signatures, session tokens, policies, conditions and checksums, as AWS does. `README.md` lists what AWS has
//! and this crate doesn't.
//!
//! ```text
//! server → s3 | iam_api → sts → iam
//! ```

mod clock;
pub mod iam;
mod iam_api;
mod levers;
mod requests;
mod s3;
mod server;
mod settings;
mod sts;
mod unique;

pub use levers::{LeverServer, Levers, StuckLever};
pub use requests::{AwsRequest, Failure, InjectedFault, KeyPattern};
pub use s3::{BucketSettings, StorageKind, UnusableDirectory};
pub use server::{FakeAws, StartError};
pub use settings::{AwsSettings, SettingsError};
pub use sts::AssumeRoleRequest;
