//! Bytes that say whose they are, and random choices that can be made again.

/// `bytes` bytes of lines that name the tenant. Each line has 16 bytes, so that every piece of a file shows it.
pub fn stamped(tenant: &str, number: usize, bytes: usize) -> Vec<u8> {
    let line = format!("{tenant:-<10}{number:05}\n");
    line.bytes().cycle().take(bytes).collect()
}

/// Fails if a byte of another tenant's is in `content`. Pieces of files begin anywhere in a line.
pub fn check(tenant: &str, content: &[u8], where_from: &str) {
    let own = format!("{tenant:-<10}");
    let (own, digits) = (own.as_bytes(), |b: &u8| b.is_ascii_digit() || *b == b'\n');
    let ours = content.split(|b| *b == b'\n').enumerate().all(|(index, line)| {
        // The first line may have lost its beginning, the last its end.
        let name_end = line.iter().position(u8::is_ascii_digit).unwrap_or(line.len());
        let (name, number) = line.split_at(name_end);
        number.iter().all(digits)
            && if index == 0 { own.ends_with(name) || own.starts_with(name) } else { own.starts_with(name) }
    });
    assert!(
        ours,
        "{tenant} read foreign bytes from {where_from}: {:?}",
        String::from_utf8_lossy(&content[..content.len().min(200)])
    );
}

/// splitmix64.
pub struct Dice(pub u64);

impl Dice {
    /// A number below `below`.
    pub fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % below as u64).unwrap()
    }
}

#[test]
fn foreign_bytes_are_noticed_wherever_a_piece_begins() {
    let own = stamped("acme", 7, 100);
    for from in 0..40 {
        check("acme", &own[from..], "here");
    }
    for (from, to) in [(0, 20), (3, 19), (17, 40)] {
        let foreign = stamped("globex", 7, 100);
        assert!(std::panic::catch_unwind(|| check("acme", &foreign[from..to], "here")).is_err(), "{from}..{to}");
    }
}
