//! The flags of OPEN: the draft's `pflags` (section 6.3).

use std::{fmt, ops::BitOr};

/// A set of the flags of OPEN. It keeps bits that version 3 doesn't define; [`OpenFlags::unknown`] returns them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct OpenFlags(u32);

impl OpenFlags {
    /// Open for reading.
    pub const READ: Self = Self(0x01);
    /// Open for writing.
    pub const WRITE: Self = Self(0x02);
    /// Append writes to the end of the file.
    pub const APPEND: Self = Self(0x04);
    /// Create the file if it doesn't exist.
    pub const CREATE: Self = Self(0x08);
    /// Truncate an existing file.
    pub const TRUNCATE: Self = Self(0x10);
    /// Fail if the file exists.
    pub const EXCLUSIVE: Self = Self(0x20);

    const NAMED: [(Self, &str); 6] = [
        (Self::READ, "READ"),
        (Self::WRITE, "WRITE"),
        (Self::APPEND, "APPEND"),
        (Self::CREATE, "CREATE"),
        (Self::TRUNCATE, "TRUNCATE"),
        (Self::EXCLUSIVE, "EXCLUSIVE"),
    ];
    const KNOWN: u32 = 0x3f;

    /// Returns the set for `bits` on the wire.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns the set in its wire form.
    #[must_use]
    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    /// True if every flag of `other` is set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the set bits that version 3 doesn't define.
    #[must_use]
    pub(crate) const fn unknown(self) -> u32 {
        self.0 & !Self::KNOWN
    }
}

impl BitOr for OpenFlags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for OpenFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut set = f.debug_set();
        for (flag, name) in Self::NAMED {
            if self.contains(flag) {
                set.entry(&format_args!("{name}"));
            }
        }
        if self.unknown() != 0 {
            set.entry(&format_args!("{:#x}", self.unknown()));
        }
        set.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_bits_are_preserved_and_reported() {
        let flags = OpenFlags::from_bits(0x8000_004a);
        assert!(flags.contains(OpenFlags::WRITE | OpenFlags::CREATE));
        assert!(!flags.contains(OpenFlags::WRITE | OpenFlags::TRUNCATE));
        assert_eq!((flags.bits(), flags.unknown()), (0x8000_004a, 0x8000_0040));
        assert_eq!(format!("{flags:?}"), "{WRITE, CREATE, 0x80000040}");
    }

    #[test]
    fn what_is_named_is_what_is_known() {
        let named = OpenFlags::NAMED.into_iter().fold(OpenFlags::default(), |all, (flag, _)| all | flag);
        assert_eq!(named.bits(), OpenFlags::KNOWN);
    }
}
