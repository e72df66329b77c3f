//! The settings of russh: what is offered to which client, and the bounds of a connection.

use super::{
    Algorithms, HostKeys, Settings, auth::login_methods, greeting::IDENTIFICATION, host_key_signer::RsaSigner,
};
use russh::{
    Limits, SshId,
    keys::PrivateKey,
    server::{self, HostKeySigner},
};
use std::{sync::Arc, time::Duration};

/// Measured: larger windows and packets gain nothing. It bounds no memory, since russh opens the window on receipt.
const WINDOW_BYTES: u32 = 8 << 20;
const MAX_PACKET_BYTES: u32 = 64 << 10;

/// Refused keys, and everything else that russh refuses by itself, within one login.
const MAX_KEY_OFFERS: usize = 20;

/// Refusals of keys take this long, whatever the reason.
const REFUSAL_TIME: Duration = Duration::from_millis(250);

/// A client that takes nothing of what was sent for this long is gone, even if we can't ask it for a sign of life
/// meanwhile. Well above the minute that a session may hold its connection up.
const MIN_WRITE_TIMEOUT: Duration = Duration::from_mins(3);

/// The configs of russh: one for each list of algorithms that is offered.
pub struct Configs {
    /// All algorithms of the settings.
    pub all: Arc<server::Config>,
    /// AES-GCM alone, for clients that know it; `None` if the settings don't prefer it, or don't have it.
    pub gcm: Option<Arc<server::Config>>,
}

impl Configs {
    /// The configs for a server with these settings and host keys.
    pub fn new(settings: &Settings, host_keys: HostKeys) -> Self {
        let keys = host_keys.into_keys();
        let signer: Arc<dyn HostKeySigner> = Arc::new(RsaSigner::new(&keys));
        let config =
            |algorithms: &Algorithms| Arc::new(russh_config(settings, algorithms, keys.clone(), Arc::clone(&signer)));
        let gcm = settings.algorithms.with_gcm_alone().filter(|_| settings.prefer_gcm);
        Self { all: config(&settings.algorithms), gcm: gcm.as_ref().map(config) }
    }

    /// The config for a client that knows `ciphers`, as far as the server knows.
    pub fn offering(&self, ciphers: Option<&[String]>) -> &Arc<server::Config> {
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
    // russh would ask for signs of life during a login too, which some clients (PuTTY) take for an attack.
    let keepalive_interval = settings.keepalive_interval.max(settings.login_timeout);
    let max_unanswered = u32::try_from(settings.keepalive_max).unwrap_or(u32::MAX);
    let until_dead = keepalive_interval.saturating_mul(max_unanswered.saturating_add(2));
    server::Config {
        server_id: SshId::Standard(IDENTIFICATION.into()),
        methods: login_methods(),
        auth_rejection_time: REFUSAL_TIME,
        // OpenSSH begins with `none`, to ask for the methods.
        auth_rejection_time_initial: Some(Duration::ZERO),
        keys,
        host_key_signer: Some(signer),
        limits: Limits::default(),
        window_size: WINDOW_BYTES,
        maximum_packet_size: MAX_PACKET_BYTES,
        // Unused: nobody reads from russh's channels, the bytes are taken as they come.
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

    /// Issue 12.1: RSA host keys sign by aws-lc, whatever is offered.
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
