//! A client that doesn't wait for the replies to CLOSE.

use super::{
    super::Random,
    MOUNTS,
    record::{ChannelOperation, ChannelRecord, OperationKind, Position, RecordedReply},
};
use crate::session::harness::{CREATE, ReceivedReplies, SftpClient, Wharf, request};
use bytes::{Bytes, BytesMut};
use futures_util::FutureExt;
use std::{collections::HashMap, time::Duration};
use tokio::{
    task::unconstrained,
    time::{Instant, timeout, timeout_at},
};
use wharfinger::{
    sftp::{
        channel::Inbound,
        wire::{Handle, OpenFlags, Reply, Request, StatusCode},
    },
    testing::bucket::{Hold, Verb},
};

/// Longer than any wait of the server: a chain of CLOSEs fails with the first one that S3 doesn't answer.
const PATIENCE: Duration = Duration::from_hours(1);
/// Number of initial files and directories of each kind, for each mount.
const SEEDS: usize = 3;
/// Limit on the bytes of unanswered WRITEs.
const MAX_IN_FLIGHT_BYTES: usize = 12 << 20;
const MAX_WRITE_BYTES: usize = 255 << 10;

/// The connection has ended.
struct Gone;

/// An unanswered request. The numbers are those of operations.
enum PendingRequest {
    Open(usize),
    Write(usize, usize),
    /// CLOSE of an upload.
    Close(usize),
    /// A request that is an operation by itself.
    Change(usize),
    /// CLOSE of a file that was read.
    Other,
}

/// A handle of an upload.
struct Opened {
    operation: usize,
    handle: Handle,
    is_written: bool,
}

/// The receiving half. It records all requests and replies in the order in which the client sent and received them.
struct Ear {
    incoming: ReceivedReplies,
    /// Number of replies that are recorded.
    recorded_replies: usize,
    clock: Position,
    asked: HashMap<u32, PendingRequest>,
    in_flight_bytes: usize,
    opened: Vec<Opened>,
    /// Handles for reading.
    readers: Vec<Handle>,
    record: ChannelRecord,
}

pub struct ClientChannel<'a> {
    wharf: &'a Wharf,
    random: Random,
    number: usize,
    serial: u32,
    mouth: Option<Inbound>,
    ear: Ear,
    /// Files that the client may remove or rename, by mount and name.
    removable: Vec<(usize, String)>,
    /// Files that the client may only replace or change.
    old: Vec<(usize, String)>,
    empty_directories: Vec<(usize, String)>,
    trees: Vec<(usize, String)>,
    holds: Vec<(Instant, Hold)>,
}

fn key(mount: usize, name: &str) -> String {
    format!("{}{name}", MOUNTS[mount].1)
}

fn path(mount: usize, name: &str) -> String {
    format!("{}{name}", MOUNTS[mount].0)
}

impl<'a> ClientChannel<'a> {
    /// Opens a channel and creates its initial files and directories.
    pub async fn open(wharf: &'a Wharf, random: Random, number: usize) -> Self {
        let SftpClient { inbound, incoming, .. } = wharf.connect().await;
        let ear = Ear {
            incoming,
            recorded_replies: 0,
            clock: 0,
            asked: HashMap::new(),
            in_flight_bytes: 0,
            opened: Vec::new(),
            readers: Vec::new(),
            record: ChannelRecord::default(),
        };
        let mut channel = Self {
            wharf,
            random,
            number,
            serial: 0,
            mouth: Some(inbound),
            ear,
            removable: Vec::new(),
            old: Vec::new(),
            empty_directories: Vec::new(),
            trees: Vec::new(),
            holds: Vec::new(),
        };
        channel.furnish();
        channel
    }

    fn furnish(&mut self) {
        for mount in 0..MOUNTS.len() {
            self.seed(mount, &format!("c{}d/", self.number), 0);
            for kind in 0..SEEDS {
                let name = |what: &str| format!("c{}{what}{kind}", self.number);
                let [live, old, directory, tree] = ["live", "old", "empty", "tree"].map(name);
                self.seed(mount, &live, 100);
                self.seed(mount, &old, 50);
                self.seed(mount, &format!("{directory}/"), 0);
                self.seed(mount, &format!("{tree}/"), 0);
                self.seed(mount, &format!("{tree}/one"), 100);
                self.seed(mount, &format!("{tree}/two"), 0);
                self.removable.push((mount, live));
                self.old.push((mount, old));
                self.empty_directories.push((mount, directory));
                self.trees.push((mount, tree));
            }
        }
    }

