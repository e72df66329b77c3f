//! Logins with passwords and keys.

use super::{Edge, alice};
use russh::{
    MethodKind,
    client::AuthResult,
    keys::{
        Algorithm, EcdsaCurve, HashAlg, PrivateKey, PrivateKeyWithHashAlg,
        key::safe_rng,
        ssh_key::private::{KeypairData, RsaKeypair},
    },
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use wharfinger::{
    account::{Credentials, User},
    ssh::Settings,
};

fn key(algorithm: Algorithm) -> Arc<PrivateKey> {
    Arc::new(match algorithm {
        Algorithm::Rsa { .. } => {
            PrivateKey::new(KeypairData::Rsa(RsaKeypair::random(&mut safe_rng(), 2_048).unwrap()), "").unwrap()
        }
        other => PrivateKey::random(&mut safe_rng(), other).unwrap(),
    })
}

fn alice_with(key: &PrivateKey) -> (User, Credentials) {
    let (alice, credentials) = alice();
    let key = key.public_key().to_openssh().unwrap().parse().unwrap();
    (alice, Credentials { public_keys: vec![key], ..credentials })
}

#[tokio::test]
async fn wrong_unknown_and_disabled_look_and_take_the_same() {
    let (user, credentials) = alice();
    let disabled = User { name: "carol".parse().unwrap(), enabled: false, ..user.clone() };
    let keys_only = User { name: "dave".parse().unwrap(), ..user };
    let logins = [alice(), (disabled, credentials), (keys_only, Credentials::default())];
    let edge = Edge::start_with(Settings::default(), logins);
    for (user, password) in [("alice", "wrong"), ("nobody", "right"), ("carol", "right"), ("dave", "right")] {
        let mut client = edge.connect().await;
        let started = Instant::now();
        let answer = client.authenticate_password(user, password).await.unwrap();
        let AuthResult::Failure { remaining_methods, partial_success } = answer else { panic!("{user} is in") };
        let methods = [MethodKind::PublicKey, MethodKind::Password, MethodKind::KeyboardInteractive];
        assert_eq!(*remaining_methods, methods, "{user}");
        assert!(!partial_success, "{user}");
        assert!(started.elapsed() >= Duration::from_secs(1), "{user}");
    }
}

#[tokio::test]
async fn a_password_may_be_mistyped_but_not_for_ever() {
    let edge = Edge::start(Settings { max_login_tries: 2, ..Settings::default() });
    let mut client = edge.connect().await;
    assert!(!client.authenticate_password("alice", "wrong").await.unwrap().success());
    assert!(client.authenticate_password("alice", "right").await.unwrap().success());

    let mut client = edge.connect().await;
    for _ in 0..2 {
        let _ = client.authenticate_password("alice", "wrong").await;
    }
    assert!(!client.authenticate_password("alice", "right").await.is_ok_and(|answer| answer.success()));
}

#[tokio::test]
async fn each_accepted_kind_of_key_gets_in() {
    for algorithm in [
        Algorithm::Ed25519,
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP384 },
        Algorithm::Ecdsa { curve: EcdsaCurve::NistP521 },
        Algorithm::Rsa { hash: None },
    ] {
        let key = key(algorithm.clone());
        let edge = Edge::start_with(Settings::default(), [alice_with(&key)]);
        let mut client = edge.connect().await;
        let signer = PrivateKeyWithHashAlg::new(key, Some(HashAlg::Sha512));
        assert!(client.authenticate_publickey("alice", signer).await.unwrap().success(), "{algorithm}");
    }
}

#[tokio::test]
async fn a_signature_with_sha1_is_refused() {
    let key = key(Algorithm::Rsa { hash: None });
    let edge = Edge::start_with(Settings::default(), [alice_with(&key)]);
    let mut client = edge.connect().await;
    let sha1 = PrivateKeyWithHashAlg::new(Arc::clone(&key), None);
    assert!(!client.authenticate_publickey("alice", sha1).await.unwrap().success());
    let sha2 = PrivateKeyWithHashAlg::new(key, Some(HashAlg::Sha256));
    assert!(client.authenticate_publickey("alice", sha2).await.unwrap().success());
}

#[tokio::test]
async fn refused_keys_use_up_no_try() {
    let edge = Edge::start(Settings { max_login_tries: 1, ..Settings::default() });
    let mut client = edge.connect().await;
    for _ in 0..5 {
        let stranger = PrivateKeyWithHashAlg::new(key(Algorithm::Ed25519), None);
        assert!(!client.authenticate_publickey("alice", stranger).await.unwrap().success());
    }
    assert!(client.authenticate_password("alice", "right").await.unwrap().success());
}
