//! The paths in a source file, and the imports that say what their first names mean.

use crate::layering::product::is;
use proc_macro2::{TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet};

/// The full path of each name that a file imports.
#[derive(Debug, Default)]
pub struct Imports(BTreeMap<String, Vec<String>>);

/// The item that a path means.
#[derive(Debug, PartialEq, Eq)]
pub enum ResolvedPath {
    /// An item of the crate, with its full path, or with what is known of it.
    Ours(Vec<String>),
    /// An item of another crate, or an associated type.
    Foreign,
}

impl Imports {
    /// Returns the imports among `tokens`, in any module and in any function.
    pub fn of(tokens: TokenStream) -> Self {
        let mut imports = Self::default();
        imports.read(tokens);
        imports
    }

    /// Returns the item that `path` means. A name that isn't imported is of this file, or of a child among `modules`.
    pub fn resolve(&self, path: &[String], modules: &BTreeSet<String>) -> ResolvedPath {
        let Some((first, rest)) = path.split_first() else { return ResolvedPath::Foreign };
        let full = match self.0.get(first) {
            Some(import) => [import, rest].concat(),
            None => path.to_vec(),
        };
        let is_alone = full.len() == 1;
        if is_alone || ["crate", "super", "self"].contains(&&*full[0]) || modules.contains(&full[0]) {
            ResolvedPath::Ours(full)
        } else {
            ResolvedPath::Foreign
        }
    }

    fn read(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            match &tokens[at..] {
                [word, rest @ ..] if is(word, "use") => {
                    let length = rest.iter().position(|token| is(token, ";")).unwrap_or(rest.len());
                    self.add(&rest[..length], &[]);
                    at += length;
                }
                [TokenTree::Group(group), ..] => self.read(group.stream()),
                _ => {}
            }
            at += 1;
        }
    }

    /// Adds the names of the import `tokens`, which stands behind the path `before`.
    fn add(&mut self, tokens: &[TokenTree], before: &[String]) {
        let mut path = before.to_vec();
        for (at, token) in tokens.iter().enumerate() {
            match token {
                TokenTree::Group(group) => {
                    let members: Vec<TokenTree> = group.stream().into_iter().collect();
                    members.split(|token| is(token, ",")).for_each(|member| self.add(member, &path));
                    return;
                }
                word if is(word, "as") => {
                    if let Some(TokenTree::Ident(name)) = tokens.get(at + 1) {
                        self.0.insert(name.to_string(), path);
                    }
                    return;
                }
                star if is(star, "*") => return,
                // `a::{self}` imports `a`.
                word if is(word, "self") && !path.is_empty() => {}
                TokenTree::Ident(name) => path.push(name.to_string()),
                _ => {}
            }
        }
        if let Some(name) = path.last() {
            self.0.insert(name.clone(), path.clone());
        }
    }
}

/// Returns all paths in `tokens`, such as `["store", "Error"]`. Names of parameters are among them.
pub fn paths(tokens: &[TokenTree]) -> BTreeSet<Vec<String>> {
    let mut found = BTreeSet::new();
    let mut path: Vec<String> = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Group(group) => found.extend(paths(&group.stream().into_iter().collect::<Vec<_>>())),
            TokenTree::Ident(name) => {
                path.push(name.to_string());
                let goes_further = matches!(&tokens[at + 1..], [one, two, ..] if is(one, ":") && is(two, ":"));
                if !goes_further {
                    found.insert(std::mem::take(&mut path));
                }
            }
            _ => {}
        }
    }
    found
}
