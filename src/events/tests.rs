//! The bus and its records.

use super::*;
use crate::name::BucketId;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};

fn peer() -> Who {
    let source = ([192, 0, 2, 9], 4711).into();
    Who::Connection(ConnectionPeer { connection: Some("5f0c".into()), source, vpc_endpoint: None })
}

fn refused(events: &Events) {
    let client = ClientProgram { version: Some("SSH-2.0-x".into()), algorithms: None };
    let (name, method, reason) = ("root".to_owned(), "password", "unknown user".into());
    events.record(peer(), Event::LoginRefused { name, method, reason, fingerprint: None, client });
}

#[tokio::test]
async fn a_record_is_one_flat_object_with_an_id_a_time_and_a_node() {
    let events = Events::new("node-1");
    let mut records = events.subscribe();
    refused(&events);
    let record = records.recv().await.unwrap();
    assert_eq!(record.id.get_version_num(), 7);
    let (seconds, nanoseconds) = record.id.get_timestamp().unwrap().to_unix();
    let at = record.at.unix_timestamp_nanos() / 1_000_000;
    assert_eq!(i128::from(seconds) * 1_000 + i128::from(nanoseconds) / 1_000_000, at, "the id's time is the record's");
    let mut json = serde_json::to_value(&*record).unwrap();
    for field in ["id", "at"] {
        assert!(json.as_object_mut().unwrap().remove(field).unwrap().is_string(), "{field}");
    }
    assert_eq!(
        json,
        serde_json::json!({ "node": "node-1", "connection": "5f0c", "source": "192.0.2.9:4711", "event": "login_refused",
            "user": "root", "method": "password", "reason": "unknown user", "client": "SSH-2.0-x" })
    );
}

/// The keys of an object, as often as they stand in its text.
struct Keys(Vec<String>);

impl<'de> serde::Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> serde::de::Visitor<'de> for Visitor {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, serde::de::IgnoredAny>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

#[tokio::test]
async fn a_record_of_maintenance_names_each_field_once() {
    let bucket = BucketId::new("files", None);
    let (id, name, outcome) = (String::from("u"), String::from("a"), Outcome::Failed(String::from("denied")));
    let events = [
        Event::InterruptedUploadAborted {
            id: id.clone(),
            bucket: bucket.clone(),
            name: name.clone(),
            bytes: 1,
            outcome: outcome.clone(),
        },
        Event::UnknownUploadAborted { id: id.clone(), key: name.clone(), outcome: outcome.clone() },
        Event::RenameRepaired { id, bucket, source: name.clone(), target: name, phase: "Copying", removed: 0, outcome },
    ];
    for (event, id_field) in events.into_iter().zip(["upload_id", "upload_id", "rename_id"]) {
        let who = Who::Maintenance { tenant: "acme".parse().unwrap(), user: None };
        let record = Record::new("node-1".into(), who, event);
        let text = serde_json::to_string(&record).unwrap();
        let Keys(mut keys) = serde_json::from_str(&text).unwrap();
        keys.sort();
        assert!(keys.iter().any(|key| key == id_field) && !keys.iter().any(|key| key == "user"), "{text}");
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{text}");
        let json: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(json["id"], record.id.to_string());
    }
}

#[test]
fn a_record_keeps_a_bounded_part_of_what_a_client_chose() {
    let client = ClientProgram::default();
    let (name, reason) = ("ä".repeat(60_000), "x".repeat(60_000).into());
    let refused = Event::LoginRefused { name, method: "none", reason, fingerprint: None, client };
    let record = Record::new("node-1".into(), peer(), refused);
    let Event::LoginRefused { name, reason, .. } = record.event else { panic!("another event") };
    assert_eq!((name.chars().count(), reason.len()), (256, 256));
}

#[tokio::test]
async fn ids_are_in_the_order_of_records() {
    let events = Events::new("node-1");
    let mut records = events.subscribe();
    (0..1_000).for_each(|_| refused(&events));
    let ids: Vec<_> = std::iter::from_fn(|| records.try_recv().ok()).map(|record| record.id).collect();
    assert!(ids.len() == 1_000 && ids.is_sorted());
}

/// The log suppresses lines; the bus carries each record.
#[tokio::test]
async fn a_subscriber_gets_every_record_and_is_told_what_it_missed() {
    let events = Events::new("node-1");
    let (mut quick, mut slow) = (events.subscribe(), events.subscribe());
    for _ in 0..BUS_RECORDS + 10 {
        refused(&events);
        quick.recv().await.unwrap();
    }
    assert_eq!(quick.try_recv().unwrap_err(), TryRecvError::Empty);
    assert_eq!(slow.recv().await.unwrap_err(), RecvError::Lagged(10));
    let left = std::iter::from_fn(|| slow.try_recv().ok()).count();
    assert_eq!(left, BUS_RECORDS);
}
