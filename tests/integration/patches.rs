//! Issue 12.1: this build uses the russh that the files in `patches/` make, and that russh behaves as each patch says.
//! The client suites test the rest.

use crate::support::sftp::TrustingClient;
use parking_lot::Mutex;
use russh::{
    Names,
    client::{self, AuthResult},
    keys::{
        Algorithm, HashAlg, PrivateKey, PublicKey,
        agent::AgentIdentity,
        key::safe_rng,
        signature::Signer as _,
        ssh_key::{
            private::Ed25519Keypair,
            public::{KeyData, SkEd25519},
        },
    },
    server::{self, Auth, PublicKeyOffer, VerifiedPublicKey},
};
use sha2::{Digest as _, Sha256};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::{io::duplex, time::Instant};

fn patches() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("patches/russh-0.65.1");
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn russh_carries_the_patches_of_the_repository() {
    let mut hash = Sha256::new();
    for file in patches() {
        hash.update(fs::read(file).unwrap());
    }
    assert_eq!(
        russh::PATCHES,
        hex::encode(hash.finalize()),
        "the patches were changed: set WHARFINGER_RUSSH_PATCHES in .cargo/config.toml to what `scripts/rustc-patched --hash` \
         prints"
    );
}

#[test]
fn a_patch_says_why_and_holds_no_more_than_a_line_of_context() {
    for path in patches() {
        let text = fs::read_to_string(&path).unwrap();
        let (reason, hunks) = text.split_once("\n--- a/").unwrap();
        assert!(reason.len() > 50, "{}", path.display());
        let hunks: Vec<_> = hunks.lines().collect();
        for three in hunks.windows(3) {
            assert!(!three.iter().all(|line| line.starts_with(' ')), "{}: {three:?}", path.display());
        }
    }
}

/// Delay before a refusal.
const REFUSAL: Duration = Duration::from_secs(5);

#[derive(Clone, Debug, Default)]
struct HandlerCalls(Arc<Mutex<Vec<String>>>);

impl HandlerCalls {
    fn add(&self, what: impl Into<String>) {
        self.0.lock().push(what.into());
    }

    fn count(&self, what: &str) -> usize {
        self.0.lock().iter().filter(|call| *call == what).count()
    }
}

/// A server that counts every password but `wrong` as a passed step, and accepts every key.
struct RecordingHandler(HandlerCalls);

impl server::Handler for RecordingHandler {
    type Error = russh::Error;

    async fn run_arithmetic<T: Send + 'static>(
        &mut self,
        arithmetic: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, russh::Error> {
        self.0.add("arithmetic");
        Ok(arithmetic())
    }

    fn keys_exchanged(&mut self, client_id: &[u8], names: &Names) {
        assert!(client_id.starts_with(b"SSH-2.0-"));
        self.0.add(format!("exchanged with {}", names.key));
    }

    async fn auth_password(&mut self, _user: &str, password: &str) -> Result<Auth, russh::Error> {
        Ok(Auth::Reject { proceed_with_methods: None, partial_success: password != "wrong" })
    }

    async fn auth_publickey_offered(&mut self, _: &str, _: PublicKeyOffer<'_>) -> Result<Auth, russh::Error> {
        Ok(Auth::Accept)
    }

    fn signed_by_security_key(&mut self, flags: u8, counter: u32) {
        self.0.add(format!("flags {flags:#04x}, counter {counter}"));
    }

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, russh::Error> {
        self.0.add(format!("key {}", key.algorithm));
        Ok(Auth::Accept)
    }
}

async fn connect(calls: &HandlerCalls) -> client::Handle<TrustingClient> {
    let (near, far) = duplex(1 << 20);
    let config = server::Config {
        keys: vec![PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).unwrap()],
        auth_rejection_time: REFUSAL,
        ..server::Config::default()
    };
    let handler = RecordingHandler(calls.clone());
    tokio::spawn(async move { server::run_stream(Arc::new(config), far, handler).await?.await });
    client::connect_stream(Arc::default(), near, TrustingClient).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_passed_step_is_answered_at_once_and_a_refusal_is_not() {
    let mut client = connect(&HandlerCalls::default()).await;
    for (password, passes) in [("right", true), ("wrong", false)] {
        let began = Instant::now();
        let answer = client.authenticate_password("alice", password).await.unwrap();
        let AuthResult::Failure { partial_success, .. } = answer else { panic!("one step is not all") };
        assert_eq!(partial_success, passes);
        assert_eq!(began.elapsed() < REFUSAL, passes, "{password}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_handler_performs_the_arithmetic_of_each_exchange_and_hears_of_its_algorithms() {
    let calls = HandlerCalls::default();
    let mut client = connect(&calls).await;
    let key = SecurityKey::new(1, 1);
    assert!(key.log_in(&mut client).await.success());
    assert_eq!((calls.count("arithmetic"), calls.count("exchanged with ssh-ed25519")), (1, 1));
    client.rekey_soon().await.unwrap();
    // The answer arrives after the exchange.
    client.send_ping().await.unwrap();
    assert_eq!((calls.count("arithmetic"), calls.count("exchanged with ssh-ed25519")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn the_flags_of_a_security_key_are_handed_out_before_its_login() {
    for (flags, counter) in [(0, 0), (1, 7), (5, u32::MAX)] {
        let calls = HandlerCalls::default();
        let mut client = connect(&calls).await;
        assert!(SecurityKey::new(flags, counter).log_in(&mut client).await.success());
        let flags = format!("flags {flags:#04x}, counter {counter}");
        let order: Vec<_> = calls.0.lock().iter().skip(2).cloned().collect();
        assert_eq!(order, [flags, "key sk-ssh-ed25519@openssh.com".into()]);
    }
}

/// A security key in software (OpenSSH's PROTOCOL.u2f).
struct SecurityKey {
    pair: Ed25519Keypair,
    flags: u8,
    counter: u32,
}

impl SecurityKey {
    fn new(flags: u8, counter: u32) -> Self {
        Self { pair: Ed25519Keypair::random(&mut safe_rng()), flags, counter }
    }

    async fn log_in(mut self, client: &mut client::Handle<TrustingClient>) -> AuthResult {
        let public = PublicKey::new(KeyData::SkEd25519(SkEd25519::new(self.pair.public, "ssh:")), "");
        client.authenticate_publickey_with("alice", public, None, &mut self).await.unwrap()
    }
}

impl russh::Signer for SecurityKey {
    type Error = russh::AgentAuthError;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        to_sign: Vec<u8>,
    ) -> Result<Vec<u8>, Self::Error> {
        let string = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
        let covered = [&self.flags.to_be_bytes()[..], &self.counter.to_be_bytes()].concat();
        let signed = [&Sha256::digest("ssh:")[..], &covered, &Sha256::digest(&to_sign)].concat();
        let signature = self.pair.try_sign(&signed).unwrap();
        let blob = [string(b"sk-ssh-ed25519@openssh.com"), string(signature.as_bytes()), covered].concat();
        Ok([to_sign, string(&blob)].concat())
    }
}
