//! The subset of HTTP/1.1 that S3 clients use: a head, a body of known length, an answer.

use percent_encoding::percent_decode_str;
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

const MAX_HEAD_BYTES: usize = 64 << 10;

/// The head of a request.
#[derive(Debug, Default)]
pub struct Head {
    pub method: String,
    /// Decoded, with its leading `/`.
    pub path: String,
    /// Decoded.
    pub query: Vec<(String, String)>,
    /// Names in lowercase.
    pub headers: Vec<(String, String)>,
}

impl Head {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Length of the body on the wire, in bytes.
    pub fn body_bytes(&self) -> u64 {
        self.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default()
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut request = lines.next()?.split(' ');
        let (method, target) = (request.next()?.to_owned(), request.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let query = query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        });
        let headers = lines.filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        });
        Some(Self { method, path: decode(path), query: query.collect(), headers: headers.collect() })
    }
}

/// Decodes percent encoding.
pub fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// Reads heads. Bytes read beyond a head belong to the body.
#[derive(Debug, Default)]
pub struct HeadReader {
    buffer: Vec<u8>,
}

impl HeadReader {
    /// Returns the next head, or `None` if the client closed the connection.
    pub fn next(&mut self, mut stream: &TcpStream) -> io::Result<Option<Head>> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                let rest = self.buffer.split_off(end + 4);
                let head = std::mem::replace(&mut self.buffer, rest);
                let text = std::str::from_utf8(&head).map_err(io::Error::other)?;
                return Head::parse(text).map(Some).ok_or_else(|| io::Error::other("a malformed head"));
            }
            if self.buffer.len() > MAX_HEAD_BYTES {
                return Err(io::Error::other("a head that does not end"));
            }
            let mut piece = [0; 4096];
            match stream.read(&mut piece)? {
                0 => return Ok(None),
                read => self.buffer.extend_from_slice(piece.get(..read).unwrap_or_default()),
            }
        }
    }

    /// Takes up to `bytes` of the body from the read buffer.
    pub fn take(&mut self, bytes: u64) -> Vec<u8> {
        let there = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.buffer.len());
        let rest = self.buffer.split_off(there);
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// An answer without the bytes of an object.
#[derive(Debug)]
pub struct HttpResponse {
    pub status: &'static str,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// Offset and length of the object's bytes that follow the head instead of `body`.
    pub object: Option<(u64, u64)>,
    /// Content-Length of a HEAD, which has no body.
    pub told_bytes: Option<u64>,
}

impl HttpResponse {
    pub fn new(status: &'static str) -> Self {
        Self { status, headers: Vec::new(), body: String::new(), object: None, told_bytes: None }
    }

    pub fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn xml(mut self, body: String) -> Self {
        self.body = body;
        self.with("Content-Type", "application/xml")
    }

    /// An S3 error.
    pub fn error(status: &'static str, code: &str) -> Self {
        Self::new(status).xml(format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))
    }

    /// Writes everything but the object's bytes, in one call.
    pub fn write(&self, mut stream: &TcpStream, body: bool) -> io::Result<()> {
        let object = self.object.map(|(_, bytes)| bytes);
        let bytes = self.told_bytes.or(object).unwrap_or(self.body.len() as u64);
        let mut text = format!("HTTP/1.1 {}\r\nContent-Length: {bytes}\r\n", self.status);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        if body {
            text.push_str(&self.body);
        }
        stream.write_all(text.as_bytes())
    }
}
