//! Request and response bodies at the least cost: received bytes are dropped in the kernel, sent ones come from one
//! small buffer.

use socket2::SockRef;
use std::{
    io::{self, Write},
    mem::MaybeUninit,
    net::TcpStream,
    thread::sleep,
    time::{Duration, Instant},
};

/// Period of the pattern in every object. It is short enough to stay in the processor's cache: sending from files with
/// sendfile costs more than ten times as much. It is a prime, so equal blocks are far apart.
pub const PATTERN_BYTES: usize = 983_063;
/// Bytes to move before the next look at the clock, if the bandwidth is limited.
const PACED_BYTES: u64 = 128 << 10;
/// Limit on the bytes that one call drops.
const DROPPED_BYTES: usize = 4 << 20;
/// `MSG_TRUNC` of Linux: on a TCP socket, `recv` drops the bytes instead of copying them (tcp(7)).
const MSG_TRUNC: i32 = 0x20;

/// The content of every object.
pub struct ContentPattern(Vec<u8>);

impl ContentPattern {
    /// Makes the pattern. No two runs of eight bytes in it are the same.
    pub fn new() -> Self {
        let words =
            (0..PATTERN_BYTES.div_ceil(8)).flat_map(|at| (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes());
        Self(words.take(PATTERN_BYTES).collect())
    }
}

/// Sends `bytes` of an object, starting at `offset`.
pub fn send(
    mut stream: &TcpStream,
    pattern: &ContentPattern,
    offset: u64,
    bytes: u64,
    pace: &mut BandwidthLimit,
) -> io::Result<()> {
    let mut sent = 0;
    while sent < bytes {
        let at = usize::try_from((offset + sent) % PATTERN_BYTES as u64).unwrap_or_default();
        let rest = pattern.0.get(at..).unwrap_or_default();
        let step = usize::try_from((bytes - sent).min(pace.step())).unwrap_or(usize::MAX).min(rest.len());
        stream.write_all(rest.get(..step).unwrap_or_default())?;
        sent += step as u64;
        pace.moved(step as u64);
    }
    Ok(())
}

/// Drops the next `bytes` from the client.
pub fn discard(
    stream: &TcpStream,
    scratch: &mut Vec<MaybeUninit<u8>>,
    bytes: u64,
    pace: &mut BandwidthLimit,
) -> io::Result<()> {
    scratch.resize(DROPPED_BYTES, MaybeUninit::uninit());
    let socket = SockRef::from(stream);
    let mut left = bytes;
    while left > 0 {
        let step = usize::try_from(left.min(pace.step())).unwrap_or(DROPPED_BYTES).min(DROPPED_BYTES);
        let room = scratch.get_mut(..step).unwrap_or_default();
        match socket.recv_with_flags(room, MSG_TRUNC)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            dropped => {
                left = left.saturating_sub(dropped as u64);
                pace.moved(dropped as u64);
            }
        }
    }
    Ok(())
}

/// Limits the bandwidth of a body.
pub struct BandwidthLimit {
    /// In bytes a second.
    bandwidth: Option<u64>,
    begun: Instant,
    moved: u64,
}

impl BandwidthLimit {
    pub fn new(bandwidth: Option<u64>) -> Self {
        Self { bandwidth, begun: Instant::now(), moved: 0 }
    }

    fn step(&self) -> u64 {
        if self.bandwidth.is_some() { PACED_BYTES } else { u64::MAX }
    }

    fn moved(&mut self, bytes: u64) {
        let Some(bandwidth) = self.bandwidth else { return };
        self.moved += bytes;
        let due = self.begun + Duration::from_micros(self.moved.saturating_mul(1_000_000) / bandwidth);
        sleep(due.saturating_duration_since(Instant::now()));
    }
}
