//! Bytes that name their tenant, and reproducible random numbers.

/// Returns `bytes` bytes of lines that name the tenant. Each line has 16 bytes, so every piece of a file shows the
/// name.
pub fn stamped(tenant: &str, number: usize, bytes: usize) -> Vec<u8> {
    let line = format!("{tenant:-<10}{number:05}\n");
    line.bytes().cycle().take(bytes).collect()
}

/// Fails if `content` holds a byte of another tenant. A piece of a file can begin anywhere in a line.
pub fn check(tenant: &str, content: &[u8], where_from: &str) {
    let own = format!("{tenant:-<10}").into_bytes();
    let lines: Vec<&[u8]> = content.split(|b| *b == b'\n').collect();
    let ours = lines.iter().enumerate().all(|(index, line)| {
        // The first line may lack its beginning, the last one its end, and a single line both.
        let name_end = line.iter().position(u8::is_ascii_digit).unwrap_or(line.len());
        let (name, number) = line.split_at(name_end);
        let (begins, ends) = (index > 0, !number.is_empty() || index + 1 < lines.len());
        let named = match (begins, ends) {
            (true, true) => own == name,
            (true, false) => own.starts_with(name),
            (false, true) => own.ends_with(name),
            (false, false) => name.is_empty() || own.windows(name.len()).any(|part| part == name),
        };
        named && number.iter().all(u8::is_ascii_digit)
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
    /// Returns a number below `below`.
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
    for (from, to) in (0..40).flat_map(|from| (from..=own.len()).map(move |to| (from, to))) {
        check("acme", &own[from..to], "here");
    }
    for (from, to) in [(0, 20), (3, 19), (17, 40), (1, 2), (2, 5), (5, 7)] {
        let foreign = stamped("globex", 7, 100);
        assert!(std::panic::catch_unwind(|| check("acme", &foreign[from..to], "here")).is_err(), "{from}..{to}");
    }
}
