//! The reasons why there is no policy.

/// The longest policy that STS takes, in characters.
pub const MAX_CHARACTERS: usize = 2_048;

/// The reason why a mount can't have a session policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPolicy {
    /// The policy is longer than STS takes.
    #[error(
        "its session policy would have {0} characters, of the {MAX_CHARACTERS} that STS takes; a shorter prefix makes it \
         fit (letters beyond ASCII count as six or twelve, `*`, `?` and `$` as four)"
    )]
    TooLong(usize),
    /// Policies can name access points only by their ARNs.
    #[error("no policy can name an access point by its alias; `access_point_arn` takes its ARN")]
    Alias,
}
