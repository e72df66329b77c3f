//! Requests to the null S3.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
};

/// Size of Wharfinger's first parts.
const PART_BYTES: usize = 8 << 20;

/// Uploads parts, one after the other.
pub struct PartUploads {
    stream: BufReader<TcpStream>,
    left: usize,
}

impl PartUploads {
    pub fn to(s3: SocketAddr) -> io::Result<Self> {
        Ok(Self { stream: connect(s3)?, left: 0 })
    }

    pub fn write(&mut self, data: &[u8]) -> io::Result<()> {
        if self.left == 0 {
            let head = format!("PUT /bench/bare HTTP/1.1\r\nHost: s3\r\nContent-Length: {PART_BYTES}\r\n\r\n");
            self.stream.get_mut().write_all(head.as_bytes())?;
            self.left = PART_BYTES;
        }
        self.stream.get_mut().write_all(data)?;
        self.left -= data.len();
        if self.left == 0 { skip_head(&mut self.stream) } else { Ok(()) }
    }
}

/// Downloads an object with one GET.
pub struct ObjectDownload(BufReader<TcpStream>);

impl ObjectDownload {
    pub fn from(s3: SocketAddr, bytes: u64) -> io::Result<Self> {
        let mut stream = connect(s3)?;
        let last = bytes - 1;
        let head = format!("GET /bench/bench/large HTTP/1.1\r\nHost: s3\r\nRange: bytes=0-{last}\r\n\r\n");
        stream.get_mut().write_all(head.as_bytes())?;
        skip_head(&mut stream)?;
        Ok(Self(stream))
    }

    pub fn read_exact(&mut self, data: &mut [u8]) -> io::Result<()> {
        self.0.read_exact(data)
    }
}

fn connect(s3: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect(s3)?;
    stream.set_nodelay(true)?;
    Ok(BufReader::new(stream))
}

fn skip_head(stream: &mut BufReader<TcpStream>) -> io::Result<()> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    if !line.starts_with("HTTP/1.1 20") {
        return Err(io::Error::other(line));
    }
    while line != "\r\n" {
        line.clear();
        stream.read_line(&mut line)?;
    }
    Ok(())
}
