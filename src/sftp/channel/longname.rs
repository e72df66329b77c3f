//! The long name of a directory entry. The draft's §7 recommends the form of `ls -l`, and clients parse it.

use crate::vfs::{Kind, Metadata};
use std::fmt::Write;
use time::OffsetDateTime;

/// Entries older than this show their year instead of their time of day, as `ls` does.
const RECENT_SECONDS: i64 = 365 * 24 * 3600 / 2;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Returns the long name of an entry: `-rw-r--r--    1 alice    acme         1234 Nov 23 21:00 report.csv`. Times are
/// UTC.
#[must_use]
pub(crate) fn longname(name: &str, metadata: &Metadata, owner: &str, group: &str, now: OffsetDateTime) -> String {
    let mut line = mode(metadata);
    let size = metadata.size;
    let date = date(i64::from(metadata.times.modified), now);
    let _ = write!(line, " {:>4} {owner:<8} {group:<8} {size:>8} {date} {name}", 1);
    line
}

fn mode(metadata: &Metadata) -> String {
    let kind = match metadata.kind {
        Kind::File => '-',
        Kind::Directory => 'd',
    };
    let bits = "rwxrwxrwx".chars().enumerate();
    std::iter::once(kind)
        .chain(bits.map(|(place, letter)| if metadata.mode & (0o400 >> place) == 0 { '-' } else { letter }))
        .collect()
}

fn date(modified: i64, now: OffsetDateTime) -> String {
    let when = OffsetDateTime::from_unix_timestamp(modified).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = MONTHS.get(usize::from(u8::from(when.month())) - 1).copied().unwrap_or("Jan");
    let age = now.unix_timestamp() - modified;
    if (0..RECENT_SECONDS).contains(&age) {
        format!("{month} {:>2} {:02}:{:02}", when.day(), when.hour(), when.minute())
    } else {
        format!("{month} {:>2}  {:>4}", when.day(), when.year())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vfs::Times;

    fn line(kind: Kind, mode: u32, size: u64, modified: u32) -> String {
        let metadata = Metadata { kind, size, mode, times: Times { accessed: 0, modified } };
        let now = OffsetDateTime::from_unix_timestamp(1_795_470_000).unwrap();
        longname("a b", &metadata, "alice", "acme", now)
    }

    #[test]
    fn recent_files_show_the_time_and_old_ones_the_year() {
        let recent = line(Kind::File, 0o100_644, 1234, 1_795_466_400);
        assert_eq!(recent, "-rw-r--r--    1 alice    acme         1234 Nov 23 20:40 a b");
        let old = line(Kind::Directory, 0o040_755, 0, 86_400);
        assert_eq!(old, "drwxr-xr-x    1 alice    acme            0 Jan  2  1970 a b");
    }

    #[test]
    fn times_in_the_future_show_the_year() {
        assert!(line(Kind::File, 0o100_600, 5_000_000_000, u32::MAX).contains("5000000000 Feb  7  2106 a b"));
    }
}
