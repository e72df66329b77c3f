//! Shared parts of the tests: other vendors' servers, which start and stop with a test, and a user's tree without a
//! server.

pub mod demo;
#[path = "../../crates/fake-aws/tests/protocols/loopback.rs"]
pub mod loopback;
pub mod ministack;
pub mod partials;
pub mod ports;
pub mod postgres;
pub mod promise;
pub mod scope;
pub mod seaweedfs;
pub mod sftp;
pub mod sources;
pub mod tree;
pub mod wire;
