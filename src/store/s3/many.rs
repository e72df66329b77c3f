//! DeleteObjects: one request for up to a thousand keys, one answer, and in it a refusal for each key that stays.

use super::error;
use crate::{
    name::Key,
    store::{Error, Pin, Result},
};
use aws_sdk_s3::{
    operation::{RequestId, delete_objects::DeleteObjectsOutput},
    types::{Delete, Error as Refusal, ObjectIdentifier},
};
use std::collections::HashMap;

/// The objects to delete, each with its ETag. S3 answers only with those that it kept.
pub(super) fn request(objects: &[(Key, Pin)]) -> Result<Delete> {
    let mut delete = Delete::builder().quiet(true);
    for (key, pin) in objects {
        let object = ObjectIdentifier::builder().key(key.as_str()).e_tag(&pin.etag.0).build();
        delete = delete.objects(object.map_err(|error| Error::Broken(error.to_string()))?);
    }
    delete.build().map_err(|error| Error::Broken(error.to_string()))
}

pub(super) fn request_id(answer: &DeleteObjectsOutput) -> String {
    answer.request_id().unwrap_or_default().to_owned()
}

/// The answer for each object. An object that wasn't there counts as deleted.
pub(super) fn answers(objects: &[(Key, Pin)], refusals: Vec<Refusal>, request_id: &str) -> Vec<Result<()>> {
    let keyed = refusals.into_iter().filter_map(|refusal| Some((refusal.key.clone()?, refusal)));
    let mut kept: HashMap<String, Refusal> = keyed.collect();
    let answer = |key: &Key| match kept.remove(key.as_str()) {
        None => Ok(()),
        Some(refusal) => {
            let (code, message) = (refusal.code.unwrap_or_default(), refusal.message.unwrap_or_default());
            match error::of_one(&code, &message, request_id) {
                Error::NotFound => Ok(()),
                error => Err(error),
            }
        }
    };
    objects.iter().map(|(key, _)| key).map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{name::Prefix, store::ETag};

    #[test]
    fn each_object_gets_its_answer_in_its_place() {
        let object = |name: &str| {
            let key = Prefix::parse("acme/").unwrap().key(name).unwrap();
            (key, Pin { etag: ETag(format!("\"{name}\"")), version: None })
        };
        let objects = ["gone", "changed", "missing", "forbidden", "later"].map(object);
        let sent = request(&objects).unwrap();
        assert_eq!(sent.objects()[1].e_tag(), Some("\"changed\""));
        let refusal = |key: &str, code: &str| Refusal::builder().key(format!("acme/{key}")).code(code).build();
        let refusals = vec![
            refusal("forbidden", "AccessDenied"),
            refusal("later", "SlowDown"),
            refusal("changed", "PreconditionFailed"),
            refusal("missing", "NoSuchKey"),
        ];
        let answers = answers(&objects, refusals, "R1");
        assert!(matches!(
            &answers[..],
            [Ok(()), Err(Error::Conflict { .. }), Ok(()), Err(Error::Forbidden { .. }), Err(Error::Throttled { .. })]
        ));
    }
}
