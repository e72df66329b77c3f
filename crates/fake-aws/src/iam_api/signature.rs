//! Signature Version 4 of a form. s3s checks signatures for S3 and STS alone.
//!
//! Source: IAM user guide, "Create a signed AWS API request".

use hmac::{Hmac, KeyInit, Mac};
use hyper::HeaderMap;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// Headers that must be signed: a signature without the host would hold for other servers, and one without the date
/// forever.
const SIGNED: [&str; 2] = ["host", "x-amz-date"];

/// The header `Authorization` of a request to IAM.
#[derive(Debug)]
pub(crate) struct FormSignature<'a> {
    pub(crate) access_key_id: &'a str,
    /// `YYYYMMDD`.
    date: &'a str,
    pub(crate) region: &'a str,
    /// Names in lower case, separated by `;`.
    signed_headers: &'a str,
    signature: Vec<u8>,
}

impl<'a> FormSignature<'a> {
    /// Reads `AWS4-HMAC-SHA256 Credential=ID/DATE/REGION/iam/aws4_request, SignedHeaders=…, Signature=…`.
    pub(super) fn parse(authorization: &'a str) -> Option<Self> {
        let fields = authorization.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let field = |name: &str| fields.split(',').find_map(|field| field.trim().strip_prefix(name)?.strip_prefix('='));
        let mut scope = field("Credential")?.strip_suffix("/iam/aws4_request")?.rsplitn(3, '/');
        let (region, date, access_key_id) = (scope.next()?, scope.next()?, scope.next()?);
        let signature = hex::decode(field("Signature")?).ok()?;
        Some(Self { access_key_id, date, region, signed_headers: field("SignedHeaders")?, signature })
    }

    /// True if the holder of `secret` signed these headers and this form, for `POST /` without a query.
    pub(super) fn is_valid(&self, secret: &str, headers: &HeaderMap, form: &[u8]) -> bool {
        let (stamp, names) = (header(headers, "x-amz-date"), self.signed_headers);
        if stamp.get(..8) != Some(self.date)
            || !SIGNED.iter().all(|needed| names.split(';').any(|name| name == *needed))
        {
            return false;
        }
        let lines = names.split(';').map(|name| format!("{name}:{}\n", canonical(headers, name)));
        let lines = lines.collect::<Vec<_>>().concat();
        let request = format!("POST\n/\n\n{lines}\n{names}\n{}", hex::encode(Sha256::digest(form)));
        let scope = [self.date, self.region, "iam", "aws4_request"];
        let text = format!("{ALGORITHM}\n{stamp}\n{}\n{}", scope.join("/"), hex::encode(Sha256::digest(request)));
        let secret = format!("AWS4{secret}").into_bytes();
        let key = scope.iter().try_fold(secret, |key, part| Some(mac(&key, part)?.finalize().into_bytes().to_vec()));
        let signed = key.and_then(|key| mac(&key, &text));
        signed.is_some_and(|signed| signed.verify_slice(&self.signature).is_ok())
    }
}

/// HMAC takes keys of every length, so there is always a result.
fn mac(key: &[u8], text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

/// Returns the values of a header as the signature has them.
fn canonical(headers: &HeaderMap, name: &str) -> String {
    let words = |value: &str| value.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ");
    let values = headers.get_all(name).iter().map(|value| words(value.to_str().unwrap_or_default()));
    values.collect::<Vec<_>>().join(",")
}

/// Returns the value of a header, or nothing.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
