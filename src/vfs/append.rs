//! APPEND: where the bytes of a WRITE belong, which clients say in two ways.
//!
//! Version 3 lets a server put them at the end and ignore the offset, and curl, asyncssh and others rely on it: they count
//! from 0, some from each call on. OpenSSH, JSch and sshfs send the offsets in the file, many in flight. The two are told
//! apart by whether an offset lies before the end of what was there, or is 0 once more.
//!
//! Invariant: what was there when the file was opened is not overwritten.

/// The offsets of one handle.
#[derive(Clone, Copy, Debug)]
pub(super) struct Appending {
    /// What was there, in bytes.
    there: u64,
    /// Where the client's offset 0 lies.
    origin: u64,
    /// Whether an offset was 0: the next one that is begins anew.
    began: bool,
}

impl Appending {
    /// A handle on a file of `there` bytes.
    pub(super) fn to(there: u64) -> Self {
        Self { there, origin: 0, began: false }
    }

    /// The file was given another size: what was cut off isn't there any more.
    pub(super) fn resize(&mut self, size: u64) {
        self.there = self.there.min(size);
    }

    /// The place of a WRITE in the file, which has `size` bytes by now.
    pub(super) fn place(&mut self, offset: u64, size: u64) -> u64 {
        let begins_anew = offset == 0 && self.began;
        if begins_anew || self.origin.saturating_add(offset) < self.there {
            self.origin = size.saturating_sub(offset);
        }
        self.began |= offset == 0;
        self.origin.saturating_add(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // S68: With APPEND nothing that was there is overwritten: offsets behind it count, as OpenSSH sends them, many …
    #[test]
    fn offsets_behind_what_was_left_of_a_file_count() {
        let mut appending = Appending::to(100);
        appending.resize(10);
        let places = [(10, 10), (30, 20), (20, 40), (5, 40)].map(|(offset, size)| appending.place(offset, size));
        assert_eq!(places, [10, 30, 20, 40]);
        appending.resize(200);
        assert_eq!(appending.place(50, 200), 85, "as the last one was counted");
    }

    // S68: With APPEND nothing that was there is overwritten: offsets behind it count, as OpenSSH sends them, many …
    #[test]
    fn offsets_in_the_file_count_and_offsets_from_zero_begin_at_its_end() {
        let places = |there: u64, offsets: &[u64]| {
            let (mut appending, mut size) = (Appending::to(there), there);
            let place = |offset: &u64| {
                let place = appending.place(*offset, size);
                size = size.max(place + 10);
                place
            };
            offsets.iter().map(place).collect::<Vec<_>>()
        };
        assert_eq!(places(100, &[100, 120, 110]), [100, 120, 110], "OpenSSH");
        assert_eq!(places(100, &[0, 20, 10]), [100, 120, 110], "curl");
        assert_eq!(places(100, &[0, 10, 0, 10]), [100, 110, 120, 130], "asyncssh");
        assert_eq!(places(100, &[60, 70]), [100, 110], "who doesn't know the newest size");
        assert_eq!(places(0, &[0, 10, 0]), [0, 10, 20]);
        assert_eq!(places(0, &[10, 20, 0]), [10, 20, 0], "in flight in any order");
        assert_eq!(Appending::to(5).place(u64::MAX, 5), u64::MAX);
    }
}
