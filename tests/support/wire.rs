//! An HTTP server that gives scripted answers and records the requests.

use parking_lot::Mutex;
use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A server on loopback. It ends with the test.
#[derive(Debug)]
pub struct Wire {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<RecordedRequest>>>,
    accepting: JoinHandle<()>,
}

/// A recorded request.
#[derive(Clone, Debug)]
pub struct RecordedRequest {
    /// `GET /bucket/key?x=y`.
    pub line: String,
    /// Names in lowercase.
    pub headers: BTreeMap<String, String>,
    /// The bytes on the wire, in whatever encoding.
    pub body: Vec<u8>,
}

impl Wire {
    /// Answers each request with the next of `answers`, which are complete HTTP answers. It closes the connection after
    /// each answer, and the listener after the last.
    pub async fn answering(answers: impl IntoIterator<Item = String>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let mut answers: VecDeque<_> = answers.into_iter().collect();
        let record = Arc::clone(&asked);
        let accepting = tokio::spawn(async move {
            while let Some(answer) = answers.pop_front() {
                let mut connection = BufReader::new(listener.accept().await.unwrap().0);
                let request = receive(&mut connection).await;
                record.lock().push(request);
                connection.write_all(answer.as_bytes()).await.unwrap();
                connection.shutdown().await.unwrap();
            }
        });
        Self { address, asked, accepting }
    }

    /// `http://127.0.0.1:PORT`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until the last answer is sent and the listener is closed.
    pub async fn close(mut self) {
        (&mut self.accepting).await.unwrap();
    }

    /// Returns all requests so far.
    pub fn asked(&self) -> Vec<RecordedRequest> {
        self.asked.lock().clone()
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl RecordedRequest {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

/// An HTTP answer with this status, these headers and this body.
pub fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> String {
    let mut lines = vec![format!("HTTP/1.1 {status} -"), format!("content-length: {}", body.len())];
    lines.push("connection: close".to_owned());
    lines.extend(headers.iter().map(|(name, value)| format!("{name}: {value}")));
    format!("{}\r\n\r\n{body}", lines.join("\r\n"))
}

async fn receive(connection: &mut BufReader<TcpStream>) -> RecordedRequest {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        connection.read_line(&mut line).await.unwrap();
        if line.trim_end().is_empty() {
            break;
        }
        lines.push(line.trim_end().to_owned());
    }
    let line = lines[0].trim_end_matches(" HTTP/1.1").to_owned();
    let headers = lines[1..].iter().map(|line| line.split_once(": ").unwrap());
    let headers: BTreeMap<_, _> = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    connection.read_exact(&mut body).await.unwrap();
    RecordedRequest { line, headers, body }
}
