//! A client of one channel. Methods such as [`SftpClient::put`] wait for replies as OpenSSH does.
//! [`SftpClient::send`] and [`SftpClient::reply`] serve all other cases.

use super::{ReceivedReplies, request};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use wharfinger::sftp::{
    channel::{Ended, Inbound, Outbound},
    wire::{Attrs, Handle, MAX_READ_BYTES, NameEntry, OpenFlags, Reply, Request, StatusCode},
};

/// Flags with which OpenSSH opens an upload.
pub const CREATE: OpenFlags = OpenFlags::from_bits(0x02 | 0x08 | 0x10);
/// Size of the WRITEs of [`SftpClient::send_writes`].
pub const WRITE_BYTES: usize = 200_000;
/// Number of requests that OpenSSH keeps in flight.
const WINDOW: usize = 64;

pub type SftpResult<T> = Result<T, StatusError>;

/// A status other than OK.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusError {
    pub code: StatusCode,
    pub sentence: String,
}

pub struct SftpClient {
    pub inbound: Inbound,
    pub incoming: ReceivedReplies,
    next_id: u32,
}

impl SftpClient {
    pub fn new(inbound: Inbound, outbound: Outbound) -> Self {
        Self { inbound, incoming: ReceivedReplies::new(outbound), next_id: 1 }
    }

    /// INIT and VERSION.
    pub async fn begin(&mut self) {
        self.send_request(&Request::Init { version: 3 }).await.unwrap();
        while self.incoming.version.is_none() {
            assert!(self.incoming.receive().await);
        }
    }

    /// Ends the client's input. It still receives replies.
    pub fn finish(self) -> ReceivedReplies {
        self.inbound.finish();
        self.incoming
    }

    /// Drops the connection without notice.
    pub fn vanish(self) {
        drop(self);
    }
}

/// Sending without waiting for replies.
impl SftpClient {
    pub async fn send(&mut self, request: impl FnOnce(u32) -> Request) -> u32 {
        self.try_send(request).await.unwrap()
    }

    pub async fn try_send(&mut self, request: impl FnOnce(u32) -> Request) -> Result<u32, Ended> {
        let id = self.next_id;
        self.next_id += 1;
        self.send_request(&request(id)).await.map(|()| id)
    }

    pub async fn send_request(&mut self, request: &Request) -> Result<(), Ended> {
        let mut bytes = BytesMut::new();
        request.encode(&mut bytes);
        self.inbound.feed(&bytes).await
    }

    /// Sends one frame with any body.
    pub async fn send_body(&mut self, body: &[u8]) -> Result<(), Ended> {
        let length = u32::try_from(body.len()).unwrap().to_be_bytes();
        self.inbound.feed(&[&length[..], body].concat()).await
    }
}

/// Replies.
impl SftpClient {
    pub async fn reply(&mut self, id: u32) -> Reply {
        self.incoming.reply(id).await
    }

    pub async fn status(&mut self, id: u32) -> SftpResult<()> {
        match self.reply(id).await {
            Reply::Status { code: StatusCode::Ok, .. } => Ok(()),
            other => Err(refusal(other)),
        }
    }

    pub async fn handle(&mut self, id: u32) -> SftpResult<Handle> {
        match self.reply(id).await {
            Reply::Handle { handle, .. } => Ok(handle),
            other => Err(refusal(other)),
        }
    }

    pub async fn attrs(&mut self, id: u32) -> SftpResult<Attrs> {
        match self.reply(id).await {
            Reply::Attrs { attrs, .. } => Ok(attrs),
            other => Err(refusal(other)),
        }
    }

    pub async fn data(&mut self, id: u32) -> SftpResult<Bytes> {
        match self.reply(id).await {
            Reply::Data { pieces, .. } => Ok(pieces.concat().into()),
            other => Err(refusal(other)),
        }
    }

    pub async fn names(&mut self, id: u32) -> SftpResult<Vec<NameEntry>> {
        match self.reply(id).await {
            Reply::Name { names, .. } => Ok(names),
            other => Err(refusal(other)),
        }
    }
}

/// One request, one reply.
impl SftpClient {
    pub async fn ask(&mut self, request: impl FnOnce(u32) -> Request) -> Reply {
        let id = self.send(request).await;
        self.reply(id).await
    }

    /// Sends a request whose reply is a status.
    pub async fn order(&mut self, request: impl FnOnce(u32) -> Request) -> SftpResult<()> {
        let id = self.send(request).await;
        self.status(id).await
    }

    pub async fn open(&mut self, path: &str, flags: OpenFlags) -> SftpResult<Handle> {
        let id = self.send(request::open(path, flags)).await;
        self.handle(id).await
    }

    pub async fn create(&mut self, path: &str) -> Handle {
        self.open(path, CREATE).await.unwrap()
    }

    pub async fn close(&mut self, handle: &Handle) -> SftpResult<()> {
        self.order(request::close(handle)).await
    }

    pub async fn write(&mut self, handle: &Handle, offset: u64, data: impl Into<Bytes>) -> SftpResult<()> {
        self.order(request::write(handle, offset, data)).await
    }

