//! Translates login requests from russh's types to those of [`access`](crate::access), and the answers back. Its only
//! decision is which signature algorithms the server accepts.

use super::{algorithms::accepts_signature, ending::EndReason};
use crate::{
    access::{KeyOffer, LOGIN_METHODS, Login, LoginAnswer, LoginEnd, LoginMethod, More, PresentedKey},
    account::PublicKey,
};
use russh::{
    MethodKind, MethodSet,
    keys::{self, Algorithm, Certificate, HashAlg},
    server::{Auth, AuthRefusal, Response},
};
use std::borrow::Cow;

/// Returns the answer to a login step in russh's type. A refusal names the same methods again, because russh would
/// otherwise drop the password method.
pub(crate) fn answer(next: &LoginAnswer) -> Auth {
    match next {
        LoginAnswer::Accepted(_) => Auth::Accept,
        LoginAnswer::More(More::Methods { methods, partial_success }) => {
            Auth::Reject { proceed_with_methods: Some(method_set(methods)), partial_success: *partial_success }
        }
        // RFC 4256, section 3.2.
        LoginAnswer::More(More::Challenge { prompt, echo }) => {
            let prompts = vec![((*prompt).into(), *echo)].into();
            Auth::Partial { name: "".into(), instructions: "".into(), prompts }
        }
        LoginAnswer::Refused(_) | LoginAnswer::Unavailable(_) => refusal(),
    }
}

pub(crate) fn answer_offer(offer: KeyOffer) -> Auth {
    match offer {
        KeyOffer::Acceptable => Auth::Accept,
        KeyOffer::Refused => refusal(),
    }
}

/// Returns the login methods in russh's type.
pub(crate) fn login_methods() -> MethodSet {
    method_set(LOGIN_METHODS)
}

fn method_set(methods: &[LoginMethod]) -> MethodSet {
    MethodSet::from(methods.iter().map(|method| kind(*method)).collect::<Vec<_>>().as_slice())
}

fn refusal() -> Auth {
    Auth::Reject { proceed_with_methods: Some(login_methods()), partial_success: false }
}

fn kind(method: LoginMethod) -> MethodKind {
    match method {
        LoginMethod::PublicKey => MethodKind::PublicKey,
        LoginMethod::Password => MethodKind::Password,
        LoginMethod::KeyboardInteractive => MethodKind::KeyboardInteractive,
    }
}

/// Returns the reason to end the connection, if the answer to a login step requires that.
pub(crate) fn end_reason(next: &LoginAnswer) -> Option<EndReason> {
    match next {
        LoginAnswer::Accepted(_)
        | LoginAnswer::More(_)
        | LoginAnswer::Refused(None)
        | LoginAnswer::Unavailable(None) => None,
        LoginAnswer::Refused(Some(end)) | LoginAnswer::Unavailable(Some(end)) => Some(match end {
            LoginEnd::Tries => EndReason::LoginTries,
            LoginEnd::Full => EndReason::Full,
        }),
    }
}

/// Returns the key that a client presents, or the reason why the server accepts neither it nor its signature algorithm.
pub(crate) fn presented(key: &keys::PublicKey, algorithm: &Algorithm) -> PresentedKey {
    PresentedKey { fingerprint: Some(fingerprint(key)), key: acceptable(key, algorithm) }
}

/// Returns the key of a certificate, marked as refused.
pub(crate) fn presented_certificate(certificate: &Certificate) -> PresentedKey {
    let key = keys::PublicKey::new(certificate.public_key().clone(), "");
    PresentedKey { fingerprint: Some(fingerprint(&key)), key: Err("certificates are not accepted".into()) }
}

/// Returns the password if the client sent exactly one answer to the prompt, in UTF-8.
pub(crate) fn prompted_password(mut response: Response<'_>) -> Option<String> {
    let password = response.next()?;
    if response.next().is_some() { None } else { String::from_utf8(password.into()).ok() }
}

/// Tells `login` that russh refused a request by itself. Returns the reason to end the connection, if there is one.
pub(crate) fn refused_by_protocol(login: &mut Login, user: &str, refusal: AuthRefusal<'_>) -> Option<EndReason> {
    let (method, reason) = match refusal {
        AuthRefusal::UndecodableKey { algorithm } => {
            let reason = format!("a key of the algorithm {algorithm} is unknown here, damaged or too large");
            login.note_refused_key(user, None, &reason);
            return None;
        }
        AuthRefusal::TooManyAttempts => {
            login.record_too_many(user);
            return None;
        }
        AuthRefusal::UnknownMethod(method) => {
            login.record_refused(user, "none", format!("the method {method} is not served"));
            return None;
        }
        AuthRefusal::PasswordChange => {
            login.record_refused(user, "password", "passwords can't be changed by SSH");
            return None;
        }
        AuthRefusal::UndecodablePassword => (LoginMethod::Password, "the password is not UTF-8".to_owned()),
        AuthRefusal::WrongSignature { algorithm } => (LoginMethod::PublicKey, format!("wrong {algorithm} signature")),
        AuthRefusal::UndecodableSignature { algorithm } => {
            (LoginMethod::PublicKey, format!("the {algorithm} signature can't be decoded"))
        }
        AuthRefusal::OtherSignatureAlgorithm { algorithm } => {
            (LoginMethod::PublicKey, format!("the signature is of the algorithm {algorithm}, the request of another"))
        }
        other => (LoginMethod::PublicKey, format!("{other:?}")),
    };
    end_reason(&login.refuse_try(user, method, reason))
}

fn fingerprint(key: &keys::PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

/// Converts the key to identity's type, or says why the server doesn't accept the key or its signature algorithm.
fn acceptable(key: &keys::PublicKey, algorithm: &Algorithm) -> Result<PublicKey, Cow<'static, str>> {
    if !accepts_signature(algorithm) {
        let name = algorithm.as_str();
        return Err(format!("signatures of the algorithm {name} are not accepted").into());
    }
    let blob = key.to_bytes().map_err(|error| error.to_string())?;
    PublicKey::from_blob(&blob).map_err(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use russh::keys::ssh_key::{Mpint, public::RsaPublicKey};

    /// Returns a public RSA key of `bits` bits. It has no private half.
    fn rsa(bits: usize) -> RsaPublicKey {
        let modulus = Mpint::from_positive_bytes(&vec![0xff; bits / 8]);
        RsaPublicKey::new(Mpint::from_positive_bytes(&[1, 0, 1]), modulus).unwrap()
    }

    /// Issue 15.4: a key that the config takes is one that a user can log in with.
    #[test]
    fn signatures_of_every_rsa_key_that_is_accepted_can_be_verified() {
        for bits in [2_048, 4_096, 8_192, 8_200, 16_384] {
            let key = rsa(bits);
            let accepted = PublicKey::from_blob(&keys::PublicKey::from(key.clone()).to_bytes().unwrap());
            assert_eq!(accepted.is_ok(), ::rsa::RsaPublicKey::try_from(&key).is_ok(), "{bits}: {accepted:?}");
        }
    }
}
