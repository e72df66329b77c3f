//! What tests stand on: servers of others, started for a test and stopped with it, and a tree without a server.

pub mod demo;
pub mod partials;
pub mod postgres;
pub mod scope;
pub mod seaweedfs;
pub mod sftp;
pub mod sources;
pub mod tree;
pub mod wire;
