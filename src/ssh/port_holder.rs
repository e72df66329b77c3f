//! The process that listens on an address, as Linux shows it in `/proc`. Only root sees the sockets of another user's
//! process, and other systems show none.

use rustix::process::geteuid;
use std::{
    fmt, fs,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    process,
};

/// The state code of a listening socket.
const LISTEN: &str = "0A";

/// The processes that listen on an address.
#[derive(Debug)]
pub(super) struct PortHolder(Vec<Socket>);

/// A listening socket and its process, if this process may inspect it.
#[derive(Debug)]
struct Socket {
    inode: String,
    user: u32,
    process: Option<Process>,
}

#[derive(Debug, Clone)]
struct Process {
    id: u32,
    program: String,
}

impl PortHolder {
    /// Returns the visible processes that prevent a bind to `address`, or `None` if there are none.
    pub(super) fn of(address: SocketAddr) -> Option<Self> {
        let mut sockets = Vec::new();
        for (table, is_v6) in [("/proc/net/tcp", false), ("/proc/net/tcp6", true)] {
            let table = fs::read_to_string(table).unwrap_or_default();
            sockets.extend(table.lines().filter_map(|line| socket(line, is_v6, address)));
        }
        let processes = fs::read_dir("/proc").ok()?.filter_map(Result::ok);
        for id in processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok()) {
            let Some(program) = program(id) else { continue };
            for target in targets(id) {
                let is_it = |socket: &&mut Socket| target == Path::new(&format!("socket:[{}]", socket.inode));
                if let Some(socket) = sockets.iter_mut().find(is_it) {
                    socket.process = Some(Process { id, program: program.clone() });
                }
            }
        }
        let holder = Self(sockets);
        (holder.process().is_some() || holder.is_of_this_user()).then_some(holder)
    }

    /// True if only servers like this one hold the address. Such a server runs the same program, or is an opaque
    /// process of this user, as a program with capabilities is.
    pub(super) fn is_another_server(&self) -> bool {
        let own = program(process::id());
        let is_server = |process: &Process| process.id != process::id() && own.as_ref() == Some(&process.program);
        self.is_of_this_user() || self.0.iter().all(|socket| socket.process.as_ref().is_some_and(is_server))
    }

    /// True if this process holds the address itself.
    pub(super) fn is_this_process(&self) -> bool {
        self.process().is_some_and(|holder| holder.id == process::id())
    }

    fn process(&self) -> Option<&Process> {
        self.0.iter().find_map(|socket| socket.process.as_ref())
    }

    /// True if every socket belongs to a process of this user that can't be inspected. For root other causes exist, so
    /// the answer is false.
    fn is_of_this_user(&self) -> bool {
        let user = geteuid();
        let is_ours = |socket: &Socket| socket.process.is_none() && socket.user == user.as_raw();
        !user.is_root() && !self.0.is_empty() && self.0.iter().all(is_ours)
    }
}

impl fmt::Display for PortHolder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.process() {
            None => f.write_str("a process of this user has it, which can't be looked into"),
            Some(Process { id, program }) => write!(f, "`{program}` has it (process {id})"),
        }
    }
}

/// Parses a line of the IPv4 or IPv6 table. Returns the socket if it listens on `address` or excludes it.
fn socket(line: &str, is_v6: bool, address: SocketAddr) -> Option<Socket> {
    let fields: Vec<&str> = line.split_ascii_whitespace().collect();
    let (local, state, user, inode) = (fields.get(1)?, fields.get(3)?, fields.get(7)?, fields.get(9)?);
    let (ip, port) = local.split_once(':')?;
    if *state != LISTEN || u16::from_str_radix(port, 16) != Ok(address.port()) {
        return None;
    }
    let is_any = ip.bytes().all(|digit| digit == b'0');
    let excludes = if is_v6 == address.is_ipv6() {
        is_any || address.ip().is_unspecified() || ip == hexadecimal(address.ip())
    } else {
        // A socket on `[::]` accepts IPv4 too.
        (is_v6 && is_any) || (address.is_ipv6() && address.ip().is_unspecified())
    };
    excludes.then_some(Socket { inode: (*inode).to_owned(), user: user.parse().ok()?, process: None })
}

/// Formats an address as the tables of Linux do: words of 32 bits in this machine's byte order.
fn hexadecimal(ip: IpAddr) -> String {
    let octets = match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let (words, _) = octets.as_chunks::<4>();
    hex::encode_upper(words.iter().flat_map(|word| u32::from_ne_bytes(*word).to_be_bytes()).collect::<Vec<u8>>())
}

/// Returns the targets of the process's open files, as far as this process may inspect them.
fn targets(process: u32) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten();
    files.filter_map(|file| fs::read_link(file.ok()?.path()).ok())
}

fn program(process: u32) -> Option<String> {
    Some(fs::read_to_string(format!("/proc/{process}/comm")).ok()?.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Returns the table line of a listening socket of user 1000.
    fn listed(ip: &str) -> String {
        format!("0: {ip}:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0")
    }

    #[test]
    fn only_sockets_that_exclude_an_address_count() {
        const ANY: &str = "00000000000000000000000000000000";
        const LOOPBACK: &str = "00000000000000000000000001000000";
        let excludes = |ip: &str, is_v6, address: &str| socket(&listed(ip), is_v6, address.parse().unwrap()).is_some();
        for (ip, is_v6, address, expected) in [
            ("00000000", false, "127.0.0.1:22", true),
            ("0100007F", false, "127.0.0.1:22", true),
            ("0100007F", false, "127.0.0.2:22", false),
            ("0100007F", false, "0.0.0.0:22", true),
            ("0100007F", false, "[::]:22", true),
            ("0100007F", false, "[::1]:22", false),
            ("0100007F", false, "127.0.0.1:2222", false),
            (ANY, true, "127.0.0.1:22", true),
            (ANY, true, "[::1]:22", true),
            (LOOPBACK, true, "0.0.0.0:22", false),
            (LOOPBACK, true, "[::]:22", true),
            (LOOPBACK, true, "[::1]:22", true),
        ] {
            assert_eq!(excludes(ip, is_v6, address), expected, "{ip} {address}");
        }
    }

    #[test]
    fn a_listener_is_found_by_each_address_that_it_excludes() {
        for (listens_on, excluded, other) in [
            ("127.0.0.1:0", ["127.0.0.1", "0.0.0.0"], Some("127.0.0.2")),
            ("0.0.0.0:0", ["127.0.0.1", "0.0.0.0"], None),
            ("[::1]:0", ["::1", "::"], Some("127.0.0.2")),
        ] {
            let Ok(listener) = TcpListener::bind(listens_on) else { continue };
            let port = listener.local_addr().unwrap().port();
            let holder = |ip: &str| PortHolder::of((ip.parse::<IpAddr>().unwrap(), port).into());
            for ip in excluded {
                assert!(holder(ip).unwrap().is_this_process(), "{listens_on} {ip}");
            }
            assert!(other.is_none_or(|ip| holder(ip).is_none()), "{listens_on}");
        }
    }
}
