//! How often a connection may try to log in.

/// The login tries that a connection has left.
///
/// A try is a password, or a key with its signature. Asking whether a key would do isn't one: an agent with many keys
/// asks for each. The SSH layer bounds those by itself.
#[derive(Debug)]
pub struct LoginTries {
    left: u32,
}

impl LoginTries {
    /// `max` tries.
    #[must_use]
    pub const fn new(max: u32) -> Self {
        Self { left: max }
    }

    /// Takes one try; `false` when there was none left.
    #[must_use]
    pub const fn take(&mut self) -> bool {
        let any = self.left > 0;
        self.left = self.left.saturating_sub(1);
        any
    }

    /// Returns `true` if no try is left.
    #[must_use]
    pub const fn exhausted(&self) -> bool {
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
