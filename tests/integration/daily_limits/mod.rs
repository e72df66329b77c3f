//! Limits per day on what a tenant costs (issue 19.5): on the demo's S3 through the real SDK, and in a running server.

mod requests;
mod served;
