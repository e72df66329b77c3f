//! The process that listens on an address, as Linux tells it in `/proc`. A process of another user shows its sockets to root
//! alone, and other systems show none.

use std::{
    fmt,
    fs::{self, DirEntry},
    net::{IpAddr, SocketAddr},
    path::Path,
    process,
};

/// The state of a socket that listens.
const LISTEN: &str = "0A";

/// A process that listens on an address.
#[derive(Debug)]
pub(super) struct Holder {
    process: u32,
    program: String,
}

impl Holder {
    /// The process that keeps others from listening on `address`, if it can be seen.
    pub(super) fn of(address: SocketAddr) -> Option<Self> {
        let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|table| fs::read_to_string(table).unwrap_or_default());
        let inodes = tables.iter().flat_map(|table| table.lines()).filter_map(|line| inode(line, address));
        let sockets: Vec<String> = inodes.map(|inode| format!("socket:[{inode}]")).collect();
        let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
        let mut ids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        let process = ids.find(|process| has_one_of(*process, &sockets))?;
        Some(Self { process, program: program(process)? })
    }

    /// True if another process has it that runs the same program.
    pub(super) fn is_another_server(&self) -> bool {
        !self.is_this_process() && program(process::id()).is_some_and(|program| program == self.program)
    }

    fn is_this_process(&self) -> bool {
        self.process == process::id()
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_this_process() {
            return f.write_str("another address in `listen` has it already");
        }
        write!(f, "`{}` has it (process {})", self.program, self.process)
    }
}

/// The inode of the socket in a line of `/proc/net/tcp`, if it listens on `address` or excludes it.
fn inode(line: &str, address: SocketAddr) -> Option<&str> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, inode) = (fields.get(1)?, fields.get(3)?, fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    let excludes =
        ip == hexadecimal(address.ip()) || ip.bytes().all(|digit| digit == b'0') || address.ip().is_unspecified();
    (*state == LISTEN && u16::from_str_radix(port, 16) == Ok(address.port()) && excludes).then_some(*inode)
}

/// An address as the tables of Linux have it: words of 32 bits in the order of this machine.
fn hexadecimal(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    hex::encode_upper(words.iter().flat_map(|word| u32::from_ne_bytes(*word).to_be_bytes()).collect::<Vec<u8>>())
}

fn has_one_of(process: u32, sockets: &[String]) -> bool {
    let is_one = |file: DirEntry| fs::read_link(file.path()).is_ok_and(|to| sockets.iter().any(|s| to == Path::new(s)));
    fs::read_dir(format!("/proc/{process}/fd")).is_ok_and(|files| files.filter_map(Result::ok).any(is_one))
}

fn program(process: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{process}/comm")).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn a_listener_is_found_by_each_address_that_it_excludes() {
        for (listens_on, excluded, other) in [
            ("127.0.0.1:0", ["127.0.0.1", "0.0.0.0"], Some("127.0.0.2")),
            ("0.0.0.0:0", ["127.0.0.1", "0.0.0.0"], None),
            ("[::1]:0", ["::1", "::"], Some("127.0.0.2")),
        ] {
            let Ok(listener) = TcpListener::bind(listens_on) else { continue };
            let port = listener.local_addr().unwrap().port();
            let holder = |ip: &str| Holder::of((ip.parse::<IpAddr>().unwrap(), port).into());
            for ip in excluded {
                assert!(holder(ip).unwrap().is_this_process(), "{listens_on} {ip}");
            }
            assert!(other.is_none_or(|ip| holder(ip).is_none()), "{listens_on}");
        }
    }
}
