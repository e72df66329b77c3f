//! The parameters of the query protocol, and AWS's constraints on their values. Unknown parameters are refused.

use super::Error;
use std::collections::BTreeMap;

/// The parameters of a request that no caller has taken yet.
#[derive(Debug)]
pub(crate) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Reads a form.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Error> {
        let mut parameters = BTreeMap::new();
        for (name, value) in form_urlencoded::parse(body) {
            if parameters.insert(name.to_string(), value.into_owned()).is_some() {
                return Err(Error::Validation(format!("Parameter {name} comes twice")));
            }
        }
        Ok(Self(parameters))
    }

    /// Takes the value of a parameter, if it was sent. An empty value counts as sent.
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        self.0.remove(name)
    }

    /// Returns the value of a parameter without taking it.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Takes a required parameter. `field` is its name in AWS's error sentences.
    pub(crate) fn need(&mut self, name: &str, field: &str) -> Result<String, Error> {
        self.take(name).ok_or_else(|| {
            Error::Validation(format!(
                "1 validation error detected: Value null at '{field}' failed to satisfy constraint: Member must not be null"
            ))
        })
    }

    /// Fails if parameters are left that no caller took.
    pub(crate) fn end(self) -> Result<(), Error> {
        match self.0.keys().next() {
            None => Ok(()),
            Some(name) => Err(Error::Validation(format!("The parameter {name} is not known here"))),
        }
    }
}

/// AWS's constraint on a value.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Name in AWS's error sentences.
    pub(crate) field: &'static str,
    /// In characters.
    pub(crate) min: usize,
    /// In characters.
    pub(crate) max: usize,
    /// The regular expression in AWS's error sentences.
    pub(crate) pattern: &'static str,
    /// True if a character fits the pattern.
    pub(crate) fits: fn(char) -> bool,
}

impl Shape {
    /// Returns the value if it satisfies the constraint.
    pub(crate) fn check(&self, value: String) -> Result<String, Error> {
        let length = value.chars().count();
        let constraint = if !value.chars().all(self.fits) {
            return Err(self.mismatch(&value));
        } else if length < self.min {
            format!("Member must have length greater than or equal to {}", self.min)
        } else if length > self.max {
            format!("Member must have length less than or equal to {}", self.max)
        } else {
            return Ok(value);
        };
        Err(Error::constraint(self.field, &value, &constraint))
    }

    /// The error for a value that doesn't match the pattern.
    pub(crate) fn mismatch(&self, value: &str) -> Error {
        let constraint = format!("Member must satisfy regular expression pattern: {}", self.pattern);
        Error::constraint(self.field, value, &constraint)
    }
}