    fn seed(&mut self, mount: usize, name: &str, len: usize) {
        let bytes = self.unique(len);
        self.wharf.bucket.insert(&key(mount, name), bytes.clone());
        self.ear.record.seeds.insert(key(mount, name), bytes);
    }

    fn unique(&mut self, len: usize) -> Bytes {
        self.serial += 1;
        ChannelRecord::unique(self.number * 1_000_000 + usize::try_from(self.serial).unwrap(), len)
    }

    /// Returns a name that isn't in use.
    fn fresh(&mut self) -> (usize, String) {
        self.serial += 1;
        let directory = if self.random.below(4) == 0 { format!("c{}d/", self.number) } else { String::new() };
        (self.random.below(MOUNTS.len()), format!("{directory}c{}n{}", self.number, self.serial))
    }

    /// Sends random operations, then waits for all replies or disconnects.
    pub async fn run(&mut self) {
        let steps = 5 + self.random.below(40);
        let _ = self.send_steps(steps).await;
    }

    async fn send_steps(&mut self, steps: usize) -> Result<(), Gone> {
        for _ in 0..steps {
            self.step().await?;
            if self.random.below(200) == 0 {
                self.vanish();
                return Err(Gone);
            }
            let now = Instant::now();
            self.holds.retain(|(until, _)| *until > now);
        }
        while !self.ear.opened.is_empty() && self.random.below(10) > 0 {
            self.close_one().await?;
        }
        if self.random.below(5) == 0 {
            self.vanish();
            return Err(Gone);
        }
        if self.random.below(2) == 0 {
            self.holds.clear();
        }
        self.ear.until(|ear| ear.asked.is_empty()).await;
        Ok(())
    }

    async fn step(&mut self) -> Result<(), Gone> {
        match self.random.below(20) {
            0..=5 => self.upload_some().await,
            6 | 7 => self.close_one().await,
            8 => self.mkdir().await,
            9 => self.rmdir().await,
            10 | 11 => self.remove().await,
            12 | 13 => self.rename().await,
            14 => self.rename_tree().await,
            15 => self.create().await,
            16 => self.rename_open().await,
            17 => {
                let millis = *self.random.one_of(&[1, 50, 1_000, 10_000]);
                let pause = Duration::from_millis(u64::try_from(self.random.below(millis)).unwrap());
                self.ear.during(pause).await;
                Ok(())
            }
            18 => self.hear_of_one().await,
            _ => match self.ear.readers.pop() {
                Some(reader) => self.send(PendingRequest::Other, request::close(&reader)).await,
                None => Ok(()),
            },
        }
    }

    /// Sends several OPENs, then their WRITEs and CLOSEs.
    async fn upload_some(&mut self) -> Result<(), Gone> {
        for _ in 0..=self.random.below(3) {
            self.open_upload().await?;
        }
        self.ear.until(|ear| !ear.asked.values().any(|asked| matches!(asked, PendingRequest::Open(_)))).await;
        for number in 0..self.ear.opened.len() {
            if self.random.below(2) == 0 {
                self.write(number).await?;
            }
        }
        while self.random.below(8) > 0 && !self.ear.opened.is_empty() {
            self.close_one().await?;
        }
        Ok(())
    }

