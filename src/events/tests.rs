//! The bus and its records.

use super::*;
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
