//! Ports for servers that a test starts.
//!
//! The kernel gives outgoing connections, and listeners at port 0, a port of its range for them. A port of that range
//! that was free a moment ago may have an owner when the server starts: these ports are outside it.

use parking_lot::Mutex;
use std::{
    collections::hash_map::RandomState,
    fs,
    hash::BuildHasher as _,
    net::TcpListener,
    os::{linux::net::SocketAddrExt as _, unix::net},
};

/// Lowest port that services of the system rarely have.
const LOWEST: u16 = 10_000;

/// Returns ports that no other test on this machine gets while this process runs.
pub fn free_ports(count: usize) -> Vec<u16> {
    let candidates = outside(ephemeral());
    let start = usize::try_from(RandomState::new().hash_one(()) % 50_000).unwrap();
    let ports = candidates.iter().cycle().skip(start % candidates.len()).take(candidates.len());
    let free: Vec<_> = ports.copied().filter(|port| is_reserved(*port)).take(count).collect();
    assert_eq!(free.len(), count, "the machine has too few free ports");
    free
}

/// Returns one of [`free_ports`].
pub fn free_port() -> u16 {
    free_ports(1)[0]
}

/// Reserves a free port for this process: its name among the machine's abstract sockets is the reservation, which the
/// Python suites make too.
fn is_reserved(port: u16) -> bool {
    static RESERVED: Mutex<Vec<net::UnixListener>> = Mutex::new(Vec::new());
    let name = net::SocketAddr::from_abstract_name(format!("wharfinger-test-port-{port}")).unwrap();
    let Ok(reservation) = net::UnixListener::bind_addr(&name) else { return false };
    let is_free = TcpListener::bind(("127.0.0.1", port)).is_ok();
    if is_free {
        RESERVED.lock().push(reservation);
    }
    is_free
}

/// The kernel's range.
fn ephemeral() -> (u16, u16) {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let (first, last) = range.trim().split_once('\t').unwrap();
    (first.trim().parse().unwrap(), last.trim().parse().unwrap())
}

/// On a machine whose range is nearly everything, the ports are of that range.
fn outside((first, last): (u16, u16)) -> Vec<u16> {
    let outside: Vec<_> = (LOWEST..=u16::MAX).filter(|port| !(first..=last).contains(port)).collect();
    if outside.len() < 1_000 { (LOWEST..=u16::MAX).collect() } else { outside }
}