    async fn open_upload(&mut self) -> Result<(), Gone> {
        let len = match self.random.below(40) {
            0..=6 => 0,
            7..=30 => 16 + self.random.below(2_000),
            31..=37 => 16 + self.random.below(300_000),
            _ => (8 << 20) + self.random.below(12 << 20),
        };
        let ((mount, name), flags, len) = match self.random.below(10) {
            0 | 1 => (self.random.one_of(&self.old).clone(), CREATE, len.max(16)),
            2 => {
                let (mount, name) = self.random.one_of(&self.old).clone();
                let longest = self.longest(&key(mount, &name));
                // The upload writes the whole file again.
                let flags = if longest < 1_000_000 { OpenFlags::READ | OpenFlags::WRITE } else { CREATE };
                ((mount, name), flags, longest.min(1_000_000) + 16)
            }
            3 if !self.removable.is_empty() => (self.take_removable(), CREATE, len.max(16)),
            4 => (self.fresh(), CREATE | OpenFlags::EXCLUSIVE, len),
            _ => (self.fresh(), CREATE, len),
        };
        let key = key(mount, &name);
        if self.random.below(40) == 0 {
            let verb = *self.random.one_of(&[Verb::Put, Verb::UploadPart, Verb::CompleteUpload]);
            let until = Instant::now() + Duration::from_secs(u64::try_from(self.random.below(2_000)).unwrap());
            self.holds.push((until, self.wharf.bucket.hold_key(verb, &key)));
        }
        let bytes = self.unique(len);
        let operation = self.ear.record.add(ChannelOperation::new(OperationKind::Upload(bytes), mount, key));
        self.send(PendingRequest::Open(operation), request::open(&path(mount, &name), flags)).await
    }

    /// Returns the length of the longest content that `key` may have.
    fn longest(&self, key: &str) -> usize {
        let uploaded = self.ear.record.operations.iter().filter_map(|operation| match &operation.work {
            OperationKind::Upload(bytes) if operation.key == key => Some(bytes.len()),
            _ => None,
        });
        uploaded.chain(self.ear.record.seeds.get(key).map(Bytes::len)).max().unwrap_or(0)
    }

    fn take_removable(&mut self) -> (usize, String) {
        let number = self.random.below(self.removable.len());
        self.removable.swap_remove(number)
    }

    async fn write(&mut self, number: usize) -> Result<(), Gone> {
        let opened = &mut self.ear.opened[number];
        if std::mem::replace(&mut opened.is_written, true) {
            return Ok(());
        }
        let (operation, handle) = (opened.operation, opened.handle.clone());
        let OperationKind::Upload(bytes) = &self.ear.record.operations[operation].work else { unreachable!() };
        let mut rest = bytes.clone();
        let mut offset = 0;
        while !rest.is_empty() {
            let data = rest.split_to(rest.len().min(MAX_WRITE_BYTES));
            let len = data.len();
            self.ear.until(|ear| ear.in_flight_bytes + len <= MAX_IN_FLIGHT_BYTES).await;
            self.send(PendingRequest::Write(operation, len), request::write(&handle, offset, data)).await?;
            offset += len as u64;
        }
        Ok(())
    }

    /// Sends the remaining WRITEs of an upload, and its CLOSE.
    async fn close_one(&mut self) -> Result<(), Gone> {
        if self.ear.opened.is_empty() {
            return Ok(());
        }
        let number = self.random.below(self.ear.opened.len());
        self.write(number).await?;
        let Opened { operation, handle, .. } = self.ear.opened.swap_remove(number);
        if self.random.below(8) == 0 {
            self.ear.until(|ear| ear.record.operations[operation].unanswered_writes == 0).await;
        }
        self.send(PendingRequest::Close(operation), request::close(&handle)).await?;
        let ChannelOperation { mount, key, .. } = &self.ear.record.operations[operation];
        let name = key.strip_prefix(MOUNTS[*mount].1).unwrap().to_owned();
        let name = (*mount, name);
        let is_open = self.ear.opened.iter().any(|opened| self.ear.record.operations[opened.operation].key == *key);
        let is_renamed = self.ear.record.renames_of(key).next().is_some();
        if !self.old.contains(&name) && !is_open && !is_renamed {
            self.removable.push(name);
        }
        Ok(())
    }

    async fn mkdir(&mut self) -> Result<(), Gone> {
        let (mount, name) = self.fresh();
        self.change(OperationKind::Mkdir, mount, key(mount, &name) + "/", request::mkdir(&path(mount, &name))).await
    }

