//! The configs for russh: the algorithms for each kind of client, and the bounds of a connection.

use super::{
    Algorithms, HostKeys, Settings, auth::login_methods, greeting::IDENTIFICATION, host_key_signer::RsaSigner,
};
use russh::{
    Limits, SshId,
    keys::PrivateKey,
    server::{self, HostKeySigner},
};
use std::{sync::Arc, time::Duration};

/// Measurements show no gain from larger windows and packets. The window bounds no memory, because russh reopens it on
/// receipt.
const WINDOW_BYTES: u32 = 8 << 20;
const MAX_PACKET_BYTES: u32 = 64 << 10;

/// Bounds refused keys and all other requests that russh refuses by itself within one login.
const MAX_KEY_OFFERS: usize = 20;

/// Every refusal of a key takes this long, whatever the reason.
const REFUSAL_TIME: Duration = Duration::from_millis(250);

/// A client that accepts no bytes for this long is gone, even if keepalive requests can't reach it meanwhile. The limit
/// stays well above the minute for which a session may pause its connection.
const MIN_WRITE_TIMEOUT: Duration = Duration::from_mins(3);

/// The configs of russh, one for each offered list of algorithms.
pub(crate) struct Configs {
    /// All algorithms of the settings.
    pub(crate) all: Arc<server::Config>,
    /// AES-GCM alone, for clients that know it. `None` if the settings don't prefer AES-GCM or don't allow it.
    pub(crate) gcm: Option<Arc<server::Config>>,
}

impl Configs {
    /// Builds the configs from the settings and the host keys.
    pub(crate) fn new(settings: &Settings, host_keys: HostKeys) -> Self {
        let keys = host_keys.into_keys();
        let signer: Arc<dyn HostKeySigner> = Arc::new(RsaSigner::new(&keys));
        let config =
            |algorithms: &Algorithms| Arc::new(russh_config(settings, algorithms, keys.clone(), Arc::clone(&signer)));
        let gcm = settings.algorithms.with_gcm_alone().filter(|_| settings.prefer_gcm);
        Self { all: config(&settings.algorithms), gcm: gcm.as_ref().map(config) }
    }

    /// Returns the config for a client that knows `ciphers`; `None` means that the server hasn't learned the client's
    /// list.
    pub(crate) fn offering(&self, ciphers: Option<&[String]>) -> &Arc<server::Config> {
        let ciphers = ciphers.unwrap_or_default();
        let knows_any = |config: &&Arc<server::Config>| {
            config.preferred.cipher.iter().any(|ours| ciphers.iter().any(|theirs| theirs == ours.as_ref()))
        };
        self.gcm.as_ref().filter(knows_any).unwrap_or(&self.all)
    }
}

fn russh_config(
    settings: &Settings,
    algorithms: &Algorithms,
    keys: Vec<PrivateKey>,
    signer: Arc<dyn HostKeySigner>,
) -> server::Config {
    // russh would send keepalive requests during a login too. Some clients, such as PuTTY, take them for an attack.
    let keepalive_interval = settings.keepalive_interval.max(settings.login_timeout);
    let max_unanswered = u32::try_from(settings.keepalive_max).unwrap_or(u32::MAX);
    let until_dead = keepalive_interval.saturating_mul(max_unanswered.saturating_add(2));
    server::Config {
        server_id: SshId::Standard(IDENTIFICATION.into()),
        methods: login_methods(),
        auth_rejection_time: REFUSAL_TIME,
        // OpenSSH first tries `none`, to ask for the methods.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        host_key_signer: Some(signer),
        limits: Limits::default(),
        window_size: WINDOW_BYTES,
        maximum_packet_size: MAX_PACKET_BYTES,
        // The server takes bytes as they arrive and never reads from russh's channels, so this buffer stays empty.
        channel_buffer_size: 1,
        event_buffer_size: 64,
        preferred: algorithms.preferred(),
        max_auth_attempts: MAX_KEY_OFFERS.saturating_add(usize::try_from(settings.max_login_tries).unwrap_or(0)),
        inactivity_timeout: Some(until_dead.max(MIN_WRITE_TIMEOUT)),
        keepalive_interval: Some(keepalive_interval),
        keepalive_max: settings.keepalive_max,
        ..server::Config::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ssh::HostKeyKind;
    use russh::keys::HashAlg;

    /// Issue 12.1: aws-lc signs with RSA host keys, whichever algorithms the server offers.
    #[test]
    fn each_config_signs_with_its_rsa_keys_by_aws_lc() {
        let kinds = [HostKeyKind::Ed25519, HostKeyKind::Rsa];
        let configs = Configs::new(&Settings::default(), HostKeys::ephemeral(&kinds).unwrap());
        for config in [&configs.all, configs.gcm.as_ref().unwrap()] {
            let signer = config.host_key_signer.as_ref().unwrap();
            for key in &config.keys {
                let signature = signer.sign(key, Some(HashAlg::Sha512), b"hash");
                assert_eq!(signature.is_some(), key.algorithm().is_rsa());
                assert!(signature.is_none_or(|signature| signature.is_ok()));
            }
        }
    }

    /// Issue 12.5.
    #[test]
    fn gcm_alone_is_offered_to_those_who_know_one_that_is_allowed() {
        let configs = |settings| Configs::new(&settings, HostKeys::ephemeral(&[HostKeyKind::Ed25519]).unwrap());
        let offered = |configs: &Configs, ciphers: Option<&[&str]>| {
            let ciphers = ciphers.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            configs.offering(ciphers.as_deref()).preferred.cipher.len()
        };
        let default = configs(Settings::default());
        assert_eq!(offered(&default, Some(&["aes128-ctr", "aes128-gcm@openssh.com"])), 2);
        for others in [None, Some(&["aes128-ctr", "aes512-gcm@openssh.com"][..])] {
            assert_eq!(offered(&default, others), 4);
        }
        let off = configs(Settings { prefer_gcm: false, ..Settings::default() });
        assert_eq!(offered(&off, Some(&["aes128-gcm@openssh.com"])), 4);
    }
}
