//! Plans the size of each part. Parts are small at first, so that small uploads take little memory and start early.
//! They grow with the object, so that the largest fits S3's 10,000 parts.

/// S3's minimum size of a part, except the last, in bytes. Parts under memory pressure have this size, and every upload
/// of more than a block has at least this much memory.
pub const MIN_PART_BYTES: u64 = 5 * MIB;
/// The largest object that 10,000 parts of the largest planned size hold: 625 GiB, in bytes.
pub const MAX_OBJECT_BYTES: u64 = MAX_PARTS as u64 * LARGEST_PART_BYTES;
/// S3's limit on the number of parts.
pub(super) const MAX_PARTS: u32 = 10_000;

const MIB: u64 = 1024 * 1024;
const FIRST_PART_BYTES: u64 = 8 * MIB;
const LARGEST_PART_BYTES: u64 = 64 * MIB;
/// A part is this fraction of the bytes before it: 8 MiB up to 4 GiB, 64 MiB from 32 GiB on. That takes 512 parts to 4
/// GiB, about 512 × ln 8 = 1,065 to 32 GiB and 7,680 to 512 GiB: 9,257 in all. The remaining numbers are for parts that
/// ship smaller under pressure.
const PARTS_BEFORE: u64 = 512;

/// The sizes of the parts of an upload.
#[derive(Clone, Copy, Debug)]
pub(super) struct PartPlan {
    max_object_bytes: u64,
}

impl PartPlan {
    /// The plan for objects of up to `max_object_bytes`, itself at most [`MAX_OBJECT_BYTES`].
    pub(super) fn new(max_object_bytes: u64) -> Self {
        Self { max_object_bytes: max_object_bytes.min(MAX_OBJECT_BYTES) }
    }

    pub(super) fn max_object_bytes(self) -> u64 {
        self.max_object_bytes
    }

    /// The size in bytes of part `number` (from 1) behind `shipped` bytes; a whole number of MiB.
    ///
    /// Earlier parts may have been smaller than planned, or the maximum may leave no room to begin small. The part is
    /// then large enough that the rest fits the remaining numbers. An upload that never gets more memory than its
    /// reservation has 5 MiB parts throughout, and ends at 48.8 GiB.
    pub(super) fn part_bytes(self, number: u32, shipped: u64) -> u64 {
        let grown = (shipped / PARTS_BEFORE).next_multiple_of(MIB);
        let behind = u64::from(MAX_PARTS.saturating_sub(number)) * LARGEST_PART_BYTES;
        let least = self.max_object_bytes.saturating_sub(shipped).saturating_sub(behind).next_multiple_of(MIB);
        grown.max(least).clamp(FIRST_PART_BYTES, LARGEST_PART_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GIB: u64 = 1024 * MIB;

    /// The number of parts of an object, if the first `pressed` are of the smallest size.
    fn parts(max_object_bytes: u64, size: u64, pressed: u32) -> u32 {
        let plan = PartPlan::new(max_object_bytes);
        let (mut number, mut shipped) = (0, 0);
        while shipped < size {
            number += 1;
            shipped += if number <= pressed { MIN_PART_BYTES } else { plan.part_bytes(number, shipped) };
        }
        number
    }

    #[test]
    fn parts_grow_from_8_to_64_mib() {
        let plan = PartPlan::new(512 * GIB);
        assert_eq!(plan.part_bytes(1, 0), 8 * MIB);
        assert_eq!(plan.part_bytes(513, 4 * GIB), 8 * MIB);
        assert_eq!(plan.part_bytes(514, 4 * GIB + 8 * MIB), 9 * MIB);
        assert_eq!(plan.part_bytes(1600, 32 * GIB), 64 * MIB);
    }

    #[test]
    fn the_largest_objects_fit_10_000_parts() {
        assert!(parts(512 * GIB, 512 * GIB, 0) < 9_300);
        assert!(parts(MAX_OBJECT_BYTES, MAX_OBJECT_BYTES, 0) == MAX_PARTS);
        assert!(parts(512 * GIB, 512 * GIB, 1_900) <= MAX_PARTS, "8 GiB under pressure cost the rest nothing");
        assert_eq!(parts(8 * GIB, 8 * MIB, 0), 1);
        assert_eq!(parts(8 * GIB, 8 * MIB + 1, 0), 2);
    }

    proptest! {
        #[test]
        fn every_allowed_size_fits(max in 0..=MAX_OBJECT_BYTES, share in 0.0..=1.0f64) {
            #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let size = (max as f64 * share) as u64;
            prop_assert!(parts(max, size.min(max), 0) <= MAX_PARTS);
        }
    }
}
