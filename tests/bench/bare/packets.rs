//! Packets as large as those of OpenSSH's client, sealed as in RFC 5647: a cleartext length, the ciphertext, a tag.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use std::{
    io::{self, Read, Write},
    net::TcpStream,
};

/// File data in one packet.
pub const DATA_BYTES: usize = 32 << 10;
const LENGTH_BYTES: usize = 4;
const TAG_BYTES: usize = 16;
/// Room for the SSH and SFTP headers before the data.
const HEADER_BYTES: usize = 32;
const BODY_BYTES: usize = HEADER_BYTES + DATA_BYTES;
const PACKET_BYTES: usize = LENGTH_BYTES + BODY_BYTES + TAG_BYTES;
/// Limit on one read.
const BUFFER_BYTES: usize = 8 * PACKET_BYTES;
const LENGTH: [u8; LENGTH_BYTES] = (BODY_BYTES as u32).to_be_bytes();

/// A fixed key that both sides know, and the number of the next packet.
struct Cipher {
    key: LessSafeKey,
    number: u64,
}

impl Cipher {
    fn new() -> Self {
        let key = UnboundKey::new(&AES_256_GCM, &[7; 32]).expect("32 bytes are a key");
        Self { key: LessSafeKey::new(key), number: 0 }
    }

    fn nonce(&mut self) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[NONCE_LEN - 8..].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

/// Receives packets.
pub struct Opener<'a> {
    stream: &'a TcpStream,
    cipher: Cipher,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'a> Opener<'a> {
    pub fn new(stream: &'a TcpStream) -> Self {
        Self { stream, cipher: Cipher::new(), buffer: vec![0; BUFFER_BYTES], start: 0, end: 0 }
    }

    /// Returns the data of the next packet.
    pub fn next(&mut self) -> io::Result<&[u8]> {
        while self.end - self.start < PACKET_BYTES {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            match self.stream.read(&mut self.buffer[self.end..])? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => self.end += read,
            }
        }
        let sealed = &mut self.buffer[self.start + LENGTH_BYTES..self.start + PACKET_BYTES];
        self.start += PACKET_BYTES;
        let nonce = self.cipher.nonce();
        let body = self.cipher.key.open_in_place(nonce, Aad::from(LENGTH), sealed).expect("nobody has touched it");
        Ok(&body[HEADER_BYTES..])
    }
}

/// Sends packets.
pub struct Sealer<'a> {
    stream: &'a TcpStream,
    cipher: Cipher,
    packet: Vec<u8>,
}

impl<'a> Sealer<'a> {
    pub fn new(stream: &'a TcpStream) -> Self {
        Self { stream, cipher: Cipher::new(), packet: vec![0; PACKET_BYTES] }
    }

    /// Sends a packet. `fill` writes its data.
    pub fn send(&mut self, fill: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<()> {
        let (length, sealed) = self.packet.split_at_mut(LENGTH_BYTES);
        let (body, tag) = sealed.split_at_mut(BODY_BYTES);
        length.copy_from_slice(&LENGTH);
        fill(&mut body[HEADER_BYTES..])?;
        let nonce = self.cipher.nonce();
        let made = self.cipher.key.seal_in_place_separate_tag(nonce, Aad::from(LENGTH), body).expect("it is short");
        tag.copy_from_slice(made.as_ref());
        self.stream.write_all(&self.packet)
    }
}
