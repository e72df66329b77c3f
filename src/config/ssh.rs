//! The `[ssh]` table.

use super::{
    document::ConfigTable,
    value::{Value, parsed, words},
};
use crate::{
    policy::{ConnectionLimits, LoggedInLimits, LoginRate},
    ssh::{Algorithms, Cipher, HostKeyKind, KeyExchange, Mac, ProxyProtocol, Settings},
};
use ipnet::IpNet;
use std::num::{NonZeroU32, NonZeroUsize};

parsed! {
    HostKeyKind: "`ed25519`, `rsa` or `ecdsa`",
    KeyExchange: "the name of a key exchange",
    Cipher: "the name of a cipher",
    Mac: "the name of a MAC",
}

/// The value of `proxy_protocol`, without `proxy_from`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ProxyWord {
    Off,
    Require,
}

words!(ProxyWord { "off" => ProxyWord::Off, "require" => ProxyWord::Require });

/// Reads the SSH settings. Absent keys have the values of [`Settings::default`].
pub(super) fn read(ssh: &mut ConfigTable<'_>) -> Option<Settings> {
    let default = Settings::default();
    let (host_key_directory, host_key_kinds) = ssh.table("host_keys", |host_keys| {
        let directory = host_keys.or("directory", default.host_key_directory);
        let directory = host_keys.resolve(&directory);
        for kind in HostKeyKind::ALL {
            host_keys.report().add_named_file(&directory.join(kind.file_name()));
        }
        Some((directory, some(host_keys, "kinds", default.host_key_kinds)))
    })?;
    Some(Settings {
        listen: some(ssh, "listen", default.listen),
        proxy_protocol: read_proxy_protocol(ssh),
        shared_sources: ssh.list("shared_sources").unwrap_or(default.shared_sources),
        host_key_directory,
        host_key_kinds,
        prefer_gcm: ssh.or("prefer_gcm", default.prefer_gcm),
        algorithms: ssh.table("algorithms", |table| Some(read_algorithms(table, default.algorithms)))?,
        login_timeout: ssh.or("login_timeout", default.login_timeout),
        idle_timeout: ssh.or("idle_timeout", default.idle_timeout),
        keepalive_interval: ssh.or("keepalive_interval", default.keepalive_interval),
        keepalive_max: ssh.optional("keepalive_max").map_or(default.keepalive_max, NonZeroUsize::get),
        connections: read_connections(ssh, &default.connections),
        max_login_tries: ssh.optional("max_login_tries").map_or(default.max_login_tries, NonZeroU32::get),
        password_checks: ssh.or("password_checks", default.password_checks),
    })
}

fn read_proxy_protocol(ssh: &mut ConfigTable<'_>) -> ProxyProtocol {
    let before = ssh.report().count();
    let word = ssh.or("proxy_protocol", ProxyWord::Off);
    let from = ssh.list::<IpNet>("proxy_from");
    let is_right = ssh.report().count() == before;
    match (word, from) {
        (ProxyWord::Off, Some(_)) if is_right => {
            ssh.problem(
                "proxy_from",
                "means nothing where `proxy_protocol` is \"off\"; say \"require\", or leave it out",
            );
        }
        (ProxyWord::Require, from) if is_right && from.as_ref().is_none_or(Vec::is_empty) => {
            let takes = IpNet::TAKES;
            let message = format!("is empty; where `proxy_protocol` is \"require\" it takes one or more, each {takes}");
            ssh.problem("proxy_from", message);
        }
        (ProxyWord::Require, Some(from)) => return ProxyProtocol::Require(from),
        _ => {}
    }
    ProxyProtocol::Off
}

fn read_algorithms(table: &mut ConfigTable<'_>, default: Algorithms) -> Algorithms {
    Algorithms {
        key_exchanges: some(table, "key_exchanges", default.key_exchanges),
        ciphers: some(table, "ciphers", default.ciphers),
        macs: some(table, "macs", default.macs),
    }
}

fn read_connections(ssh: &mut ConfigTable<'_>, default: &ConnectionLimits) -> ConnectionLimits {
    let LoginRate { burst, per_second } = default.unfinished_logins;
    let unfinished_logins = LoginRate {
        burst: ssh.optional("login_burst").map_or(burst, NonZeroU32::get),
        per_second: ssh.optional("login_rate").map_or(per_second, NonZeroU32::get),
    };
    let mut limit = |key, default| ssh.optional(key).map_or(default, NonZeroUsize::get);
    let total = limit("max_connections", default.logged_in.total);
    let LoggedInLimits { per_tenant, per_user, per_source, .. } = LoggedInLimits::of(total);
    let logged_in = LoggedInLimits {
        total,
        per_tenant: limit("max_connections_per_tenant", per_tenant),
        per_user: limit("max_connections_per_user", per_user),
        per_source: limit("max_connections_per_source", per_source),
    };
    ConnectionLimits {
        logged_in,
        unauthenticated: limit("max_unauthenticated", default.unauthenticated),
        unauthenticated_per_source: limit("max_unauthenticated_per_source", default.unauthenticated_per_source),
        unfinished_logins,
    }
}

/// Reads a list with at least one element.
fn some<T: Value>(table: &mut ConfigTable<'_>, key: &'static str, default: Vec<T>) -> Vec<T> {
    let before = table.report().count();
    match table.list(key) {
        None => default,
        Some(list) => {
            if list.is_empty() && table.report().count() == before {
                table.problem(key, format!("is empty; it takes one or more, each {}", T::TAKES));
            }
            list
        }
    }
}
