//! Times of directories as clients see them: `rsync -t` over sshfs and rclone set them after a transfer, and compare
//! them in the next one.

use super::harness::{Wharf, request};
use wharfinger::sftp::wire::{Attrs, FileTimes};

const SET: Attrs = Attrs {
    size: None,
    owner: None,
    permissions: None,
    times: Some(FileTimes { accessed: 1_600_000_001, modified: 1_600_000_000 }),
};

// S101: A time that was set on a directory is kept in the journal, by bucket and key: every session sees it, on every node …
// S102: A directory without a set time shows 00:00 UTC of the day on which it is asked for, on every node, and mode 755 …
#[tokio::test(start_paused = true)]
async fn each_way_to_look_shows_the_same_time() {
    let wharf = Wharf::start();
    let mut client = wharf.connect().await;
    for path in ["/set", "/handle", "/plain"] {
        client.order(request::mkdir(path)).await.unwrap();
    }
    client.order(request::set_stat("/set", SET)).await.unwrap();
    let opened = client.send(request::open_dir("/handle")).await;
    let handle = client.handle(opened).await.unwrap();
    client.order(request::fset_stat(&handle, SET)).await.unwrap();
    tokio::time::advance(std::time::Duration::from_mins(5)).await;
    let mut another = wharf.connect().await;
    let names: Vec<_> = another.list("/").await.unwrap().concat();
    for (path, is_set) in [("/set", true), ("/handle", true), ("/plain", false)] {
        let times = another.stat(path).await.unwrap().times.unwrap();
        let looked = another.send(request::lstat(path)).await;
        assert_eq!(another.attrs(looked).await.unwrap().times, Some(times), "{path}");
        let opened = another.send(request::open_dir(path)).await;
        let handle = another.handle(opened).await.unwrap();
        assert_eq!(another.fstat(&handle).await.unwrap().times, Some(times), "{path}");
        let listed = names.iter().find(|name| name.filename == path[1..]).unwrap();
        assert_eq!(listed.attrs.times, Some(times), "{path}");
        let is_a_day = times.modified > 1_700_000_000 && times.modified.is_multiple_of(86_400);
        assert!(if is_set { Some(times) == SET.times } else { is_a_day }, "{path}: {times:?}");
        // Python's zipfile refuses times before 1980.
        assert!(times.modified >= 315_532_800, "{path}");
    }
}
