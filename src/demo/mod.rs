//! `wharfinger demo`: everything in one process, with nothing to set up.

pub mod s3;
