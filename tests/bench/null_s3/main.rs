//! An S3 for benchmarks that costs almost nothing. It discards uploads and keeps only their sizes. It answers downloads
//! from one fixed pattern: the byte at `offset` of every object is `pattern[offset % PATTERN_BYTES]`.
//!
//! It ignores signatures, checksums and bucket names. Each connection has a thread with blocking calls. The kernel
//! drops uploaded bytes, and downloads come from the processor's cache, so a benchmark measures the other side.
//!
//! ```text
//! cargo run --release --example null_s3 -- --listen 127.0.0.1:9000 --latency-ms 30 --bandwidth-mb-s 80 --object big=10G
//! ```
//!
//! `GET /_counts` answers as JSON with the number of requests of each kind and of body bytes. At the end (SIGTERM,
//! Ctrl-C) the program prints the same JSON.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bytes;
mod connection;
mod http;
mod listing;
mod objects;
mod verbs;

use bytes::ContentPattern;
use clap::Parser;
use objects::Objects;
use std::{
    net::{SocketAddr, TcpListener},
    sync::Arc,
    thread,
    time::Duration,
};
use tokio::signal::unix::{SignalKind, signal};

/// An S3 that costs almost nothing.
#[derive(Debug, Parser)]
struct NullS3Options {
    /// Address to listen on. Port 0 takes a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Delay before the first byte of each answer.
    #[arg(long, default_value_t = 0)]
    latency_ms: u64,
    /// Bandwidth of each connection's bodies, in 10^6 bytes a second. 0 is unlimited.
    #[arg(long, default_value_t = 0)]
    bandwidth_mb_s: u64,
    /// An object that exists from the start, such as `acme/big.bin=10G`.
    #[arg(long = "object", value_name = "KEY=SIZE", value_parser = preset)]
    objects: Vec<(String, u64)>,
    /// Empty objects that exist from the start, named by numbers of seven digits, such as `acme/many/=100000`.
    #[arg(long = "many", value_name = "PREFIX=COUNT", value_parser = preset)]
    many: Vec<(String, u64)>,
}

/// State that all connections share.
struct NullS3 {
    latency: Duration,
    /// Bytes a second for each connection.
    bandwidth: Option<u64>,
    objects: Objects,
    pattern: ContentPattern,
}

fn main() {
    let options = NullS3Options::parse();
    let server = Arc::new(NullS3 {
        latency: Duration::from_millis(options.latency_ms),
        bandwidth: (options.bandwidth_mb_s > 0).then_some(options.bandwidth_mb_s * 1_000_000),
        objects: Objects::with(options.objects.into_iter().chain(options.many.iter().flat_map(numbered)).collect()),
        pattern: ContentPattern::new(),
    });
    let listener = TcpListener::bind(options.listen).expect("the address is free");
    println!("null_s3 listens on {}", listener.local_addr().expect("it is bound"));
    let accepting = Arc::clone(&server);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let server = Arc::clone(&accepting);
            // An error ends this connection only.
            thread::spawn(move || drop(connection::serve(&stream, &server)));
        }
    });
    wait_for_the_end();
    println!("{}", server.objects.counts());
}

fn wait_for_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate()).expect("a signal handler");
        tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    });
}

/// Returns the names below a prefix.
fn numbered((prefix, count): &(String, u64)) -> impl Iterator<Item = (String, u64)> {
    (0..*count).map(move |number| (format!("{prefix}{number:07}"), 0))
}

/// Parses `KEY=SIZE`. The size is in bytes, or with `K`, `M` or `G` for powers of 1,024.
fn preset(text: &str) -> Result<(String, u64), String> {
    let (key, size) = text.rsplit_once('=').ok_or("expected KEY=SIZE")?;
    let digits = size.trim_end_matches(['K', 'M', 'G']);
    let shift = match size.get(digits.len()..) {
        Some("") => 0,
        Some("K") => 10,
        Some("M") => 20,
        Some("G") => 30,
        _ => return Err(format!("`{size}` is no size")),
    };
    let number: u64 = digits.parse().map_err(|_| format!("`{size}` is no size"))?;
    Ok((key.to_owned(), number << shift))
}
