//! Limits the login tries of a connection.

/// The login tries that a connection has left.
///
/// A try is a password, or a key with its signature. An offered key isn't one: an agent offers each of its keys. The
/// SSH edge bounds offers by itself.
#[derive(Debug)]
pub(crate) struct LoginTries {
    left: u32,
}

impl LoginTries {
    /// Creates a counter of `max` tries.
    #[must_use]
    pub(crate) const fn new(max: u32) -> Self {
        Self { left: max }
    }

    /// Takes one try. Returns `false` if none was left.
    #[must_use]
    pub(crate) const fn take(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }

    /// True if no try is left.
    #[must_use]
    pub(crate) const fn exhausted(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_run_out_and_stay_out() {
        let mut tries = LoginTries::new(2);
        assert!(tries.take() && !tries.exhausted());
        assert!(tries.take() && tries.exhausted());
        assert!(!tries.take() && !tries.take());
    }
}
