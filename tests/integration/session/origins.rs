//! The user and the session in the metadata of a file are those of its records.

use super::*;
use wharfinger::{
    account::ObjectMetadata,
    events::{Event, Who},
};

#[tokio::test(start_paused = true)]
async fn a_file_names_the_session_of_its_record() {
    let object_metadata = ObjectMetadata { user: true, session: true };
    let wharf = Wharf::with(Setup { object_metadata, ..Setup::default() });
    let mut records = wharf.events.subscribe();
    for name in ["/a", "/b"] {
        let mut client = wharf.connect().await;
        let handle = client.create(name).await;
        client.write(&handle, 0, "123").await.unwrap();
        client.close(&handle).await.unwrap();
        let metadata = wharf.bucket.metadata(&format!("acme{name}")).unwrap();
        let record = std::iter::from_fn(|| records.try_recv().ok())
            .find(|record| matches!(&record.event, Event::FileClosed { path, .. } if path == name))
            .unwrap();
        let Who::Session(who) = &record.who else { panic!("{record:?}") };
        assert_eq!((&*metadata["uploaded-by"], &*metadata["session"]), (who.user.as_str(), &*who.session));
    }
}
