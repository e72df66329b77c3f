//! The least cost of moving a file. One thread does the work that no server can leave out, with blocking calls and one
//! connection to S3. `put` receives the bytes, opens AES-256-GCM, computes the checksum and sends them to S3. `get`
//! receives from S3, seals and sends. There is no SSH, no SFTP, no signature and no second client.
//!
//! ```text
//! cargo run --release --example bare -- put --s3 127.0.0.1:9000 --mebibytes 1024
//! ```
//!
//! It prints the port on which it waits for one client, `bare send PORT` or `bare take PORT`, and ends with that
//! client.

#![allow(clippy::expect_used, clippy::indexing_slicing, clippy::cast_possible_truncation)]

mod packets;
mod s3;

use clap::{Parser, Subcommand};
use crc_fast::{CrcAlgorithm::Crc64Nvme, Digest};
use packets::{DATA_BYTES, Opener, Sealer};
use std::{
    hint::black_box,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
};

/// The least cost of moving a file.
#[derive(Debug, Parser)]
struct BareOptions {
    #[command(subcommand)]
    role: TransferRole,
    /// MiB to move.
    #[arg(long, global = true, default_value_t = 1024)]
    mebibytes: u64,
}

#[derive(Debug, Subcommand)]
enum TransferRole {
    /// Waits for `send` and stores its data.
    Put {
        /// Address of the null S3.
        #[arg(long)]
        s3: SocketAddr,
    },
    /// Waits for `take` and sends it an object.
    Get {
        /// Address of the null S3.
        #[arg(long)]
        s3: SocketAddr,
    },
    /// Encrypts and sends.
    Send {
        /// The port that `put` printed.
        port: u16,
    },
    /// Receives and decrypts.
    Take {
        /// The port that `get` printed.
        port: u16,
    },
}

fn main() {
    let options = BareOptions::parse();
    let packets = (options.mebibytes << 20) / DATA_BYTES as u64;
    match options.role {
        TransferRole::Put { s3 } => put(&client(), s3, packets),
        TransferRole::Get { s3 } => get(&client(), s3, packets),
        TransferRole::Send { port } => send(&server(port), packets),
        TransferRole::Take { port } => take(&server(port), packets),
    }
    .expect("the other side is there to the end");
}

fn client() -> TcpStream {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    println!("{}", listener.local_addr().expect("it is bound").port());
    let (stream, _) = listener.accept().expect("a client");
    stream.set_nodelay(true).expect("it is TCP");
    stream
}

fn server(port: u16) -> TcpStream {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a server");
    stream.set_nodelay(true).expect("it is TCP");
    stream
}

fn put(client: &TcpStream, s3: SocketAddr, packets: u64) -> io::Result<()> {
    let (mut opener, mut upload, mut checksum) =
        (Opener::new(client), s3::PartUploads::to(s3)?, Digest::new(Crc64Nvme));
    for _ in 0..packets {
        let data = opener.next()?;
        checksum.update(data);
        upload.write(data)?;
    }
    black_box(checksum.finalize());
    Ok(())
}

fn get(client: &TcpStream, s3: SocketAddr, packets: u64) -> io::Result<()> {
    let mut sealer = Sealer::new(client);
    let mut download = s3::ObjectDownload::from(s3, packets * DATA_BYTES as u64)?;
    for _ in 0..packets {
        sealer.send(|data| download.read_exact(data))?;
    }
    Ok(())
}

fn send(server: &TcpStream, packets: u64) -> io::Result<()> {
    let mut sealer = Sealer::new(server);
    for _ in 0..packets {
        sealer.send(|_| Ok(()))?;
    }
    Ok(())
}

fn take(server: &TcpStream, packets: u64) -> io::Result<()> {
    let mut opener = Opener::new(server);
    for _ in 0..packets {
        black_box(opener.next()?);
    }
    Ok(())
}
