//! The result of checking promises, which tests collect instead of panicking.

/// Ok if the promises were kept, or else the broken one.
pub type CheckResult<T = ()> = Result<T, String>;

/// Returns the complaint unless `kept`.
pub fn ensure(kept: bool, complaint: impl FnOnce() -> String) -> CheckResult {
    if kept { Ok(()) } else { Err(complaint()) }
}