    async fn rmdir(&mut self) -> Result<(), Gone> {
        let Some((mount, name)) = self.empty_directories.pop() else { return Ok(()) };
        self.change(OperationKind::Rmdir, mount, key(mount, &name) + "/", request::rmdir(&path(mount, &name))).await
    }

    async fn remove(&mut self) -> Result<(), Gone> {
        if self.removable.is_empty() {
            return Ok(());
        }
        let (mount, name) = self.take_removable();
        self.change(OperationKind::Remove, mount, key(mount, &name), request::remove(&path(mount, &name))).await
    }

    async fn rename(&mut self) -> Result<(), Gone> {
        if self.removable.is_empty() {
            return Ok(());
        }
        let (mount, source) = self.take_removable();
        let target = self.rename_of(mount, &source).await?;
        self.removable.push((mount, target));
        Ok(())
    }

    /// Sends a RENAME of an upload before its CLOSE.
    async fn rename_open(&mut self) -> Result<(), Gone> {
        if self.ear.opened.is_empty() {
            return Ok(());
        }
        let number = self.random.below(self.ear.opened.len());
        let ChannelOperation { mount, key, .. } = &self.ear.record.operations[self.ear.opened[number].operation];
        let (mount, source) = (*mount, key.strip_prefix(MOUNTS[*mount].1).unwrap().to_owned());
        let is_fresh = !self.ear.record.seeds.contains_key(key) && self.ear.record.renames_of(key).next().is_none();
        if is_fresh && !self.old.contains(&(mount, source.clone())) {
            self.rename_of(mount, &source).await?;
        }
        Ok(())
    }

    async fn rename_of(&mut self, mount: usize, source: &str) -> Result<String, Gone> {
        let (_, target) = self.fresh();
        let work = OperationKind::Rename(key(mount, &target));
        let paths = (path(mount, source), path(mount, &target));
        if self.random.below(2) == 0 {
            self.change(work, mount, key(mount, source), request::posix_rename(&paths.0, &paths.1)).await?;
        } else {
            self.change(work, mount, key(mount, source), request::rename(&paths.0, &paths.1)).await?;
        }
        Ok(target)
    }

    async fn rename_tree(&mut self) -> Result<(), Gone> {
        let Some((mount, source)) = self.trees.pop() else { return Ok(()) };
        let (_, target) = self.fresh();
        let work = OperationKind::RenameTree(key(mount, &target) + "/");
        let rename = request::rename(&path(mount, &source), &path(mount, &target));
        self.change(work, mount, key(mount, &source) + "/", rename).await
    }

    async fn create(&mut self) -> Result<(), Gone> {
        let (mount, name) = self.fresh();
        let open = request::open(&path(mount, &name), OpenFlags::READ | OpenFlags::CREATE);
        self.change(OperationKind::Create, mount, key(mount, &name), open).await
    }

    async fn change(
        &mut self,
        work: OperationKind,
        mount: usize,
        key: String,
        request: impl FnOnce(u32) -> Request,
    ) -> Result<(), Gone> {
        let operation = self.ear.record.add(ChannelOperation::new(work, mount, key));
        self.send(PendingRequest::Change(operation), request).await
    }

    /// Waits for the reply to one request.
    async fn hear_of_one(&mut self) -> Result<(), Gone> {
        let mut unanswered: Vec<_> = self.ear.asked.keys().copied().collect();
        unanswered.sort_unstable();
        if !unanswered.is_empty() {
            let id = *self.random.one_of(&unanswered);
            self.ear.until(|ear| !ear.asked.contains_key(&id)).await;
        }
        Ok(())
    }

    /// Sends a request, and records it behind all replies that have arrived by then.
    async fn send(&mut self, asked: PendingRequest, request: impl FnOnce(u32) -> Request) -> Result<(), Gone> {
        self.ear.catch_up();
        let Some(mouth) = &mut self.mouth else { return Err(Gone) };
        let id = self.ear.note_sent(asked);
        let mut bytes = BytesMut::new();
        request(id).encode(&mut bytes);
        let taken_in = {
            let feeding = mouth.feed(&bytes);
            tokio::pin!(feeding);
            loop {
                tokio::select! {
                    biased;
                    taken_in = &mut feeding => break taken_in,
                    () = self.ear.more() => {}
                }
            }
        };
        if taken_in.is_err() {
            self.vanish();
            return Err(Gone);
        }
        Ok(())
    }

