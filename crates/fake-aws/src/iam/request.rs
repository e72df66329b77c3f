//! A request as IAM sees it: an action on a resource, and further facts.

use std::collections::BTreeMap;

/// The request that a principal makes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AuthorizationRequest<'a> {
    /// IAM's name of the action, such as `s3:GetObject`.
    pub(crate) action: &'a str,
    /// ARN of the resource.
    pub(crate) resource: &'a str,
    /// Values of the condition keys.
    pub(crate) context: &'a RequestContext,
}

/// Facts about a request, by condition key. Keys are case-insensitive, values are case-sensitive.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestContext(BTreeMap<String, String>);

impl RequestContext {
    /// Adds a key. Without a value the context stays as it is.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: Option<impl ToString>) -> Self {
        if let Some(value) = value {
            self.0.insert(key.to_ascii_lowercase(), value.to_string());
        }
        self
    }

    /// Returns the value of a key in lower case.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }
}
