//! The memory that the server's file gives, and that the tenants' password hashes need.

use super::{Config, Problem, value::ByteSize};
use crate::{identity::check_bytes, memory::max_check_bytes};
use std::{num::NonZeroUsize, path::Path};

/// Returns the warning that a password check needs more memory than the server sets aside.
pub(super) fn check_warning(config: &Config, file: &Path) -> Option<Problem> {
    let users = config.tenants.iter().flat_map(|tenant| &tenant.users);
    let hashes = users.filter_map(|user| user.credentials.password_hash.as_ref());
    let (needed, most) = (check_bytes(hashes, NonZeroUsize::MIN), max_check_bytes(config.server.max_buffer_bytes));
    let message = format!(
        "a quarter of it is {}, and a password check takes {}: one runs at a time, and takes more than this setting says; \
         {} has room for it",
        ByteSize(most),
        ByteSize(needed),
        ByteSize(needed.saturating_mul(4))
    );
    let problem = Problem { file: file.to_owned(), line: None, key: "max_buffer_bytes".to_owned(), message };
    (needed > most).then_some(problem)
}