    /// Drops the connection.
    fn vanish(&mut self) {
        self.ear.catch_up();
        self.mouth = None;
        self.ear.record.is_gone = true;
    }

    /// Checks that the channel works at the end of the round, when nothing delays a change any more. Returns the
    /// record.
    pub async fn end(mut self) -> ChannelRecord {
        self.holds.clear();
        if self.mouth.is_some() {
            for mount in 0..MOUNTS.len() {
                let name = format!("c{}end", self.number);
                let made = self.change(
                    OperationKind::Mkdir,
                    mount,
                    key(mount, &name) + "/",
                    request::mkdir(&path(mount, &name)),
                );
                assert!(made.await.is_ok());
            }
            timeout(Duration::from_secs(10), self.ear.until(|ear| ear.asked.is_empty()))
                .await
                .expect("nothing is held up");
        }
        self.ear.record
    }
}

impl Ear {
    fn note_sent(&mut self, asked: PendingRequest) -> u32 {
        self.clock += 1;
        let place = self.clock;
        match asked {
            PendingRequest::Open(operation) => self.record.operations[operation].begun = place,
            PendingRequest::Close(operation) => self.record.operations[operation].come(place),
            PendingRequest::Change(operation) => {
                let operation = &mut self.record.operations[operation];
                operation.begun = place;
                operation.come(place);
            }
            PendingRequest::Write(operation, len) => {
                self.record.operations[operation].unanswered_writes += 1;
                self.in_flight_bytes += len;
            }
            PendingRequest::Other => {}
        }
        let id = u32::try_from(place).unwrap();
        self.asked.insert(id, asked);
        id
    }

    /// Records the replies that have arrived, without waiting.
    fn catch_up(&mut self) {
        while unconstrained(self.more()).now_or_never().is_some() {}
    }

    /// Waits for a reply and records it.
    async fn more(&mut self) {
        assert!(self.incoming.receive().await, "the server closed the channel");
        while let Some(id) = self.incoming.order.get(self.recorded_replies).copied() {
            self.recorded_replies += 1;
            let reply = self.incoming.reply(id).await;
            self.note(id, reply);
        }
    }

    /// Receives replies until the condition holds.
    async fn until(&mut self, is_so: impl Fn(&Self) -> bool) {
        while !is_so(self) {
            let heard = timeout(PATIENCE, self.more()).await;
            assert!(heard.is_ok(), "there are {} requests without an answer\n{:?}", self.asked.len(), self.record);
        }
    }

    /// Receives replies until the pause is over.
    async fn during(&mut self, pause: Duration) {
        let until = Instant::now() + pause;
        while timeout_at(until, self.more()).await.is_ok() {}
    }

    fn note(&mut self, id: u32, reply: Reply) {
        self.clock += 1;
        let asked = self.asked.remove(&id).expect("it was asked");
        let (handle, outcome) = match reply {
            Reply::Handle { handle, .. } => (Some(handle), Ok(())),
            Reply::Status { code: StatusCode::Ok, .. } => (None, Ok(())),
            Reply::Status { message, .. } => (None, Err(message.to_string())),
            other => panic!("{other:?}"),
        };
        match asked {
            PendingRequest::Open(operation) => {
                self.opened.extend(handle.map(|handle| Opened { operation, handle, is_written: false }));
            }
            PendingRequest::Write(operation, len) => {
                self.in_flight_bytes -= len;
                let operation = &mut self.record.operations[operation];
                operation.unanswered_writes -= 1;
                if operation.came.is_none() {
                    operation.was_told |= outcome.is_err();
                } else {
                    operation.was_told_after_close |= outcome.is_err();
                }
            }
            PendingRequest::Close(operation) | PendingRequest::Change(operation) => {
                self.readers.extend(handle);
                let answer = RecordedReply { place: self.clock, at: Instant::now(), outcome };
                self.record.operations[operation].answer = Some(answer);
            }
            PendingRequest::Other => {}
        }
    }
}
