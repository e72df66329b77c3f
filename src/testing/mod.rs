//! Doubles for tests, behind the feature `testing`. No code of the server uses them.

pub mod bucket;
pub mod clock;
pub mod faulty;
pub mod journal;

pub use bucket::MemoryBucket;
pub use clock::StoppedClock;
pub use faulty::FaultyBucket;
pub use journal::FaultyJournal;
