//! S3, STS and IAM of AWS in one process, on loopback.

mod clock;
pub mod iam;
pub mod s3;
mod sts;
