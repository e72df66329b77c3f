//! The protocols of S3, STS and IAM as the SDKs see them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod levers;
mod loopback;
mod s3;
mod sts;