    pub async fn read(&mut self, handle: &Handle, offset: u64, length: u32) -> SftpResult<Bytes> {
        let id = self.send(request::read(handle, offset, length)).await;
        self.data(id).await
    }

    pub async fn stat(&mut self, path: &str) -> SftpResult<Attrs> {
        let id = self.send(request::stat(path)).await;
        self.attrs(id).await
    }

    pub async fn fstat(&mut self, handle: &Handle) -> SftpResult<Attrs> {
        let id = self.send(request::fstat(handle)).await;
        self.attrs(id).await
    }

    /// Sends REALPATH or a similar request, whose reply is one path.
    pub async fn path(&mut self, request: impl FnOnce(u32) -> Request) -> SftpResult<String> {
        let id = self.send(request).await;
        let names = self.names(id).await?;
        assert_eq!(names.len(), 1);
        Ok(String::from_utf8(names[0].filename.to_vec()).unwrap())
    }
}

/// Whole files.
impl SftpClient {
    /// OPEN, WRITEs, CLOSE.
    pub async fn put(&mut self, path: &str, content: &Bytes) -> SftpResult<()> {
        let handle = self.open(path, CREATE).await?;
        self.write_all(&handle, 0, content).await?;
        self.close(&handle).await
    }

    /// Sends the WRITEs of a whole file, without waiting for replies.
    pub async fn send_writes(&mut self, handle: &Handle, content: &Bytes) {
        for start in (0..content.len()).step_by(WRITE_BYTES) {
            let data = content.slice(start..content.len().min(start + WRITE_BYTES));
            self.send(request::write(handle, start as u64, data)).await;
        }
    }

    /// WRITEs of 255 KiB from `offset` on, 64 in flight.
    pub async fn write_all(&mut self, handle: &Handle, mut offset: u64, content: &Bytes) -> SftpResult<()> {
        let mut in_flight = VecDeque::new();
        let mut rest = content.clone();
        while !rest.is_empty() || !in_flight.is_empty() {
            if rest.is_empty() || in_flight.len() == WINDOW {
                let id = in_flight.pop_front().unwrap();
                self.status(id).await?;
            } else {
                let data = rest.split_to(rest.len().min(MAX_READ_BYTES as usize));
                let len = data.len() as u64;
                in_flight.push_back(self.send(request::write(handle, offset, data)).await);
                offset += len;
            }
        }
        Ok(())
    }

    /// OPEN, READs, CLOSE.
    pub async fn fetch(&mut self, path: &str) -> SftpResult<Bytes> {
        let handle = self.open(path, OpenFlags::READ).await?;
        let content = self.read_all(&handle).await?;
        self.close(&handle).await?;
        Ok(content)
    }

    /// Sends READs of 255 KiB, 64 in flight, until one reports the end of the file.
    pub async fn read_all(&mut self, handle: &Handle) -> SftpResult<Bytes> {
        let (mut in_flight, mut content, mut offset) = (VecDeque::new(), BytesMut::new(), 0);
        let mut ended = false;
        loop {
            while !ended && in_flight.len() < WINDOW {
                in_flight.push_back(self.send(request::read(handle, offset, MAX_READ_BYTES)).await);
                offset += u64::from(MAX_READ_BYTES);
            }
            let Some(id) = in_flight.pop_front() else { return Ok(content.freeze()) };
            match self.data(id).await {
                Ok(data) => {
                    ended |= data.len() < MAX_READ_BYTES as usize;
                    content.extend_from_slice(&data);
                }
                Err(StatusError { code: StatusCode::Eof, .. }) => ended = true,
                Err(refusal) => return Err(refusal),
            }
        }
    }

    /// OPENDIR, READDIRs, CLOSE. The outer vector has an element for each reply.
    pub async fn list(&mut self, path: &str) -> SftpResult<Vec<Vec<NameEntry>>> {
        let id = self.send(request::open_dir(path)).await;
        let handle = self.handle(id).await?;
        let mut replies = Vec::new();
        loop {
            let id = self.send(request::read_dir(&handle)).await;
            match self.names(id).await {
                Ok(names) => replies.push(names),
                Err(StatusError { code: StatusCode::Eof, .. }) => break,
                Err(refusal) => return Err(refusal),
            }
        }
        self.close(&handle).await?;
        Ok(replies)
    }
}

/// Returns the reason in a status text, without the words that every text of its code begins with.
fn sentence(code: StatusCode, message: &str) -> &str {
    let words = match code {
        StatusCode::NoSuchFile if message == "No such file or directory" => return "no such file or directory",
        StatusCode::NoSuchFile => "No such file: ",
        StatusCode::PermissionDenied => "Permission denied: ",
        StatusCode::Failure => "Failure: ",
        _ => "",
    };
    message.strip_prefix(words).unwrap_or_else(|| panic!("{message:?} does not begin with {words:?}"))
}

fn refusal(reply: Reply) -> StatusError {
    match reply {
        Reply::Status { code, message, .. } => StatusError { code, sentence: sentence(code, &message).to_owned() },
        other => panic!("not what was asked for: {other:?}"),
    }
}
